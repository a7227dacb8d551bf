"""What the environment asks of a database, whichever engine holds it."""

from dataclasses import dataclass
from typing import Any, Protocol

import anyio.to_thread
from pydantic import JsonValue

from turnwise.envs.sql.compare import Comparison
from turnwise.envs.sql.databases import Catalog, catalog, images
from turnwise.envs.sql.pool import ask
from turnwise.envs.sql.views import drop_view, make_view, read_log, view_request
from turnwise.envs.sql.worker.frames import cell_in
from turnwise.errors import TaskError


@dataclass(frozen=True, kw_only=True)
class Gold:
    """What a task's answer is graded against."""

    sql: str = ""
    """The query of a reading task."""
    statements: tuple[str, ...] = ()
    """The statements of a writing task."""
    variants: tuple[int, ...] = ()
    """Seeds of variants a reading task is graded on too."""
    databases: tuple[str, ...] = ()
    """Digests of further databases it is graded on: a test suite."""


class Backend(Protocol):
    """One episode's database."""

    dialect: str
    """As ``sqlglot`` calls it."""
    catalog: Catalog

    async def query(self, sql: str, keep: int) -> dict[str, Any]:
        """Run one reading statement; the reply holds columns, rows, count, complete and error."""

    async def execute(self, sql: str) -> dict[str, Any]:
        """Run one writing statement; the reply holds changes too."""

    async def explain(self, sql: str) -> dict[str, Any]:
        """Return the plan of a statement, as a result."""

    async def search(self, text: str, keep: int) -> dict[str, Any]:
        """Return which columns hold a text: ``found`` and ``complete``."""

    async def judge(self, answer: str, gold: Gold, rule: Comparison) -> dict[str, Any]:
        """Compare the results of two queries: ``score``, ``partial`` and ``gold_error``."""

    async def same_state(self, gold: Gold) -> bool:
        """Whether the gold's statements lead from the beginning to the present contents."""

    def state(self) -> JsonValue:
        """Return what has changed since the beginning."""

    async def export(self) -> bytes:
        """Return the changes, to begin another episode with."""

    async def close(self) -> None:
        """Free what the episode holds; may be called twice."""


class SqliteReader:
    """A reading episode on a shared, immutable image."""

    dialect = "sqlite"

    def __init__(self, digest: str, path: str, held: Catalog, limits: dict[str, Any]) -> None:
        self.catalog = held
        self._digest, self._path, self._limits = digest, path, limits

    @classmethod
    async def open(cls, digest: str, limits: dict[str, Any]) -> "SqliteReader":
        """Find the image."""
        (path,) = await images(digest, ())
        return cls(digest, path, await catalog(digest), limits)

    async def query(self, sql: str, keep: int) -> dict[str, Any]:
        """Run one reading statement."""
        return await ask({"op": "query", "image": self._path, "sql": sql, "limits": self._limits, "keep": keep})

    async def execute(self, sql: str) -> dict[str, Any]:
        """Answer as the read-only image does."""
        return await self.query(sql, 0)

    async def explain(self, sql: str) -> dict[str, Any]:
        """Return the plan, one step a row."""
        return _plan(await self.query(f"EXPLAIN QUERY PLAN {sql}", 100))

    async def search(self, text: str, keep: int) -> dict[str, Any]:
        """Search all columns of the image."""
        return await ask({"op": "search", "image": self._path, "text": text, "keep": keep, "limits": self._limits})

    async def judge(self, answer: str, gold: Gold, rule: Comparison) -> dict[str, Any]:
        """Compare on the image, on its variants and on the test suite's databases."""
        paths = await images(self._digest, gold.variants)
        for digest in gold.databases:
            paths += await images(digest, ())
        request = {"op": "judge", "images": paths, "gold": gold.sql, "answer": answer}
        return await ask({**request, "rule": rule.to_json(), "limits": self._limits})

    async def same_state(self, gold: Gold) -> bool:
        """Nothing was written."""
        return not gold.statements

    def state(self) -> JsonValue:
        """Nothing changes."""
        return ""

    async def export(self) -> bytes:
        """Nothing changes."""
        return b""

    async def close(self) -> None:
        """Nothing is held."""


class SqliteWriter(SqliteReader):
    """A writing episode on a private view of an image."""

    @classmethod
    async def open(cls, digest: str, limits: dict[str, Any], log: bytes = b"") -> "SqliteWriter":
        """Make the view."""
        (path,) = await images(digest, ())
        made = cls(digest, path, await catalog(digest), limits)
        made._view = await anyio.to_thread.run_sync(make_view, digest, log)
        made._state = ""
        if log:
            made._state = (await ask({"op": "view_state", "view": made._view}))["state"]
        return made

    _view: str
    _state: str

    async def query(self, sql: str, keep: int) -> dict[str, Any]:
        """Run one statement, reading or writing."""
        reply = await ask(view_request(self._view, sql, self._limits, keep))
        self._state = reply["state"]
        return reply

    async def execute(self, sql: str) -> dict[str, Any]:
        """Run one statement; its rows are not shown."""
        return await self.query(sql, 51)

    async def same_state(self, gold: Gold) -> bool:
        """Apply the gold to a view of its own and compare all tables."""
        wanted = await self._gold_contents(gold)
        reply = await ask({"op": "view_contents", "view": self._view, "limits": self._limits})
        found: dict[str, str] = reply["contents"]
        return found == wanted

    async def _gold_contents(self, gold: Gold) -> dict[str, str]:
        key = (self._digest, gold.statements)
        if key not in _gold_contents:
            view = await anyio.to_thread.run_sync(make_view, self._digest)
            try:
                request = {"op": "view_contents", "view": view, "limits": self._limits}
                reply = await ask({**request, "statements": list(gold.statements)})
            finally:
                drop_view(view)
            if reply["error"]:
                raise TaskError(f"the gold statements do not run: {reply['error']}")
            _gold_contents[key] = reply["contents"]
        return _gold_contents[key]

    def state(self) -> JsonValue:
        """Return the digest of the changed pages."""
        return self._state

    async def export(self) -> bytes:
        """Return the view's log."""
        length = (await ask({"op": "view_state", "view": self._view}))["length"]
        return await anyio.to_thread.run_sync(read_log, self._view, length)

    async def close(self) -> None:
        """Remove the view."""
        drop_view(self._view)


_gold_contents: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}


def _plan(result: dict[str, Any]) -> dict[str, Any]:
    if result["error"]:
        return result
    return result | {"columns": ["plan"], "rows": [[row[-1]] for row in result["rows"]]}


def rows_of(reply: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return a reply's rows as values."""
    return [tuple(cell_in(cell) for cell in row) for row in reply["rows"]]
