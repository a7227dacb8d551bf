"""Shoppers for the harness: one that knows the goal, one that wanders, and how far a shopper has come."""

import random

from turnwise.envs.types import Action, ToolCall
from turnwise.envs.webshop.reward import Goal, Outcome, option_matches, score
from turnwise.envs.webshop.rules import BACK_TO_SEARCH, BUY, NEXT, PER_PAGE, PREVIOUS, SUB_PAGES, Page, Shop, State
from turnwise.errors import EnvError
from turnwise.tasks.base import Task


def leave_item(state: State) -> list[str] | None:
    """Return the clicks that lead back to the results, None where there are none to go back to."""
    return {Page.RESULTS: [], Page.ITEM: [PREVIOUS], Page.SUB: [PREVIOUS, PREVIOUS]}.get(state.page)


def towards(shop: Shop, goal: Goal, task: Task, *, native: bool) -> Action:
    """Return the next action of a shopper who knows which product is meant.

    Raises:
        EnvError: The catalogue does not hold the product, or no search is known that lists it.
    """
    number = shop.catalogue.number(goal.asin)
    if number is None:
        raise EnvError(f"task {task.id!r}: the catalogue has no product {goal.asin}")
    state = shop.state
    if state.item == number:
        return _purchase(shop, goal, native=native)
    hits = shop.hits() if state.page is Page.RESULTS else ()
    if number in hits:
        return _approach(shop, goal.asin, hits.index(number) // PER_PAGE + 1, native=native)
    query = str(task.gold.get("query") or goal.name)
    if number not in shop.catalogue.search(query.lower()):
        raise EnvError(f"task {task.id!r}: searching {query!r} does not list {goal.asin}; gold.query must")
    return _call("search", query=query)


def _approach(shop: Shop, asin: str, page: int, *, native: bool) -> Action:
    if shop.state.number == page:
        return _call("open", asin=asin) if native else _click(asin.lower())
    forward = shop.state.number < page
    if native:
        return _call("next_page" if forward else "back")
    return _click(NEXT.lower() if forward else PREVIOUS.lower())


def _purchase(shop: Shop, goal: Goal, *, native: bool) -> Action:
    if shop.state.page is Page.SUB and not native:
        return _click(PREVIOUS.lower())
    missing = _missing(shop, goal)
    if missing is None:
        return _call("buy") if native else _click(BUY.lower())
    name, value = missing
    return _call("choose", option=name, value=value) if native else _click(value)


def _missing(shop: Shop, goal: Goal) -> tuple[str, str] | None:
    """Return an option and the value to choose for it, None where every wanted one is met or cannot be."""
    product, chosen = shop.product, shop.state.options
    assert product is not None
    if option_matches(list(chosen.values()), goal.options) == len(goal.options):
        return None
    pairs = goal.options.items() if isinstance(goal.options, dict) else [("", value) for value in goal.options]
    for name, wanted in pairs:
        if option_matches(list(chosen.values()), [wanted]):
            continue
        fitting = [
            (value != wanted, option, value)
            for option, values in product.options.items()
            for value in values
            if name in ("", option) and option_matches([value], [wanted])
        ]
        if fitting:
            return min(fitting)[1:]
    return None


def wander(shop: Shop, instruction: str, rng: random.Random, *, native: bool) -> Action:
    """Return a random legal action: a search for a word or two of the instruction, or any click there is."""
    words = instruction.split() or ["gift"]
    targets = [] if shop.state.page is Page.INDEX else shop.clickables()
    if not targets or rng.random() < 0.1:
        return _call("search", query=" ".join(rng.sample(words, min(len(words), rng.randint(1, 2)))))
    target = rng.choice(targets)
    return _named(shop, target) if native else _click(target)


def _named(shop: Shop, target: str) -> Action:
    """Turn a click into the tool that does the same."""
    tools = {BACK_TO_SEARCH: "back", PREVIOUS: "back", NEXT: "next_page", BUY: "buy"}
    tools |= {name: name.lower() for name in SUB_PAGES if name != "Reviews"}
    by_text = {text.lower(): name for text, name in tools.items()}
    if target in by_text:
        return _call(by_text[target])
    if target == "reviews":
        return _call("features")
    if shop.state.page is Page.RESULTS:
        return _call("open", asin=target.upper())
    product = shop.product
    assert product is not None
    option = next(name for name, values in product.options.items() if target in values)
    return _call("choose", option=option, value=target)


def progress(shop: Shop, goal: Goal, outcome: Outcome | None) -> float:
    """Return a number in [0, 1]: 0.1 where the product is listed, what buying now would earn where one is open."""
    if outcome is not None:
        return outcome.total
    product = shop.product
    if product is not None:
        return 0.1 + 0.85 * score(product, shop.state.options, goal).total
    listed = shop.state.page is Page.RESULTS and shop.catalogue.number(goal.asin) in shop.listed()
    return 0.1 if listed else 0.0


def _call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="h1", name=name, arguments=dict(arguments)),))


def _click(element: str) -> Action:
    return _call("click", element=element)
