"""What makes a SQLite connection safe to hand a stranger's statement: authorizer, budget, limits, a still clock."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

from turnwise.envs.sql.worker.limits import Limits

EVERY = 250
"""Instructions between two looks at the budget."""
NOW = "2026-01-01 00:00:00"
"""What the clock says, always: an observation may not depend on the day it was made."""

_READ = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_WRITE = {
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_CREATE_VIEW,
    sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_DROP_TABLE,
    sqlite3.SQLITE_DROP_INDEX,
    sqlite3.SQLITE_DROP_VIEW,
    sqlite3.SQLITE_DROP_TRIGGER,
    sqlite3.SQLITE_ALTER_TABLE,
    sqlite3.SQLITE_REINDEX,
}
_PRAGMAS = {"table_info", "table_xinfo", "table_list", "foreign_key_list", "index_list", "index_info", "index_xinfo"}
_VIRTUAL = {"json_each", "json_tree", *(f"pragma_{name}" for name in _PRAGMAS)}
_FUNCTIONS = {
    "load_extension": "no extension can be loaded",
    "fts3_tokenizer": "no extension can be loaded",
    "random": "an answer must be reproducible",
    "randomblob": "an answer must be reproducible",
    "sqlite_version": "it differs between machines",
    "sqlite_source_id": "it differs between machines",
    "sqlite_compileoption_used": "it differs between machines",
    "sqlite_compileoption_get": "it differs between machines",
}
_NAMES = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "this PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "transaction control",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    sqlite3.SQLITE_ANALYZE: "ANALYZE",
}


class Guard:
    """Authorizer and budget of one connection.

    Args:
        writable: Whether statements may change the database (a private view of it).
    """

    def __init__(self, connection: sqlite3.Connection, limits: Limits, *, writable: bool = False) -> None:
        self._connection = connection
        self.limits = limits
        self.refusal = ""
        self._allowed = _READ | _WRITE if writable else _READ
        self._writable = writable
        self._left = 0
        self._cpu_end = 0.0
        _set_limits(connection, limits)
        _still_clock(connection)
        connection.set_authorizer(self._authorize)
        connection.set_progress_handler(self._tick, EVERY)

    def arm(self) -> None:
        """Give the next statement its whole budget."""
        self.refusal = ""
        self._left = self.limits.steps // EVERY
        self._cpu_end = time.process_time() + self.limits.cpu_s

    def own(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of ours, unguarded."""
        return list(self.each(sql))

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement of ours, unguarded."""
        self._connection.set_authorizer(None)
        self._left, self._cpu_end = 1 << 60, float("inf")
        try:
            yield from self._connection.execute(sql)
        finally:
            self._connection.set_authorizer(self._authorize)

    def _tick(self) -> int:
        self._left -= 1
        return int(self._left < 0 or (self._left % 64 == 0 and time.process_time() > self._cpu_end))

    def _authorize(self, action: int, one: str | None, two: str | None, _db: str | None, _source: str | None) -> int:
        if action in self._allowed:
            return self._table(action, one)
        if action == sqlite3.SQLITE_FUNCTION:
            why = _FUNCTIONS.get((two or "").lower())
            return self._refuse(f"{two}() is not available: {why}") if why else sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and (one or "").lower() in _PRAGMAS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_CREATE_VTABLE and (two or "").lower() in _VIRTUAL:
            return sqlite3.SQLITE_OK
        what = _NAMES.get(action, "a statement that changes the database")
        return self._refuse(f"{what} is not allowed{'' if self._writable else ': the database is read-only'}")

    def _table(self, action: int, table: str | None) -> int:
        if action == sqlite3.SQLITE_READ and (table or "").lower() in _ENGINE_TABLES:
            return self._refuse(f"{table} is not available")
        return sqlite3.SQLITE_OK

    def _refuse(self, why: str) -> int:
        self.refusal = self.refusal or why
        return sqlite3.SQLITE_DENY


_ENGINE_TABLES = {"sqlite_dbpage", "dbstat", "sqlite_stmt", "bytecode", "tables_used", "sqlite_memstat"}


def _set_limits(connection: sqlite3.Connection, limits: Limits) -> None:
    for category, value in (
        (sqlite3.SQLITE_LIMIT_LENGTH, limits.value_bytes),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.sql_bytes),
        (sqlite3.SQLITE_LIMIT_COLUMN, limits.columns),
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, limits.depth),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 100),
        (sqlite3.SQLITE_LIMIT_VDBE_OP, 250_000),
        (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 100),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500),
        (sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 10),
        (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
    ):
        connection.setlimit(category, value)


def _still_clock(connection: sqlite3.Connection) -> None:
    """Replace the functions that read the clock by ones for which it stands at ``NOW``."""
    plain = sqlite3.connect(":memory:", check_same_thread=False)

    def evaluate(name: str, position: int) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            given = list(arguments) + ([NOW] if len(arguments) == position else [])
            if isinstance(given[position], str) and given[position].strip().lower() == "now":
                given[position] = NOW
            marks = ",".join("?" * len(given))
            return plain.execute(f"SELECT {name}({marks})", given).fetchone()[0]

        return function

    for name in ("date", "time", "datetime", "julianday", "unixepoch"):
        connection.create_function(name, -1, evaluate(name, 0), deterministic=True)
    connection.create_function("strftime", -1, evaluate("strftime", 1), deterministic=True)
    for name, form in (("current_date", "date"), ("current_time", "time"), ("current_timestamp", "datetime")):
        connection.create_function(name, 0, lambda form=form: evaluate(form, 0)(), deterministic=True)
