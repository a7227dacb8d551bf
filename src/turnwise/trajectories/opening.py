"""Opening a store's file, and saying in one line what is wrong with it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from turnwise.errors import StoreError
from turnwise.trajectories.schema import version_of

HEADER = b"SQLite format 3\x00"

BUSY_S = 30.0
"""How long a statement waits for another process's transaction."""


@contextmanager
def tell(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system report into a ``StoreError``."""
    try:
        yield
    except StoreError:
        raise
    except sqlite3.Error as error:
        raise StoreError(f"{_what(error)}: {path}: {error}") from error
    except OSError as error:
        raise StoreError(f"cannot use the store {path}: {error.strerror or error}") from error


def _what(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    known = {
        sqlite3.SQLITE_FULL: "the disk is full, so the store keeps what it has and takes no more",
        sqlite3.SQLITE_IOERR: "the disk refused the store's write",
        sqlite3.SQLITE_READONLY: "the store is read-only",
        sqlite3.SQLITE_CORRUPT: "the store is damaged",
        sqlite3.SQLITE_NOTADB: "this file is no store",
        sqlite3.SQLITE_BUSY: "another process holds the store",
        sqlite3.SQLITE_CANTOPEN: "the store cannot be opened",
    }
    return known.get(code, "the store failed")


def inspect(path: Path, mode: Literal["r", "a"]) -> None:
    """Refuse a file that cannot be opened as asked, before anything is written beside it.

    Raises:
        StoreError: With what is wrong and what to do.
    """
    with tell(path):
        if path.is_dir():
            raise StoreError(f"{path} is a directory; name a file in it, for example {path / 'runs.sqlite'}")
        if not path.exists():
            _inspect_new(path, mode)
            return
        with path.open("rb") as file:
            header = file.read(len(HEADER))
        if header and header != HEADER:
            raise StoreError(f"{path} is no SQLite file, so it is no Turnwise store; name another file")
        if mode == "a" and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise StoreError(f"{path} is read-only; name another store, or allow writing to the file and its directory")
        if header:
            connect(path, "ro").close()


def _inspect_new(path: Path, mode: Literal["r", "a"]) -> None:
    if mode == "r":
        raise StoreError(f"there is no store at {path}; 'turnwise eval ENV --store {path}' makes one")
    if not path.parent.is_dir():
        raise StoreError(f"there is no directory {path.parent} for the store; make it first")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"the directory {path.parent} is read-only; name a store elsewhere")


def connect(path: Path, mode: Literal["ro", "rwc"]) -> sqlite3.Connection:
    """Open the file and set it up: a file from elsewhere can run no function of its schema.

    Raises:
        StoreError: It is no store, or of a newer Turnwise.
    """
    with tell(path):
        try:
            return _connected(path, f"mode={mode}")
        except sqlite3.OperationalError:
            # A log cannot be made in a directory that may not be written; without a log the file cannot be changing.
            if mode == "ro" and not path.with_name(f"{path.name}-wal").exists():
                return _connected(path, "mode=ro&immutable=1")
            raise


def _connected(path: Path, query: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{query}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA trusted_schema = OFF")
        version_of(connection, str(path))
        if "rwc" in query:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection
