"""The web shop as an environment: WebShop's rules behind its own text grammar, or behind tools."""

import random
import re
from hashlib import sha256
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from turnwise.envs.base import EnvConfig
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall, ToolOutput, tool
from turnwise.envs.types import Action, Grade, Observation, Snapshot, Status, StopReason, ToolCall
from turnwise.envs.webshop import catalogue, html, pages, shoppers
from turnwise.envs.webshop.reward import Goal, Outcome, score
from turnwise.envs.webshop.rules import BACK_TO_SEARCH, BUY, NEXT, PREVIOUS, Page, Shop, State
from turnwise.errors import TaskError
from turnwise.tasks.base import Task

_GRAMMAR = re.compile(r"(.+)\[(.+)\]")
_NATIVE = ("search", "open", "choose", "description", "features", "back", "next_page", "buy")
_WEBSHOP = ("search", "click")


class WebShopConfig(EnvConfig):
    """Settings of the web shop."""

    interface: Literal["tools", "webshop"] = "tools"
    """``webshop``: ``search[…]`` and ``click[…]`` with WebShop's grammar, whose wrong actions do nothing, silently."""
    observation: Literal["plain", "text", "text_rich", "html"] | None = None
    """None: ``plain`` with tools, WebShop's ``text`` with its interface."""
    grading: Literal["webshop", "hardened"] = "webshop"
    """Which formula gives the score; success is a score of 1."""


class ShopData(BaseModel):
    """The data of a task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalogue: str
    """``generated:<size>:<seed>``, or ``file``."""
    digest: str
    """sha256 of its content."""


class WebShopEnv(ToolEnv):
    """Find and buy the product an instruction describes.

    Actions: with ``interface="tools"`` one tool for each thing a shopper does; with ``interface="webshop"`` WebShop's
    two. Both move through the same pages (Yao et al. 2022). Buying ends the episode.
    """

    name = "webshop"
    version = "1"
    Config = WebShopConfig
    Data = ShopData
    default_panel = "webshop/shop"
    web = "turnwise.envs.webshop.web:play"
    PRESETS: ClassVar[dict[str, dict[str, float]]] = {
        "default": {"outcome": 1.0},
        "webshop": {"webshop": 1.0},
        "hardened": {"hardened": 1.0},
        "binary": {"success": 1.0},
        "ten": {"success": 10.0},
    }

    config: WebShopConfig

    async def begin(self) -> Observation | str:
        """Open the shop on its search page."""
        _goal(self.task)
        self.shop = Shop(catalogue.load(self.data.catalogue, self.data.digest))
        self._outcome: Outcome | None = None
        if self.config.interface == "tools":
            return f"{self.task.instruction}\n\n{self._page()}"
        return self._page()

    @property
    def goal(self) -> Goal:
        """What the grader wants; read anew each time, since a thousand idle episodes need not each hold one."""
        return _goal(self.task)

    def state(self) -> JsonValue:
        """Return where the shopper is."""
        return self.shop.state.plain()

    async def state_key(self) -> str:
        """Hash the state; its repr is as canonical as JSON, and a tenth of the work."""
        return sha256(repr((self.shop.state.plain(), self._over is not None)).encode()).hexdigest()

    async def grade(self) -> Grade:
        """Score the purchase; nothing bought is 0."""
        outcome = self.outcome()
        if outcome is None:
            return Grade(0.0, success=False)
        total = outcome.hardened if self.config.grading == "hardened" else outcome.total
        for part in ("r_type", "r_att", "r_price", "title_score", "hardened"):
            self.pay(part, getattr(outcome, part))
        if outcome.r_option is not None:
            self.pay("r_option", outcome.r_option)
        self.pay("webshop", outcome.total)
        self.pay("success", float(total == 1.0))
        return Grade(total, total == 1.0)

    def outcome(self) -> Outcome | None:
        """Return the purchase's reward and its parts, None before one."""
        product = self.shop.product
        if self.shop.state.page is Page.DONE and product is not None and self._outcome is None:
            self._outcome = score(product, self.shop.state.options, self.goal)
        return self._outcome

    def offered(self) -> tuple[str, ...]:
        """Return the interface's tools."""
        return _NATIVE if self.config.interface == "tools" else _WEBSHOP

    def parse(self, text: str) -> Action:
        """Read WebShop's grammar, or ``tool[argument]``."""
        if self.config.interface == "tools":
            return super().parse(text)
        match = _GRAMMAR.match(text)
        argument = {"search": "query", "click": "element"}.get(match[1]) if match else None
        if match is None or argument is None:
            return Action(text=text)
        call = ToolCall(id=f"t{self._turn + 1}", name=match[1], arguments={argument: match[2]})
        return Action(text=text, calls=(call,))

    async def on_text(self, text: str) -> ToolOutput:
        """Answer a turn without an action; WebShop shows the same page again."""
        if self.config.interface == "tools":
            return await super().on_text(text)
        return ToolOutput.of(self._page(), Status.INVALID)

    # Both interfaces.

    @tool
    def search(self, query: str) -> str | ToolOutput:
        """Search the shop; the best 50 products are listed, ten a page. Works from every page.

        Args:
            query: A few words that describe the product.
        """
        if not self.shop.search(query):
            return self._refuse("The query is empty.")
        return self._page()

    @tool
    def click(self, element: str) -> str | ToolOutput:
        """Click a button, a product's id or an option on the present page.

        Args:
            element: The text of what to click.
        """
        if not self.shop.click(element):
            return self._refuse(f"{element[:80]!r} cannot be clicked here.")
        return self._shown()

    # Tools.

    @tool
    def open(self, asin: str) -> str:
        """Open a product of the page of results.

        Args:
            asin: The product's id, as listed.
        """
        number = self.shop.catalogue.number(asin.strip().upper())
        way = shoppers.leave_item(self.shop.state)
        if number is None or way is None or number not in self.shop.listed():
            raise InvalidCall(f"The present page of results does not list {asin[:40]!r}. {self._where()}")
        return self._clicks([*way, asin.strip()])

    @tool
    def choose(self, option: str, value: str) -> str:
        """Choose an option of the open product, such as its size.

        Args:
            option: The option's name.
            value: One of its values.
        """
        product, name, wanted = self._opened(), option.strip().lower(), value.strip().lower()
        if name not in product.options:
            known = ", ".join(product.options) or "none"
            raise InvalidCall(f"This product has no option {option[:40]!r}; it has: {known}.")
        if wanted not in product.options[name]:
            raise InvalidCall(f"{name} cannot be {value[:40]!r}; it can be: {' | '.join(product.options[name])}.")
        self._to_item()
        self.shop.choose(name, wanted)
        return self._page()

    @tool
    def description(self) -> str:
        """Read the open product's description."""
        return self._sub("Description")

    @tool
    def features(self) -> str:
        """Read the open product's list of features."""
        return self._sub("Features")

    @tool
    def back(self) -> str:
        """Go back: from a product to the results, from results to the page before, from the first to the search."""
        state = self.shop.state
        if state.page is Page.INDEX:
            raise InvalidCall("This is the search page: there is nothing to go back to. Call search(query).")
        first = state.page is Page.RESULTS and state.number == 1
        return self._clicks([BACK_TO_SEARCH if first else PREVIOUS])

    @tool
    def next_page(self) -> str:
        """Show the next ten results."""
        if self.shop.state.page is not Page.RESULTS:
            raise InvalidCall(f"Only results have a next page. {self._where()}")
        return self._clicks([NEXT])

    @tool
    def buy(self) -> str:
        """Buy the open product with the options chosen. This ends the episode."""
        self._opened()
        self._to_item()
        return self._clicks([BUY])

    # For the harness.

    async def gold_action(self) -> Action:
        """Return the next action towards the product the instruction was written for."""
        return shoppers.towards(self.shop, self.goal, self.task, native=self.config.interface == "tools")

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random action that changes the page."""
        return shoppers.wander(self.shop, self.task.instruction, rng, native=self.config.interface == "tools")

    async def progress(self) -> float:
        """Return how far the shopper has come: a tenth for listing the product, else what buying now would earn."""
        return shoppers.progress(self.shop, self.goal, self.outcome())

    # State.

    async def snapshot(self) -> Snapshot:
        """Copy the state."""
        snapshot = await super().snapshot()
        over = self._over.value if self._over else None
        return snapshot.model_copy(update={"state": [self.shop.state.plain(), over]})

    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Continue from a copied state; nothing is replayed."""
        if not isinstance(snapshot.state, list):
            await super().restore(snapshot, task)
            return
        plain, over = snapshot.state
        assert isinstance(plain, list)
        assert over is None or isinstance(over, str)
        self.resume(snapshot, task, StopReason(over) if over else None)
        self.shop = Shop(catalogue.load(self.data.catalogue, self.data.digest), State.of(plain))
        self._outcome = None

    # How it works.

    def _page(self) -> str:
        form = self.config.observation or ("plain" if self.config.interface == "tools" else "text")
        if form == "plain":
            return pages.plain(self.shop)
        outcome = self.outcome()
        shown = None if outcome is None else outcome.total
        if form == "html":
            return html.page(self.shop, self.task.instruction, score=shown)
        return (pages.simple if form == "text" else pages.rich)(self.shop, self.task.instruction, shown)

    def _shown(self) -> str:
        if self.shop.state.page is Page.DONE:
            self.finish(StopReason.ENDED)
        return self._page()

    def _clicks(self, targets: list[str]) -> str:
        for target in targets:
            self.shop.click(target)
        return self._shown()

    def _sub(self, name: str) -> str:
        self._opened()
        self._to_item()
        return self._clicks([name])

    def _to_item(self) -> None:
        if self.shop.state.page is Page.SUB:
            self.shop.click(PREVIOUS)

    def _opened(self) -> Any:
        product = self.shop.product
        if product is None:
            raise InvalidCall(f"No product is open. {self._where()}")
        return product

    def _where(self) -> str:
        if self.shop.state.page is Page.INDEX:
            return "This is the search page: call search(query)."
        if self.shop.state.page is Page.RESULTS:
            return "These are results: call open(asin) with one of the ids listed."
        return "A product is open: call back() for the results."

    def _refuse(self, why: str) -> ToolOutput:
        if self.config.interface == "tools":
            raise InvalidCall(why)
        return ToolOutput.of(self._page(), Status.INVALID)


def _goal(task: Task) -> Goal:
    try:
        return Goal.model_validate(task.gold.get("goal"))
    except ValueError as error:
        raise TaskError(f"task {task.id!r} does not fit webshop: gold.goal: {error}") from error
