"""What a page says: WebShop's two text forms, and a plain one of ours without what repeats.

WebShop renders HTML and parses it again two or three times a step; here the text is written straight from the state.
"""

from collections.abc import Iterator
from typing import NamedTuple

from turnwise.envs.webshop.rules import BACK_TO_SEARCH, BUY, NEXT, PREVIOUS, SUB_PAGES, Page, Shop

SEPARATOR = " [SEP] "


class Node(NamedTuple):
    """One piece of visible text."""

    text: str
    kind: str = "text"
    """text, button, option or link."""
    clicked: bool = False


def nodes(shop: Shop, instruction: str, score: float | None = None) -> Iterator[Node]:
    """Yield the page's visible texts in WebShop's order, empty ones left out."""
    page = shop.state.page
    if page is Page.DONE:
        yield from map(Node, ("Your score (min 0.0, max 1.0)", str(score)))
        return
    if page is Page.INDEX:
        yield Node("WebShop")
    yield Node("Instruction:")
    yield Node(instruction)
    yield from {Page.INDEX: _index, Page.RESULTS: _results, Page.ITEM: _item, Page.SUB: _sub}[page](shop)


def simple(shop: Shop, instruction: str, score: float | None = None) -> str:
    """Return WebShop's ``text`` observation."""
    return SEPARATOR.join(node.text.strip() for node in nodes(shop, instruction, score))


def rich(shop: Shop, instruction: str, score: float | None = None) -> str:
    """Return WebShop's ``text_rich`` observation: one text a line, buttons marked, what was clicked marked so."""
    first, lines = "", []
    for node in nodes(shop, instruction, score):
        if node.kind == "option" and node.clicked:
            first = f"You have clicked {node.text}.\n{first}"
        lines.append(_marked(node))
    return first + "".join(line + "\n" for line in lines)


def _marked(node: Node) -> str:
    lead = {"option": "  ", "link": "\n"}.get(node.kind, "")
    if node.kind == "text":
        return node.text
    word = "clicked button" if node.clicked else "button"
    return f"{lead}[{word}] {node.text} [{word}_]"


def _index(_shop: Shop) -> Iterator[Node]:
    yield Node("Search", "button")


def _results(shop: Shop) -> Iterator[Node]:
    yield Node(BACK_TO_SEARCH, "button")
    yield Node(f"Page {shop.state.number} (Total results: {len(shop.hits())})")
    if shop.state.number > 1:
        yield Node(PREVIOUS, "button")
    yield Node(NEXT, "button")
    for number in shop.listed():
        product = shop.catalogue.product(number)
        yield Node(product.asin, "link", clicked=number in shop.state.visited)
        yield Node(product.title)
        yield Node(product.price_tag)


def _item(shop: Shop) -> Iterator[Node]:
    product = shop.product
    assert product is not None
    yield Node(BACK_TO_SEARCH, "button")
    yield Node(PREVIOUS, "button")
    chosen = set(shop.state.options.values())
    for name, values in product.options.items():
        yield Node(name)
        for value in values:
            # By value alone, whatever the group: WebShop looks for the quoted value in the address.
            yield Node(value, "option", clicked=value in chosen)
    yield from map(Node, (product.title, f"Price: {product.price_tag}", "Rating: N.A."))
    for name in SUB_PAGES:
        yield Node(name, "button")
    yield Node(BUY, "button")


def _sub(shop: Shop) -> Iterator[Node]:
    product = shop.product
    assert product is not None
    yield Node(BACK_TO_SEARCH, "button")
    yield Node(PREVIOUS, "button")
    texts = {"Description": (product.description,), "Features": product.bullets, "Reviews": ()}[shop.state.sub]
    yield from (Node(text) for text in texts if text.strip())


def plain(shop: Shop) -> str:
    """Return the page for an agent with tools: nothing but what is new, the instruction not repeated."""
    writers = {
        Page.INDEX: _plain_index,
        Page.RESULTS: _plain_results,
        Page.ITEM: _plain_item,
        Page.SUB: _plain_sub,
        Page.DONE: _plain_done,
    }
    return writers[shop.state.page](shop)


def _plain_index(_shop: Shop) -> str:
    return "You are on the search page of the shop."


def _plain_results(shop: Shop) -> str:
    state, total = shop.state, len(shop.hits())
    pages = -(-total // 10)
    if not total:
        return f"No product matches {state.query!r}. Search with other words."
    lines = [f"Results for {state.query!r}: page {state.number} of {pages}, {total} products"]
    for number in shop.listed():
        product = shop.catalogue.product(number)
        seen = " (opened before)" if number in state.visited else ""
        lines.append(f"{product.asin} | {product.price_tag} | {product.title}{seen}")
    if state.number > pages:
        lines.append("There are no more results.")
    return "\n".join(lines)


def _plain_item(shop: Shop) -> str:
    product = shop.product
    assert product is not None
    lines = [f"{product.asin}: {product.title}", f"Price: {product.price_tag}"]
    for name, values in product.options.items():
        chosen = shop.state.options.get(name)
        shown = (f"[{value}]" if value == chosen else value for value in values)
        lines.append(f"{name}: {' | '.join(shown)}" + ("" if chosen else " (none chosen)"))
    return "\n".join(lines)


def _plain_sub(shop: Shop) -> str:
    product, sub = shop.product, shop.state.sub
    assert product is not None
    texts = {"Description": (product.description,), "Features": product.bullets, "Reviews": ()}[sub]
    body = "\n".join(f"- {text}" if sub == "Features" else text for text in texts if text.strip())
    return f"{sub} of {product.asin}:\n{body or 'There is nothing here.'}"


def _plain_done(shop: Shop) -> str:
    product = shop.product
    assert product is not None
    chosen = ", ".join(f"{name} {value}" for name, value in shop.state.options.items())
    return f"You bought {product.asin}: {product.title}" + (f" ({chosen})" if chosen else "") + "."
