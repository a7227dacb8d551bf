"""WebShop's reward: recorded human sessions, and a table of cases written from the rules."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.reward import (
    COLOURS,
    Goal,
    attribute_matches,
    normalise_colour,
    nouns,
    option_matches,
    score,
    similar,
    type_match,
)

SESSIONS = sorted((Path(__file__).parents[2] / "data/webshop/human_trajs").glob("*.jsonl"))


def last_page(path: Path) -> dict[str, Any]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    page: dict[str, Any] = json.loads(lines[-1])
    return page


def product(**changes: Any) -> Product:
    base = {
        "asin": "B000000001",
        "title": "Acme Trail Running Shoes, Lightweight",
        "category": "fashion",
        "query": "men's running shoes",
        "product_category": "Clothing › Men › Shoes › Running",
        "price": 45.0,
        "price_tag": "$45.0",
        "bullets": ("Rubber sole for grip", "Breathable mesh upper"),
        "description": "A shoe with Arch Support.",
        "options": {"color": ("red", "blue"), "size": ("8", "9")},
        "attributes": ("slip resistant", "long lasting"),
    }
    return Product(**(base | changes))


def goal(**changes: Any) -> Goal:
    base = {
        "asin": "B000000001",
        "name": "Acme Trail Running Shoes, Lightweight",
        "query": "men's running shoes",
        "product_category": "Clothing › Men › Shoes › Running",
        "attributes": ("slip resistant",),
        "options": (),
        "price_upper": 50.0,
    }
    return Goal(**(base | changes))


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_recorded_sessions_total_is_the_formula_of_their_parts(path: Path) -> None:
    page = last_page(path)
    parts, wanted = page["reward_info"], page["goal"]
    attributes, options = len(wanted["attributes"]), len(wanted["goal_options"])
    matched = parts["r_att"] * attributes + parts.get("r_option", 0.0) * options + parts["r_price"]
    assert page["reward"] == pytest.approx(parts["r_type"] * matched / (attributes + options + 1), abs=1e-12)


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_recorded_sessions_option_price_and_type_are_recomputed(path: Path) -> None:
    page = last_page(path)
    parts, wanted, content = page["reward_info"], page["goal"], page["content"]
    options = option_matches(list(content["options"].values()), wanted["goal_options"])
    assert options / max(1, len(wanted["goal_options"])) == parts.get("r_option", 0.0)
    assert (content["price"] <= wanted["price_upper"]) is parts["r_price"]
    by_title = parts["title_score"] > 0.2
    assert parts["r_type"] == (1.0 if parts["query_match"] or parts["category_match"] or by_title else 0.5)


def test_there_are_sessions() -> None:
    assert len(SESSIONS) >= 6


@pytest.mark.parametrize(
    ("path", "recorded"),
    [("20220427_1_12", 24), ("20220427_1_13", 17), ("20220427_1_15", 11), ("20220427_1_17", 17),
     ("20220427_1_18", 7), ("20220427_1_21", 23)],
)  # fmt: skip
def test_nouns_are_near_those_the_recorded_title_scores_imply(path: str, recorded: int) -> None:
    """The denominator of each recorded title score is WebShop's count of nouns in the goal's name."""
    name = last_page(next(p for p in SESSIONS if p.stem == path))["goal"]["name"]
    assert abs(len(nouns(name)) - recorded) <= 6


SIMILAR = [
    ("red", "red", True),
    ("red", "dark red", True),
    ("Red!", "red", True),
    ("size 8", "8 size", True),
    ("slip resistant", "slip-resistant", True),
    ("long lasting", "long lasting color", True),
    ("red", "blue", False),
    ("gluten free", "sugar free", False),
    ("8", "8.5", True),
    ("8", "9", False),
    ("x-large", "xx-large", True),
    ("", "red", False),
    ("", "", False),
    ("éclair", "clair", True),
    ("non slip", "anti slip", False),
]
COLOUR = [
    ("z2-pink", "pink"),
    ("standard", "tan"),
    ("dark red", "dark"),
    ("navy blue", "blue"),
    ("light blue", "blue"),
    ("greyish", "grey"),
    ("Red", "Red"),
    ("38mm", "38mm"),
    ("rose gold", "gold"),
    ("offwhite", "white"),
]
ATTRIBUTES = [
    (("slip resistant",), 1),
    (("long lasting", "slip resistant"), 2),
    (("rubber sole",), 1),
    (("breathable mesh",), 1),
    (("arch support",), 1),
    (("lightweight",), 1),
    (("grip breathable",), 1),
    (("Arch Support",), 0),
    (("memory foam",), 0),
    (("memory foam", "rubber sole"), 1),
    (("slip resistant", "slip resistant"), 2),
    (("shoe",), 1),
]
OPTIONS: list[tuple[list[str], Any, int]] = [
    (["red"], ["red"], 1),
    (["blue"], ["red"], 0),
    ([], ["red"], 0),
    (["red"], [], 0),
    (["z2-pink", "8"], ["pink", "8"], 2),
    (["pink"], ["pink", "8"], 1),
    (["dark red"], ["dark grey"], 1),
    (["dark red"], ["dark blue"], 0),
    (["red", "crimson red"], ["red"], 1),
    (["one size"], ["size one"], 1),
    (["standard"], ["tan"], 1),
    (["red"], {"color": "red"}, 1),
    (["8"], {"size": "8"}, 1),
    (["9"], {"size": "8"}, 0),
    (["red", "9"], {"color": "red", "size": "8"}, 1),
]
TYPES: list[tuple[dict[str, Any], float]] = [
    ({}, 1.0),
    ({"query": "other"}, 1.0),
    ({"query": "other", "product_category": "Home › Sofas"}, 1.0),
    ({"query": "other", "product_category": "Home › Sofas", "title": "Zed Shoes"}, 0.5),
    ({"query": "other", "product_category": "Clothing › Men › Hats", "title": "Zed Shoes"}, 1.0),
    ({"query": "other", "product_category": "Clothing › Hats", "title": "Zed Shoes"}, 0.5),
    ({"title": "Unrelated Sofa"}, 0.0),
    ({"query": "other", "title": "Unrelated Sofa"}, 0.0),
    ({"title": ""}, 0.0),
]


@pytest.mark.parametrize(("left", "right", "same"), SIMILAR)
def test_phrases_match(left: str, right: str, same: bool) -> None:
    assert similar(left, right) is same
    assert similar(right, left) is same


@pytest.mark.parametrize(("text", "colour"), COLOUR)
def test_colours_are_the_first_word_contained(text: str, colour: str) -> None:
    assert normalise_colour(text) == colour


@pytest.mark.parametrize(("wanted", "count"), ATTRIBUTES)
def test_attributes(wanted: tuple[str, ...], count: int) -> None:
    assert attribute_matches(product(), wanted) == count


@pytest.mark.parametrize(("chosen", "wanted", "count"), OPTIONS)
def test_options(chosen: list[str], wanted: Any, count: int) -> None:
    assert option_matches(chosen, wanted) == count


@pytest.mark.parametrize(("changes", "r_type"), TYPES)
def test_types(changes: dict[str, Any], r_type: float) -> None:
    assert type_match(product(**changes), goal())[3] == r_type


def test_the_table_has_sixty_cases() -> None:
    assert len(SIMILAR) + len(COLOUR) + len(ATTRIBUTES) + len(OPTIONS) + len(TYPES) >= 60
    assert len(COLOURS) == 102


def test_a_tenth_of_the_nouns_or_less_makes_a_tenth() -> None:
    many = "Alpha Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Shoes"
    wanted = goal(name=many)
    assert type_match(product(title="Zed Shoes"), wanted)[3] == 0.1
    assert type_match(product(title="Zed Boots"), wanted)[3] == 0.0


def test_a_goal_without_nouns_scores_a_fifth() -> None:
    assert type_match(product(), goal(name="123 / 456"))[2] == 0.2


@pytest.mark.parametrize(
    ("price", "chosen", "total"),
    [(45.0, {"color": "red", "size": "8"}, 1.0), (50.0, {"color": "red", "size": "8"}, 1.0),
     (50.01, {"color": "red", "size": "8"}, 0.75), (45.0, {"color": "red"}, 0.75), (99.0, {}, 0.25)],
)  # fmt: skip
def test_the_total(price: float, chosen: dict[str, str], total: float) -> None:
    assert score(product(price=price), chosen, goal(options=("red", "8"))).total == total


def test_a_cheap_product_of_the_right_noun_earns_by_webshops_rule_and_nothing_hardened() -> None:
    wanted = goal(attributes=("memory foam",), options=())
    outcome = score(product(), {}, wanted)
    assert (outcome.total, outcome.hardened) == (0.5, 0.0)
    assert score(product(), {}, goal()).hardened == 1.0


text = st.text(max_size=30)


@given(title=text, name=text, attribute=text, option=text, chosen=text, price=st.floats(0, 1e6))
def test_every_reward_lies_in_the_unit_interval(
    title: str, name: str, attribute: str, option: str, chosen: str, price: float
) -> None:
    outcome = score(
        product(title=title, price=price),
        {"color": chosen},
        goal(name=name, attributes=(attribute,), options=(option,)),
    )
    assert 0.0 <= outcome.hardened <= 1.0
    assert 0.0 <= outcome.total <= 1.0
    assert not outcome.hardened > 0 or outcome.r_price == 1.0
