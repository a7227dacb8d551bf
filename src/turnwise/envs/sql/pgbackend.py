"""Episodes on PostgreSQL: the same tasks, their databases loaded from the same images.

The server is named by a DSN in an environment variable, so that no password reaches a task, a setting or a record.
"""

import importlib.util
import itertools
import os
from typing import Any

import anyio
from pydantic import JsonValue

from turnwise.envs.sql.backends import Gold, SqliteReader
from turnwise.envs.sql.compare import Comparison
from turnwise.envs.sql.databases import Catalog, images, to_catalog
from turnwise.envs.sql.pool import ask
from turnwise.errors import ConfigError, MissingExtraError, TaskError

DSN = "TURNWISE_SQL_DSN"
_ready: set[tuple[str, str]] = set()
_catalogs: dict[tuple[str, str], Catalog] = {}
_translations: dict[str, str] = {}
_clones = itertools.count(1)


def server_dsn() -> str:
    """Return the DSN of the server that Turnwise may make databases on.

    Raises:
        ConfigError: The variable is not set.
        MissingExtraError: The driver is not installed.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError.of("postgres", "psycopg")
    dsn = os.environ.get(DSN)
    if not dsn:
        raise ConfigError(
            f"engine postgres needs a server on which Turnwise may create databases and roles: set {DSN} to its DSN"
        )
    return dsn


class PostgresReader:
    """A reading episode: SELECT on a database made from the task's image."""

    dialect = "postgres"
    write = False

    def __init__(self, digest: str, limits: dict[str, Any]) -> None:
        self._dsn, self._digest, self._limits = server_dsn(), digest, limits
        self.name = database_name(digest, None)
        self.catalog: Catalog = ()

    async def open(self) -> "PostgresReader":
        """Make the databases that are missing, and look at the first."""
        await self._ensure(self._digest, None)
        key = (self._dsn, self.name)
        if key not in _catalogs:
            _catalogs[key] = to_catalog(await self._ask("catalog"))
        self.catalog = _catalogs[key]
        return self

    async def query(self, sql: str, keep: int) -> dict[str, Any]:
        """Run one statement."""
        return await self._ask("query", sql=sql, keep=keep, limits=self._limits, write=self.write)

    async def execute(self, sql: str) -> dict[str, Any]:
        """Run one statement."""
        return await self.query(sql, 51)

    async def explain(self, sql: str) -> dict[str, Any]:
        """Return the plan."""
        return await self._ask("explain", sql=sql, limits=self._limits)

    async def search(self, text: str, keep: int) -> dict[str, Any]:
        """Search the image, whose contents are the same."""
        reader = await SqliteReader.open(self._digest, self._limits["sqlite"])
        reply = await reader.search(text, keep)
        found = [
            entry | {"table": entry["table"].lower(), "column": entry["column"].lower()} for entry in reply["found"]
        ]
        return reply | {"found": found}

    async def judge(self, answer: str, gold: Gold, rule: Comparison) -> dict[str, Any]:
        """Compare on the database and on those of the variants; the gold is translated."""
        names = [await self._ensure(self._digest, seed) for seed in (None, *gold.variants)]
        names += [await self._ensure(digest, None) for digest in gold.databases]
        wanted = await translated(gold.sql)
        request = {"gold": wanted, "answer": answer, "rule": rule.to_json(), "limits": self._limits}
        return await self._ask("judge", names=names, **request)

    async def same_state(self, gold: Gold) -> bool:
        """Nothing was written."""
        return not gold.statements

    def state(self) -> JsonValue:
        """Nothing changes."""
        return ""

    async def export(self) -> bytes:
        """Nothing is copied: a snapshot replays."""
        return b""

    async def close(self) -> None:
        """Nothing is held."""

    async def _ensure(self, digest: str, seed: int | None) -> str:
        name = database_name(digest, seed)
        if (self._dsn, name) not in _ready:
            path = (await images(digest, () if seed is None else (seed,)))[-1]
            await ask({"op": "pg_ensure", "dsn": self._dsn, "name": name, "image": path})
            _ready.add((self._dsn, name))
        return name

    async def _ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        return await ask({"op": f"pg_{operation}", "dsn": self._dsn, "name": self.name, **fields})


class PostgresWriter(PostgresReader):
    """A writing episode: a database of its own, cloned from the image's."""

    write = True
    _state: JsonValue = ""

    async def open(self) -> "PostgresWriter":
        """Clone."""
        await super().open()
        self._template, self.name = self.name, await self._clone()
        self._state = (await self._contents())["contents"]
        return self

    async def execute(self, sql: str) -> dict[str, Any]:
        """Run one statement and look at what it left."""
        reply = await super().execute(sql)
        self._state = (await self._contents())["contents"]
        return reply

    async def same_state(self, gold: Gold) -> bool:
        """Apply the gold to a clone of its own and compare all tables."""
        other = PostgresWriter(self._digest, self._limits)
        other.name = await self._clone()
        try:
            wanted = await other._contents([await translated(sql) for sql in gold.statements])
        finally:
            await other.close()
        if wanted["error"]:
            raise TaskError(f"the gold statements do not run: {wanted['error']}")
        same: bool = wanted["contents"] == (await self._contents())["contents"]
        return same

    def state(self) -> JsonValue:
        """Return the digests of all tables."""
        return self._state

    async def close(self) -> None:
        """Drop the clone."""
        if self.name != database_name(self._digest, None):
            with anyio.CancelScope(shield=True):
                await self._ask("drop")
            self.name = database_name(self._digest, None)

    async def _clone(self) -> str:
        name = f"turnwise_clone_{os.getpid()}_{next(_clones)}_{os.urandom(4).hex()}"
        template = database_name(self._digest, None)
        await ask({"op": "pg_clone", "dsn": self._dsn, "name": name, "template": template})
        return name

    async def _contents(self, statements: list[str] | None = None) -> dict[str, Any]:
        return await self._ask("contents", statements=statements or [], limits=self._limits)


def database_name(digest: str, seed: int | None) -> str:
    """Return the name of the database made from an image or its variant."""
    return f"turnwise_{digest.removeprefix('sha256:')[:24]}" + ("" if seed is None else f"_v{seed}")


async def translated(sql: str) -> str:
    """Return a gold statement in PostgreSQL's dialect."""
    if sql not in _translations:
        reply = await ask({"op": "translate", "sql": sql})
        if reply["sql"] is None:
            raise TaskError(f"this gold cannot be translated for PostgreSQL: {sql[:200]}")
        _translations[sql] = reply["sql"]
    return _translations[sql]
