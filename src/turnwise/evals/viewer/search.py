"""Full-text search: an index of everything said, made beside the store while the viewer runs.

The store may be read-only or from elsewhere, and nothing is ever written to it: the index (SQLite's FTS5) lies in a
temporary database of the reader's own connection, on disk, which goes with the process.
"""

import os
import re
import sqlite3
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from turnwise.trajectories.opening import connect

STRIDE = 250
"""Episodes read at a time; a search waits no longer than one such step."""

LOOK_S = 2.0
"""Seconds between two looks for new episodes."""

TERM = re.compile(r'"([^"]+)"|(\S+)')
WORD = re.compile(r"\w")
UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")

UNSAID = ("type", "status", "digest", "media_type", "state_key", "next_state_key", "action_key", "final_state_key")
"""Texts of a record that nobody said."""

CREATE = (
    "CREATE VIRTUAL TABLE temp.said USING "
    "fts5(words, content='', columnsize=0, tokenize='unicode61 remove_diacritics 2')"
)
TEXTS = (
    "SELECT coalesce(group_concat(atom, char(10)), '') "
    "FROM json_tree(CASE WHEN json_valid({0}) THEN {0} ELSE '[]' END) "
    f"WHERE type = 'text' AND coalesce(key, '') NOT IN ({', '.join(repr(name) for name in UNSAID)})"
)
FILL = (
    "INSERT INTO temp.said (rowid, words) SELECT e.id, coalesce(e.failure, '') || char(10) || "
    f"({TEXTS.format('e.record')}) || char(10) || coalesce("
    f"(SELECT group_concat(({TEXTS.format('t.record')}), char(10)) FROM main.turns t WHERE t.episode = e.id), '') "
    "FROM main.episodes e WHERE e.id BETWEEN ? AND ?"
)


def expression(text: str) -> str | None:
    """Turn what a reader typed into an FTS5 query: every word, the last by its beginning, "quoted words" together.

    Returns None where an index of words is no help: there is no word in it, or its script sets no spaces.
    """
    found = [quoted or bare for quoted, bare in TERM.findall(text.replace("\0", " "))]
    terms = ['"' + term.replace('"', "") + '"' for term in found if WORD.search(term)]
    if not terms or UNSPACED.search(text):
        return None
    return " ".join(terms) + ("" if text.rstrip().endswith('"') else " *")


class SearchIndex:
    """The index; a thread fills it, newest episodes first, and goes on as new ones come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._whole = threading.Event()
        self._connection: sqlite3.Connection | None = None
        self._low, self._high, self._top = 1, 0, 0

    @property
    def share(self) -> float:
        """The share of the store's episodes that is in the index."""
        return (self._high - self._low + 1) / self._top if self._top else float(self._whole.is_set())

    def start(self) -> None:
        """Begin to fill it, once."""
        with self._lock:
            if self._connection is not None or self._stop.is_set():
                return
            self._connection = _prepared(self._path)
        threading.Thread(target=self._fill, name="search index", daemon=True).start()

    def close(self) -> None:
        """Stop and let go of the index."""
        self._stop.set()
        self._whole.set()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def wait(self, seconds: float) -> bool:
        """Wait until it is whole, so long at most; return whether it is."""
        self.start()
        return self._whole.wait(seconds)

    def query(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Ask the store and the index (``temp.said``) together."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall() if self._connection else []

    def _fill(self) -> None:
        _step_back()
        while not self._stop.is_set():
            try:
                more = self._step()
            except sqlite3.Error:
                # A store that is damaged or gone: its pages say so; the search shows what was read before.
                self._whole.set()
                return
            if not more:
                self._whole.set()
                self._stop.wait(LOOK_S)
            else:
                time.sleep(0.001)

    def _step(self) -> bool:
        """Read some more episodes; return whether there was anything to read."""
        with self._lock:
            if self._connection is None:
                return False
            self._top = self._connection.execute("SELECT coalesce(max(id), 0) FROM main.episodes").fetchone()[0]
            if not self._whole.is_set() and self._high == 0:
                self._low, self._high = self._top + 1, self._top
            if self._top > self._high:
                first, last = self._high + 1, min(self._top, self._high + STRIDE)
                self._connection.execute(FILL, (first, last))
                self._high, self._low = last, min(self._low, first)
            elif self._low > 1:
                first, last = max(self._low - STRIDE, 1), self._low - 1
                self._connection.execute(FILL, (first, last))
                self._low = first
            else:
                return False
        return True


def _step_back() -> None:
    """Let pages go before: on Linux the priority is a thread's own, elsewhere it would be the whole server's."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _prepared(path: Path) -> sqlite3.Connection:
    connection = connect(path, "ro")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA temp.journal_mode = OFF")
    connection.execute(CREATE)
    return connection
