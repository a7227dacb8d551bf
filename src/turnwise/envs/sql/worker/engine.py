"""Statements on SQLite images: shared, immutable, bounded."""

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from turnwise.envs.sql.worker.frames import cell_out
from turnwise.envs.sql.worker.guard import Guard
from turnwise.envs.sql.worker.limits import Limits

OPEN_IMAGES = 16
TOO_MUCH = "The query needs more work or memory than allowed. Ask for less: filter earlier, join on keys, add LIMIT."

Row = tuple[Any, ...]


@dataclass(kw_only=True)
class Result:
    """What a statement gave, or why it gave nothing."""

    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    """Rows there were, as far as they were counted."""
    complete: bool = True
    """False: there were more rows or bytes than the limits allow."""
    error: str | None = None
    changes: int = 0
    """Rows a writing statement changed."""

    def to_json(self) -> dict[str, Any]:
        """Return the result for a frame."""
        rows = [[cell_out(cell) for cell in row] for row in self.rows]
        return {
            "columns": self.columns,
            "rows": rows,
            "count": self.count,
            "complete": self.complete,
            "error": self.error,
            "changes": self.changes,
        }


class Images:
    """Read-only connections to immutable images, one per path, the least used closed first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[str, tuple[sqlite3.Connection, Guard]] = OrderedDict()

    def run(self, path: str, sql: str, limits: Limits | None = None, *, reverse: bool = False) -> Result:
        """Run one statement on an image.

        Args:
            reverse: Visit rows that no ORDER BY sorts in the opposite order, to show that an answer hangs on it.
        """
        connection, guard = self._connection(path)
        guard.limits = limits or self._limits
        if reverse:
            guard.own("PRAGMA reverse_unordered_selects=1")
        result = execute(connection, guard, sql)
        if reverse:
            guard.own("PRAGMA reverse_unordered_selects=0")
        if result.error == TOO_MUCH:
            self.forget(path)
        return result

    def own(self, path: str, sql: str) -> list[Row]:
        """Run a statement of ours on an image, unguarded."""
        return self._connection(path)[1].own(sql)

    def forget(self, path: str) -> None:
        """Close a connection, for example because it ran out of memory."""
        held = self._open.pop(path, None)
        if held:
            held[0].close()

    def _connection(self, path: str) -> tuple[sqlite3.Connection, Guard]:
        if path not in self._open:
            self._open[path] = _open_image(path, self._limits)
            if len(self._open) > OPEN_IMAGES:
                self._open.popitem(last=False)[1][0].close()
        self._open.move_to_end(path)
        return self._open[path]


def _open_image(path: str, limits: Limits) -> tuple[sqlite3.Connection, Guard]:
    uri = f"file:{quote(path)}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, cached_statements=0)
    connection.text_factory = _text
    for pragma in ("query_only=1", "temp_store=MEMORY", f"hard_heap_limit={limits.heap_bytes}"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection, Guard(connection, limits)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def execute(connection: sqlite3.Connection, guard: Guard, sql: str) -> Result:
    """Run one stranger's statement within the guard's limits; whatever it does, a result comes back."""
    guard.arm()
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return _collect(cursor, guard.limits)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
        return Result(error=_explain(error, guard))


def _collect(cursor: sqlite3.Cursor, limits: Limits) -> Result:
    result = Result(columns=[str(column[0]) for column in cursor.description or ()])
    size = 0
    for row in cursor:
        result.count += 1
        size += sum(len(cell) if isinstance(cell, str | bytes) else 8 for cell in row)
        if result.count > limits.rows or size > limits.result_bytes:
            result.complete = False
            break
        result.rows.append(row)
    cursor.close()
    return result


def _explain(error: Exception, guard: Guard) -> str:
    text = str(error)
    if guard.refusal and ("not authorized" in text or "prohibited" in text):
        return f"Refused: {guard.refusal}."
    if text == "interrupted" or isinstance(error, MemoryError) or "out of memory" in text:
        return TOO_MUCH
    if isinstance(error, sqlite3.Warning | sqlite3.ProgrammingError) and "one statement" in text:
        return "Only one statement at a time is allowed."
    if isinstance(error, sqlite3.ProgrammingError) and "bindings" in text:
        return "The query may hold no parameters (?, :name)."
    return f"{type(error).__name__ if not isinstance(error, sqlite3.Error) else 'Error'}: {text[:500]}"
