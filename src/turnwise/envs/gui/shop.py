"""The web shop in a browser: the pages that ``turnwise.envs.webshop.web`` serves, answered in this process.

Same tasks, rules and score as the ``webshop`` environment, so that one task can be solved by text tools, by a page's
text or by pixels, and compared.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import httpx
from pydantic import ConfigDict, JsonValue

from turnwise.envs.gui.sites import GoldStep, GuiSite, Verdict
from turnwise.envs.webshop import shoppers
from turnwise.envs.webshop.env import ShopData
from turnwise.envs.webshop.web import ShopSite, Visit
from turnwise.errors import EnvError
from turnwise.tasks.base import Task, TaskSet
from turnwise.tasks.panels import load_panel

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Session, Site, SiteRequest, SiteResponse

HOST = "shop.test"
_TOKEN = "1"
_BUTTON = """wanted => [...document.querySelectorAll("button[name=click], button[name=value]")]
  .find(button => button.value.toLowerCase() === wanted) ?? null"""
_SEARCH = "() => document.querySelector('#search_input')"
_GO = "() => document.querySelector('form.search button.go')"
_TYPED = "() => document.querySelector('#search_input')?.value ?? ''"


class ShopPagesData(ShopData):
    """The data of a shop task in a browser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: Literal["shop"]


class ShopPages(GuiSite):
    """One shopper's visit."""

    Data = ShopPagesData
    start = f"https://{HOST}/e/{_TOKEN}"

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self._shop = ShopSite(hosts=frozenset({HOST}), seed=seed)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(self._shop.app))

    async def sites(self) -> "Mapping[str, Site]":
        """Open the shop."""
        await self._shop.open(as_text(self.task), token=_TOKEN)
        return {HOST: answered_by(self._client)}

    async def verdict(self, session: "Session", *, final: bool) -> Verdict:
        """Score the purchase; nothing bought is 0."""
        result = self._visit.result
        if not self._visit.over or result is None:
            return Verdict()
        info = result.info
        parts = {part.name: part.value for part in info.reward_parts if part.value is not None}
        for name in ("outcome", "success"):
            parts.pop(name, None)
        return Verdict(done=True, score=info.score or 0.0, success=bool(info.success), parts=parts)

    async def gold(self, session: "Session") -> GoldStep:
        """Return the next step towards the product the instruction was written for."""
        env = self._visit.env
        call = shoppers.towards(env.shop, env.goal, self.task, native=False).calls[0]
        arguments: Any = call.arguments
        if call.name == "search":
            return await self._search(session, str(arguments["query"]))
        node = await session.active.isolated_node(_BUTTON, str(arguments["element"]).lower())
        return GoldStep(tool="goto", args={"url": self.start}) if node is None else GoldStep(tool="click", node=node)

    async def state(self) -> JsonValue:
        """Return where the shopper is."""
        return self._visit.env.state()

    async def close(self) -> None:
        """Close the shop."""
        await self._client.aclose()

    @property
    def _visit(self) -> Visit:
        visit = self._shop.visit(f"/e/{_TOKEN}")
        if visit is None:
            raise EnvError(f"task {self.task.id!r}: the shop is not open")
        return visit

    async def _search(self, session: "Session", query: str) -> GoldStep:
        tab = session.active
        field = await tab.isolated_node(_SEARCH)
        if field is None:
            return GoldStep(tool="goto", args={"url": self.start})
        if await tab.isolated(_TYPED) != query:
            return GoldStep(tool="fill", node=field, args={"text": query})
        return GoldStep(tool="click", node=await tab.isolated_node(_GO))


def answered_by(client: httpx.AsyncClient) -> "Callable[[SiteRequest], Awaitable[SiteResponse]]":
    """Return a site that passes requests on to an application in this process."""
    from turnwise.envs.gui.engine import SiteResponse

    async def answer(request: "SiteRequest") -> SiteResponse:
        asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.body)
        got = await client.send(asked, follow_redirects=False)
        return SiteResponse(got.status_code, dict(got.headers), got.content)

    return answer


def as_pages(task: Task) -> Task:
    """Return a ``webshop`` task as a ``gui`` task: same instruction, product and score."""
    return task.model_copy(update={"env": "gui", "data": {"site": "shop", **task.data}})


def as_text(task: Task) -> Task:
    """Return a ``gui`` task of the shop as the ``webshop`` task it came from."""
    data = {name: value for name, value in task.data.items() if name != "site"}
    return task.model_copy(update={"env": "webshop", "data": data})


@lru_cache(maxsize=1)
def shop() -> TaskSet:
    """The panel ``gui/shop``: the tasks of ``webshop/shop``, for a browser."""
    tasks = load_panel("webshop/shop@1")
    return TaskSet(name="gui/shop", tasks=tuple(as_pages(task) for task in tasks))
