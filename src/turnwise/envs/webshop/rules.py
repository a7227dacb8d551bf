"""The shop's rules: which pages there are, what can be clicked on each, and where a click leads.

These are WebShop's session rules (Yao et al. 2022, read from its released text environment), over a state of a few
hundred bytes. Both interfaces, text clicks and native tools, move through this one machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from turnwise.envs.webshop.catalogue import Catalogue
from turnwise.envs.webshop.product import Product

PER_PAGE = 10
BACK_TO_SEARCH, NEXT, PREVIOUS, BUY = "Back to Search", "Next >", "< Prev", "Buy Now"
SUB_PAGES = ("Description", "Features", "Reviews")
_SUB_PAGES = {name.lower(): name for name in SUB_PAGES}
MAX_QUERY = 1000
"""Characters of a query that are kept."""


class Page(StrEnum):
    """The kinds of page."""

    INDEX = "index"
    RESULTS = "results"
    ITEM = "item"
    SUB = "sub"
    DONE = "done"


@dataclass(slots=True)
class State:
    """Where a shopper is, and what was chosen."""

    page: Page = Page.INDEX
    query: str = ""
    number: int = 1
    """The page of results, from 1."""
    item: int | None = None
    """The product's number in the catalogue."""
    sub: str = ""
    """Which sub page of the product is open."""
    options: dict[str, str] = field(default_factory=dict)
    visited: set[int] = field(default_factory=set)

    def plain(self) -> list[JsonValue]:
        """Return the state as plain JSON."""
        options: list[JsonValue] = [[name, value] for name, value in self.options.items()]
        return [str(self.page), self.query, self.number, self.item, self.sub, options, [*sorted(self.visited)]]

    @classmethod
    def of(cls, plain: list[JsonValue]) -> "State":
        """Rebuild a state from plain JSON."""
        page, query, number, item, sub, options, visited = plain
        return cls(Page(page), query, number, item, sub, dict(options), set(visited))  # type: ignore[arg-type]


class Shop:
    """One shopper in one catalogue."""

    __slots__ = ("catalogue", "state")

    def __init__(self, catalogue: Catalogue, state: State | None = None) -> None:
        self.catalogue = catalogue
        self.state = state or State()

    @property
    def product(self) -> Product | None:
        """The product that is open or bought."""
        return None if self.state.item is None else self.catalogue.product(self.state.item)

    def hits(self) -> tuple[int, ...]:
        """Return all hits of the present search."""
        return self.catalogue.search(self.state.query)

    def listed(self) -> tuple[int, ...]:
        """Return the products on the present page of results; past the last page there are none."""
        start = (self.state.number - 1) * PER_PAGE
        return self.hits()[start : start + PER_PAGE]

    def buttons(self) -> Iterator[str]:
        """Yield the present page's buttons and links as shown, without options."""
        page = self.state.page
        if page is Page.INDEX:
            yield "Search"
        if page in (Page.RESULTS, Page.ITEM, Page.SUB):
            yield BACK_TO_SEARCH
        if page in (Page.ITEM, Page.SUB) or (page is Page.RESULTS and self.state.number > 1):
            yield PREVIOUS
        if page is Page.RESULTS:
            yield NEXT
            yield from (self.catalogue.product(number).asin for number in self.listed())
        if page is Page.ITEM:
            yield from (*SUB_PAGES, BUY)

    def clickables(self) -> list[str]:
        """Return what WebShop's ``click[…]`` accepts here, lower case, plus ``search`` on the first page."""
        found = dict.fromkeys(button.lower() for button in self.buttons())
        if self.state.page is Page.ITEM and self.product:
            found.update(dict.fromkeys(value for values in self.product.options.values() for value in values))
        return list(found)

    def search(self, words: str) -> bool:
        """Search, from whatever page; return whether it was done."""
        words = words.lower()[:MAX_QUERY]
        if not words or self.state.page is Page.DONE:
            return False
        self.state.query = words
        return self._results(1)

    def click(self, target: str) -> bool:
        """Click something by its text; return False, changing nothing, where that cannot be clicked.

        An option whose value is also a button's text cannot be chosen: the button wins, as in WebShop.
        """
        target = target.lower()
        if self.state.page in (Page.DONE, Page.INDEX):
            return False
        if target == BACK_TO_SEARCH.lower():
            self.state = State()
            return True
        if self.state.page is Page.RESULTS:
            return self._click_results(target)
        if target == PREVIOUS.lower():
            return self._item() if self.state.page is Page.SUB else self._results(self.state.number)
        return self.state.page is Page.ITEM and self._click_item(target)

    def choose(self, name: str, value: str) -> bool:
        """Choose an option of the open product by name and value."""
        product = self.product
        if self.state.page is not Page.ITEM or product is None or value not in product.options.get(name, ()):
            return False
        self.state.options[name] = value
        return True

    def open(self, number: int) -> bool:
        """Open a product that the present page of results lists."""
        if self.state.page is not Page.RESULTS or number not in self.listed():
            return False
        self.state.item = number
        self.state.visited.add(number)
        return self._item()

    def _click_results(self, target: str) -> bool:
        if target == NEXT.lower():
            return self._results(self.state.number + 1)
        if target == PREVIOUS.lower():
            return self.state.number > 1 and self._results(self.state.number - 1)
        number = self.catalogue.number(target.upper())
        return number is not None and self.open(number)

    def _click_item(self, target: str) -> bool:
        if target == BUY.lower():
            self.state.page = Page.DONE
            return True
        if target in _SUB_PAGES:
            self.state.page, self.state.sub = Page.SUB, _SUB_PAGES[target]
            return True
        product = self.product
        assert product is not None
        holders = [name for name, values in product.options.items() if target in values]
        # One clickable per text, keyed by it: the later of two groups that share a value wins.
        return bool(holders) and self.choose(holders[-1], target)

    def _results(self, number: int) -> bool:
        self.state.page, self.state.number, self.state.item, self.state.sub = Page.RESULTS, number, None, ""
        self.state.options.clear()
        return True

    def _item(self) -> bool:
        self.state.page, self.state.sub = Page.ITEM, ""
        return True
