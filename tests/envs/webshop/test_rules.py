"""WebShop's session rules, on a hand-made shop and, by Hypothesis, on a generated one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.envs.webshop.catalogue import ListCatalogue, load
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.rules import Page, Shop, State

SHARED = {"color": ("red", "small"), "fit": ("small", "features")}


def shop(count: int = 25) -> Shop:
    products = [
        Product(f"B{n:09d}", f"Shoe {n}", "fashion", "", "", 1.0, "$1.0", ("soft",), "A shoe.", SHARED, ())
        for n in range(count)
    ]
    return Shop(ListCatalogue(products))


def clicked(*targets: str) -> Shop:
    made = shop()
    assert made.search("shoe")
    for target in targets:
        assert made.click(target), target
    return made


def test_equal_scores_are_listed_in_the_catalogues_order() -> None:
    assert clicked().listed() == tuple(range(10))
    assert clicked("next >").listed() == tuple(range(10, 20))


def test_search_works_from_every_page_and_forgets_product_and_options() -> None:
    made = clicked("b000000003", "red", "description")
    assert made.search("SHOE 4")
    assert made.state == State(Page.RESULTS, "shoe 4", visited={3})


@pytest.mark.parametrize("words", ["", "the of and", "?!", "<r>", "x" * 5000, "\x00", "AND OR title:("])
def test_any_words_can_be_searched_but_none(words: str) -> None:
    made = shop()
    assert made.search(words) is bool(words)
    assert len(made.hits()) == 0


def test_debug_searches_leak_nothing() -> None:
    made = shop()
    assert made.search("<c> fashion")
    assert made.hits() == ()


def test_next_can_be_pressed_past_the_end_and_previous_goes_back() -> None:
    made = clicked("next >", "next >", "next >", "next >")
    assert (made.state.number, made.listed()) == (5, ())
    assert made.click("< Prev")
    assert made.state.number == 4
    assert not clicked().click("< prev")


def test_previous_leads_from_sub_page_to_item_to_its_results() -> None:
    made = clicked("next >", "b000000012", "red", "features")
    assert made.click("< prev")
    assert (made.state.page, made.state.options) == (Page.ITEM, {"color": "red"})
    assert made.click("< prev")
    assert (made.state.page, made.state.number, made.state.item, made.state.options) == (Page.RESULTS, 2, None, {})


def test_back_to_search_forgets_all() -> None:
    assert clicked("b000000001", "back to search").state == State()


def test_the_last_choice_of_an_option_wins_and_the_later_of_two_groups() -> None:
    assert clicked("b000000001", "red", "small").state.options == {"color": "red", "fit": "small"}


def test_a_button_wins_over_an_option_of_its_name() -> None:
    assert clicked("b000000001", "features").state.page is Page.SUB


@pytest.mark.parametrize("target", ["search", "b000000020", "nothing", "", "buy now", "red"])
def test_what_is_not_on_the_page_cannot_be_clicked(target: str) -> None:
    made = clicked()
    before = made.state.plain()
    assert not made.click(target)
    assert made.state.plain() == before


def test_buying_ends_and_nothing_moves_after() -> None:
    made = clicked("b000000001", "buy now")
    assert made.state.page is Page.DONE
    assert not made.search("shoe")
    assert not made.click("back to search")
    assert made.clickables() == []


def test_clickables_are_those_of_webshop() -> None:
    assert shop().clickables() == ["search"]
    assert clicked().clickables()[:3] == ["back to search", "next >", "b000000000"]
    assert clicked("next >").clickables()[:3] == ["back to search", "< prev", "next >"]
    expected = ["back to search", "< prev", "description", "features", "reviews", "buy now", "red", "small"]
    assert clicked("b000000001").clickables() == expected
    assert clicked("b000000001", "reviews").clickables() == ["back to search", "< prev"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=25))
def test_every_clickable_can_be_clicked_and_a_copied_state_goes_on_alike(choices: list[int]) -> None:
    made = Shop(load("generated:200:3"))
    for choice in choices:
        targets = [target for target in made.clickables() if target != "search"]
        if not targets:
            if not made.search(["shoes", "tea green", "table"][choice % 3]):
                break
            continue
        target = targets[choice % len(targets)]
        copy = Shop(made.catalogue, State.of(made.state.plain()))
        assert made.click(target)
        assert copy.click(target)
        assert copy.state == made.state
