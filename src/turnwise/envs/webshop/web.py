"""The shop as a web site: the same rules and episodes, for people, for screenshots and for agents with a browser.

No script, no cookie: every action is a form, every episode has an address nobody can guess. Anything that came from a
task, a catalogue or a visitor is escaped, and the content policy allows nothing from elsewhere.
"""

import secrets
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from turnwise.envs.types import Action, Status, StepResult, ToolCall
from turnwise.envs.webshop import html
from turnwise.envs.webshop.env import WebShopConfig, WebShopEnv
from turnwise.envs.webshop.rules import Page
from turnwise.errors import ConfigError
from turnwise.tasks.base import Task, TaskSet

MAX_EPISODES = 500
"""Episodes kept; the one longest unused goes first."""
MAX_BODY = 16_384
LISTED = 60
"""Tasks offered on the start page."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PARTS = {"r_type": "Type of product", "r_att": "Attributes", "r_option": "Options", "r_price": "Price"}
Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Visit:
    """One episode on the site."""

    env: WebShopEnv
    result: StepResult | None = None
    """The last step's; it carries the score once the episode has ended."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        return self.result is not None and (self.result.terminated or self.result.truncated)

    async def act(self, form: dict[str, str]) -> None:
        """Do what a form asks; after the end nothing."""
        action = _action(form)
        async with self.lock:
            if action is not None and not self.over:
                self.result = await self.env.step(action)


class ShopSite:
    """A site of episodes.

    Args:
        tasks: What visitors may choose from on the start page; None: no start page, only ``open``.
        config: Settings of the environments; the interface is always WebShop's.
        hosts: Names by which the site may be addressed, without port.
        seed: Of the episodes.
    """

    def __init__(
        self,
        tasks: TaskSet | None = None,
        *,
        config: WebShopConfig | None = None,
        hosts: frozenset[str] = LOOPBACK,
        seed: int = 0,
    ) -> None:
        self.tasks, self.hosts, self.seed = tasks, hosts, seed
        self.config = (config or WebShopConfig()).model_copy(update={"interface": "webshop", "observation": None})
        self.visits: OrderedDict[str, Visit] = OrderedDict()
        self._next = 0
        self._style = resources.files("turnwise.envs.webshop").joinpath("static/shop.css").read_bytes()

    @property
    def app(self) -> Starlette:
        """The site as an ASGI application."""
        routes = [
            Route("/", self._guarded(self._start)),
            Route("/start", self._guarded(self._begin), methods=["POST"]),
            Route("/static/shop.css", self._guarded(self._css)),
            Route("/e/{token}", self._guarded(self._show)),
            Route("/e/{token}", self._guarded(self._act), methods=["POST"]),
            Route("/{path:path}", self._guarded(self._missing)),
        ]
        return Starlette(routes=routes)

    async def open(self, task: Task, *, token: str | None = None) -> str:
        """Begin an episode and return its path, ``/e/<token>``; without a token one that nobody can guess."""
        env = WebShopEnv(self.config)
        await env.reset(task, seed=self.seed)
        token = token or secrets.token_urlsafe(24)
        self.visits[token] = Visit(env)
        while len(self.visits) > MAX_EPISODES:
            self.visits.popitem(last=False)
        return f"/e/{token}"

    def visit(self, path: str) -> Visit | None:
        """Return the episode at a path."""
        return self.visits.get(path.removeprefix("/e/"))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            response = self._refusal(request) or await handler(request)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return guarded

    def _refusal(self, request: Request) -> Response | None:
        """Refuse names that are not ours (DNS rebinding) and forms from other sites."""
        host = request.headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in self.hosts:
            return _problem("Wrong address", "This shop is not served under that name.", 421)
        origin = request.headers.get("origin")
        if request.method == "POST" and origin is not None and urlsplit(origin).netloc != host:
            return _problem("Refused", "This form did not come from the shop.", 403)
        return None

    async def _start(self, request: Request) -> Response:
        if self.tasks is None:
            return await self._missing(request)
        size = int(str(self.tasks.tasks[0].data.get("catalogue", ":0")).split(":")[1] or 0)
        return HTMLResponse(html.render("start", tasks=self.tasks.tasks[:LISTED], size=size, page="start"))

    async def _begin(self, request: Request) -> Response:
        form = await _form(request)
        if self.tasks is None or form is None:
            return await self._missing(request)
        task = next((task for task in self.tasks if task.id == form.get("task")), None)
        if task is None:
            task = self.tasks.tasks[self._next % len(self.tasks)]
            self._next += 1
        return RedirectResponse(await self.open(task), status_code=303)

    async def _css(self, _request: Request) -> Response:
        return Response(self._style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    async def _show(self, request: Request) -> Response:
        visit = self._visited(request)
        return await self._missing(request) if visit is None else HTMLResponse(self._page(request, visit))

    async def _act(self, request: Request) -> Response:
        visit, form = self._visited(request), await _form(request)
        if visit is None:
            return await self._missing(request)
        if form is None:
            return _problem("Too much", "That form is too large.", 413)
        await visit.act(form)
        return RedirectResponse(request.url.path, status_code=303)

    async def _missing(self, _request: Request) -> Response:
        text = "There is no such page, or the episode is no longer kept."
        return _problem("Not found", text, 404, start=self.tasks is not None)

    def _visited(self, request: Request) -> Visit | None:
        token = request.path_params["token"]
        if token in self.visits:
            self.visits.move_to_end(token)
        return self.visits.get(token)

    def _page(self, request: Request, visit: Visit) -> str:
        env, result = visit.env, visit.result
        shared: dict[str, Any] = {"here": request.url.path, "start": self.tasks is not None, "draw": html.drawn}
        if visit.over and result is not None:
            values = {part.name: part.value for part in result.info.reward_parts}
            parts = [(label, values[name]) for name, label in _PARTS.items() if values.get(name) is not None]
            score = result.info.score
            if env.shop.state.page is Page.DONE:
                return html.page(env.shop, env.task.instruction, score=score, parts=parts, **shared)
            text = f"It stopped before a purchase. Score: {score}"
            return html.render("problem", heading="The episode has ended", text=text, **shared)
        invalid = result is not None and result.info.status is Status.INVALID
        notice = "That could not be done on this page." if invalid else ""
        return html.page(env.shop, env.task.instruction, notice=notice, **shared)


async def serve(
    tasks: TaskSet,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 0,
    config: WebShopConfig | None = None,
    ready: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve a shop until cancelled or interrupted.

    Args:
        tasks: What visitors may choose from.
        host: Where to listen; only its own name and loopback names are answered.
        port: 0: any free one.
        seed: Of the episodes.
        config: Settings of the environments.
        ready: Told the address once the site answers.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    import uvicorn

    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another port") from error
    site = ShopSite(tasks, config=config, hosts=LOOPBACK | {host}, seed=seed)
    # One page visited first: the catalogue is loaded before anyone waits for it.
    await site.open(tasks.tasks[0])
    site.visits.clear()
    shown = f"[{host}]" if ":" in host else host
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "lifespan": "off"}
    settings = uvicorn.Config(site.app, timeout_graceful_shutdown=2, **quiet)
    with listener:
        ready(f"http://{shown}:{listener.getsockname()[1]}/")
        await uvicorn.Server(settings).serve(sockets=[listener])


def play(tasks: TaskSet, **settings: object) -> None:
    """Run ``serve`` to its end; for the command line."""
    anyio.run(partial(serve, tasks, **settings))  # type: ignore[arg-type]


def _action(form: dict[str, str]) -> Action | None:
    if "search" in form:
        return Action(calls=(ToolCall(id="w1", name="search", arguments={"query": form["search"]}),))
    target = form.get("click", form.get("value"))
    return Action(calls=(ToolCall(id="w1", name="click", arguments={"element": target}),)) if target else None


async def _form(request: Request) -> dict[str, str] | None:
    """Read a form's fields, None where it is too large or malformed."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=8))
    except ValueError:
        return None


def _problem(heading: str, text: str, status: int, *, start: bool = False) -> Response:
    return HTMLResponse(html.render("problem", heading=heading, text=text, start=start), status_code=status)
