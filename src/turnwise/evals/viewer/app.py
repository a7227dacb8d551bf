"""The pages: each a query and a template."""

import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from turnwise.envs.types import ImagePart, Observation, text_of
from turnwise.errors import StoreError, TurnwiseError
from turnwise.evals.viewer import drawing, frames, queries
from turnwise.evals.viewer.guard import Guard
from turnwise.evals.viewer.lazy import Later, LazyContext, later, parts
from turnwise.evals.viewer.queries import Filters
from turnwise.evals.viewer.search import SearchIndex
from turnwise.trajectories.records import SOURCES, Trajectory
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import CreditRow

STATIC = {
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
TRANSCRIPT = (
    "turns",
    "turn_page",
    "turn_pages",
    "bars",
    "seconds",
    "methods",
    "chosen",
    "signs",
    "attempts",
    "n_sequences",
)
TOKENS = 2000
"""Tokens on one page."""

HIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def create_app(path: str | Path, *, token: str | None = None, hosts: frozenset[str] = frozenset()) -> Starlette:
    """Make the application that shows a store; it is opened for reading only.

    Args:
        path: The store.
        token: What a reader must know; required by the command where the address is not loopback.
        hosts: Names beside loopback under which it is served.

    Raises:
        StoreError: There is no store, or it cannot be read.
    """
    pages = _Pages(Store.open(path), SearchIndex(Path(path)))
    routes = [
        Route("/", pages.runs),
        Route("/run/{run:path}/training", pages.training),
        Route("/run/{run:path}/episode/{episode}/tokens", pages.tokens),
        Route("/run/{run:path}/episode/{episode}/export", pages.export),
        Route("/run/{run:path}/episode/{episode}/frame", pages.frame),
        Route("/run/{run:path}/episode/{episode}", pages.episode),
        Route("/run/{run:path}/group/{uid}", pages.group),
        Route("/run/{run:path}/diff", pages.diff),
        Route("/run/{run:path}", pages.run),
        Route("/image/{digest}", pages.image),
        Route("/mark", pages.mark),
        Route("/static/{name}", pages.static),
    ]
    handlers: dict[Any, Any] = {HTTPException: pages.missing, TurnwiseError: pages.wrong}
    guard = Middleware(Guard, token=token, hosts=hosts)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=pages.lifespan)


class _Pages:
    """The handlers; plain functions, so that each runs in a worker thread."""

    def __init__(self, store: Store, index: SearchIndex) -> None:
        self.store, self.index, self.remembered = store, index, queries.Remembered()
        self.templates = Environment(
            loader=PackageLoader("turnwise.evals.viewer"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            finalize=_visible,
        )
        self.templates.context_class = LazyContext
        self.templates.filters |= {"num": _number, "pct": _percent, "said": _observed, "args": _arguments}
        self.templates.globals |= {
            "adv": drawing.advantage_class,
            "is_image": lambda part: isinstance(part, ImagePart),
            "frame_key": frames.key,
        }

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Fill the search index while the server runs."""
        self.index.start()
        try:
            yield
        finally:
            self.index.close()

    def page(self, template: str, request: Request, **values: Any) -> Response:
        """Send the top of a page at once: the browser fetches the style and paints while the rest is asked for."""
        values |= {"store": self.store.path.name, "mark": queries.mark(self.store), "query": request.query_params}
        return StreamingResponse(parts(self.templates.get_template(template), values), media_type="text/html")

    def runs(self, request: Request) -> Response:
        listed = Later(lambda: [(record, self._sums(record.run)) for record in reversed(self.store.runs())])
        return self.page("runs.html", request, runs=listed)

    def run(self, request: Request) -> Response:
        record = self._run(request)
        asked = request.query_params
        filters = Filters(
            outcome=asked.get("outcome", ""),
            stop=asked.get("stop", ""),
            q=asked.get("q", "").replace("\0", "").strip(),
            sort=asked.get("sort", "task"),
            page=_whole(asked.get("page"), 1),
        )
        found = Later(lambda: queries.episodes(self.store, self.index, record.run, filters, self.remembered))
        return self.page(
            "run.html",
            request,
            run=record,
            sums=Later(lambda: self._sums(record.run)),
            stops=Later(lambda: self._remember(queries.stop_reasons, record.run)),
            found=found,
            filters=filters,
            pages=Later(lambda: max(1, math.ceil(found().total / queries.PAGE))),
            size=queries.PAGE,
            sorts=list(queries.SORTS),
            has_metrics=bool(self.store.query("SELECT 1 FROM metrics WHERE run = ? LIMIT 1", record.run)),
        )

    def episode(self, request: Request) -> Response:
        record, row = self._episode(request)
        before, after = queries.neighbours(self.store, record.run, request.path_params["episode"])
        episode = queries.head(self.store, row["id"])
        values = later(TRANSCRIPT, lambda: self._transcript(request, row, episode)) | {"episode": episode}
        return self.page("episode.html", request, run=record, row=row, before=before, after=after, **values)

    def _transcript(self, request: Request, row: Any, episode: Trajectory) -> dict[str, Any]:
        pages = max(1, math.ceil(row["n_turns"] / queries.TURNS))
        page = min(max(_whole(request.query_params.get("page"), 1), 1), pages)
        turns = queries.turns(self.store, row["id"], (page - 1) * queries.TURNS, queries.TURNS)
        bars, seconds = drawing.timeline(turns)
        credits_ = _named([c for c in self.store.credit(episode_id=episode.episode_id) if c.attempt == episode.attempt])
        chosen = _chosen(credits_, request.query_params.getlist("method"))
        attempts = self.store.query(
            "SELECT attempt, failure FROM episodes WHERE episode_id = ? ORDER BY attempt", episode.episode_id
        )
        return {
            "turns": turns,
            "turn_page": page,
            "turn_pages": pages,
            "bars": bars,
            "seconds": seconds,
            "methods": credits_,
            "chosen": chosen,
            "signs": queries.signs(self.store, row["id"]),
            "attempts": attempts,
            "n_sequences": self.store.query("SELECT count(*) AS n FROM sequences WHERE episode = ?", row["id"])[0]["n"],
        }

    def export(self, request: Request) -> Response:
        """One episode as a page of its own: no script, no request, images inside."""
        import base64

        record, row = self._episode(request)
        episode = self.store.episode(request.path_params["episode"], row["attempt"], images=True)
        values = self._transcript(request, row, episode) | {"turns": list(episode.turns), "turn_pages": 1}
        values["episode"] = queries.head(self.store, row["id"])
        values["bars"], values["seconds"] = drawing.timeline(episode.turns)
        images = {
            digest: f"data:{media};base64,{base64.b64encode(data).decode()}"
            for digest, media, data in _images(episode.turns, episode.first_observation)
        }
        page = self.page(
            "export.html", request, run=record, row=row, style=_static("style.css"), images=images, **values
        )
        page.headers["content-disposition"] = f'attachment; filename="episode-{episode.episode_id[:12]}.html"'
        return page

    def frame(self, request: Request) -> Response:
        """One observation's HTML as a page that can do nothing; meant for a sandboxed frame."""
        _, row = self._episode(request)
        turn = request.query_params.get("turn")
        observed = (
            [queries.head(self.store, row["id"]).first_observation]
            if turn is None
            else [found.observation for found in queries.turns(self.store, row["id"], _whole(turn, 0), 1)]
        )
        wanted = request.query_params.get("part", "")
        for part in (part for observation in observed for part in _all_parts(observation)):
            if wanted and frames.key(part) == wanted:
                return HTMLResponse(frames.tamed(part.text), headers=frames.HEADERS)
        raise HTTPException(404, "There is no such page in this turn")

    def tokens(self, request: Request) -> Response:
        record, row = self._episode(request)
        episode = self.store.episode(request.path_params["episode"], row["attempt"])
        index = _whole(request.query_params.get("sequence"), 0)
        if not 0 <= index < len(episode.sequences):
            raise HTTPException(404, "This episode has no such token sequence")
        sequence, start = episode.sequences[index], max(_whole(request.query_params.get("start"), 0), 0)
        before = sum(len(one) for one in episode.sequences[:index])
        credit = _chosen(
            _named([c for c in self.store.credit(episode_id=episode.episode_id) if c.token_advantages]),
            request.query_params.getlist("method"),
        )
        advantages = credit[0].row.token_advantages if credit else None
        largest = max(map(abs, advantages), default=0.0) if advantages else 0.0
        tokens = [
            {
                "at": at,
                "id": int(sequence.token_ids[at]),
                "source": SOURCES[int(sequence.source[at])],
                "trained": bool(sequence.loss_mask[at]),
                "logprob": None if sequence.logprobs is None else float(sequence.logprobs[at]),
                "advantage": advantages[before + at] if advantages and before + at < len(advantages) else None,
            }
            for at in range(start, min(start + TOKENS, len(sequence)))
        ]
        shown = {"sequence": sequence, "index": index, "count": len(episode.sequences), "start": start, "size": TOKENS}
        return self.page(
            "tokens.html", request, run=record, episode=episode, tokens=tokens, largest=largest, length=len(sequence),
            method=credit[0].label if credit else None, **shown,
        )  # fmt: skip

    def group(self, request: Request) -> Response:
        record = self._run(request)
        rows = queries.group(self.store, request.path_params["uid"])
        if not rows:
            raise HTTPException(404, "There is no such group")

        def graph() -> drawing.Graph:
            return drawing.state_graph(
                [(bool(row["success"]), queries.turns(self.store, row["id"], 0, 200)) for row in rows]
            )

        return self.page("group.html", request, run=record, rows=rows, graph=Later(graph))

    def diff(self, request: Request) -> Response:
        record = self._run(request)
        sides = []
        for name in ("a", "b"):
            row = queries.find(self.store, record.run, request.query_params.get(name, ""))
            if row is None:
                raise HTTPException(404, f"Episode {name} is not in this run")
            sides.append((queries.head(self.store, row["id"]), queries.turns(self.store, row["id"], 0, 1000)))
        at = drawing.first_difference(sides[0][1], sides[1][1])
        pairs = [
            tuple(turns[index] if index < len(turns) else None for _, turns in sides)
            for index in range(at, min(max(len(sides[0][1]), len(sides[1][1])), at + queries.TURNS))
        ]
        return self.page("diff.html", request, run=record, sides=sides, at=at, pairs=pairs)

    def training(self, request: Request) -> Response:
        record = self._run(request)
        curves = Later(lambda: drawing.curves(self.store.metrics(record.run)))
        return self.page("training.html", request, run=record, curves=curves)

    def image(self, request: Request) -> Response:
        try:
            found = self.store.image(request.path_params["digest"])
        except StoreError:
            raise HTTPException(404, "There is no such image") from None
        return Response(found.data, media_type=found.media_type, headers={"cache-control": "private, max-age=31536000"})

    def mark(self, request: Request) -> Response:
        return JSONResponse({"mark": queries.mark(self.store)})

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404, "There is no such file")
        return Response(_static(name), media_type=STATIC[name], headers={"cache-control": "no-cache"})

    def missing(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        page = self.page("error.html", request, message=error.detail)
        page.status_code = error.status_code
        return page

    def wrong(self, request: Request, error: Exception) -> Response:
        page = self.page("error.html", request, message=str(error))
        page.status_code = 500
        return page

    def _sums(self, run: str) -> queries.Sums:
        return self._remember(queries.sums, run)

    def _remember(self, ask: Callable[[Store, str], queries.Answer], run: str) -> queries.Answer:
        return self.remembered.get(queries.mark(self.store), (ask.__name__, run), lambda: ask(self.store, run))

    def _run(self, request: Request) -> Any:
        name = request.path_params["run"]
        found = next((record for record in self.store.runs() if record.run == name), None)
        if found is None:
            raise HTTPException(404, "There is no such run in this store")
        return found

    def _episode(self, request: Request) -> tuple[Any, Any]:
        record = self._run(request)
        attempt = request.query_params.get("attempt")
        row = queries.find(
            self.store, record.run, request.path_params["episode"], None if attempt is None else _whole(attempt, 0)
        )
        if row is None:
            raise HTTPException(404, "There is no such episode in this run")
        return record, row


def _visible(value: Any) -> Any:
    """Show what would reorder or hide text as what it is; escaping, which comes after, does not know it."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return HIDDEN.sub("\ufffd", value)
    return value


@cache
def _static(name: str) -> str:
    return (Path(__file__).parent / "static" / name).read_text(encoding="utf-8")


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else default


def _label(credit: CreditRow) -> str:
    return f"{credit.method}·{credit.params_digest[:6]}"


@dataclass(frozen=True)
class _Credit:
    """A credit result under the name the page gives it."""

    row: CreditRow
    key: str
    label: str
    """The method; with a piece of its parameters' digest where the method comes twice."""
    settings: str
    largest: float


def _named(credits_: list[CreditRow]) -> list[_Credit]:
    counts = Counter(credit.method for credit in credits_)
    return [
        _Credit(
            row=c,
            key=_label(c),
            label=c.method if counts[c.method] == 1 else _label(c),
            settings=json.dumps({name: value for name, value in c.params.items() if value}, ensure_ascii=False),
            largest=max(map(abs, c.advantages), default=0.0),
        )
        for c in credits_
    ]


def _chosen(credits_: list[_Credit], wanted: list[str]) -> list[_Credit]:
    """Return the two results to show side by side: those asked for, else the first two."""
    asked = [c for c in credits_ if c.key in wanted or c.row.method in wanted]
    return (asked or credits_)[:2]


def _number(value: Any, digits: int = 3) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    if not isinstance(value, float):
        return f"{value:,}"
    if 0 < abs(value) < 10**-digits:
        return f"{value:.2g}"
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".").replace("-", "−")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _observed(observation: Observation) -> str:
    return text_of(observation.parts)


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{name}={json.dumps(item, ensure_ascii=False)}" for name, item in value.items())


def _images(turns: Any, first: Observation) -> list[tuple[str, str, bytes]]:
    parts = [part for observation in (first, *(turn.observation for turn in turns)) for part in _all_parts(observation)]
    return [(part.digest, part.media_type, part.data) for part in parts if isinstance(part, ImagePart) and part.data]


def _all_parts(observation: Observation) -> list[Any]:
    return [*observation.parts, *(part for result in observation.results for part in result.parts)]
