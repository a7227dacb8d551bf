"""Runs SQL in a worker: one SQLite database in memory; files can be attached from the workspace only."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

STEPS_BETWEEN_INTERRUPTS = 20_000
MAX_VALUE_BYTES = 64 << 20
MAX_ATTACHED = 8


def _authorizer(workdir: str) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    import sqlite3

    root = os.path.realpath(workdir) + os.sep

    def allow(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
        if action == sqlite3.SQLITE_ATTACH:
            inside = first is not None and os.path.realpath(os.path.join(root, first)).startswith(root)
            return sqlite3.SQLITE_OK if inside and ":" not in (first or ":") else sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() == "load_extension":
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    return allow


def _connect(workdir: str) -> sqlite3.Connection:
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.set_authorizer(_authorizer(workdir))
    connection.set_progress_handler(lambda: 0, STEPS_BETWEEN_INTERRUPTS)
    if hasattr(connection, "setlimit"):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, MAX_ATTACHED)
    return connection


def statements(text: str) -> Iterator[str]:
    """Split a script where SQLite says that a statement is complete."""
    import sqlite3

    pending = ""
    for piece in text.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            if pending.strip(" \t\r\n;"):
                yield pending
            pending = ""
    if pending.strip(" \t\r\n;"):
        yield pending


def _show(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return str(value)


def sql_cells(workdir: str) -> Callable[[str], int]:
    """Return a function that runs one script after another on the same connection.

    Rows are printed as text, values joined with ``|``, after a line with the column names.
    """
    import sqlite3

    connection = _connect(workdir)

    def run(text: str) -> int:
        try:
            for statement in statements(text):
                cursor = connection.execute(statement)
                if cursor.description:
                    sys.stdout.write("|".join(column[0] for column in cursor.description) + "\n")
                    for row in cursor:
                        sys.stdout.write("|".join(map(_show, row)) + "\n")
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            return 1
        return 0

    return run
