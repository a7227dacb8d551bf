"""What the writer does: one transaction for everything it was handed."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from turnwise.trajectories.codec import DTYPES, Rows, encode, pack
from turnwise.trajectories.lines import Item
from turnwise.trajectories.records import Trajectory
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.schema import CREDIT_COLUMNS, EPISODE_COLUMNS, SEQUENCE_COLUMNS, TURN_COLUMNS
from turnwise.trajectories.tables import CreditRow, Measured, MetricRow

_MADE_HERE = ("id", "latest")
_COLUMNS = [name for name in EPISODE_COLUMNS if name not in _MADE_HERE]
_NEWER = "SELECT 1 FROM episodes WHERE episode_id = :episode_id AND attempt > :attempt"
_EPISODE = (
    f"INSERT OR IGNORE INTO episodes ({', '.join(_COLUMNS)}, latest) "
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}, NOT EXISTS ({_NEWER}))"
)


def _insert(table: str, columns: Iterable[str], *, clash: str) -> str:
    names = [f'"{name}"' for name in columns]
    return f"INSERT OR {clash} INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


_TURN = _insert("turns", TURN_COLUMNS, clash="IGNORE")
_SEQUENCE = _insert("sequences", SEQUENCE_COLUMNS, clash="IGNORE")
_SHARED = _insert("shared", ("digest", "value"), clash="IGNORE")
_IMAGE = _insert("images", ("digest", "media_type", "data"), clash="IGNORE")
_KEY = "SELECT id FROM episodes WHERE episode_id = ? AND attempt = ?"
_RUN = _insert("runs", ("run", "kind", "env", "agent", "model", "created_at", "record"), clash="IGNORE")
_CREDIT = _insert("credit", CREDIT_COLUMNS, clash="REPLACE")
_METRIC = _insert("metrics", ("run", "step", "name", "value", "at"), clash="REPLACE")


def write(connection: sqlite3.Connection, items: list[Item], known: set[str]) -> None:
    """Add all items in one transaction, or none.

    Args:
        connection: The writer's.
        items: What to add.
        known: Digests of images and shared texts the store has for certain; grows.
    """
    encoded = [encode(item) if isinstance(item, Trajectory) else item for item in items]
    added: set[str] = set()
    with _transaction(connection):
        for item in encoded:
            if isinstance(item, Measured):
                _write_measured(connection, item)
            elif isinstance(item, Rows):
                _write_episode(connection, item, known | added if added else known, added)
            else:
                _write_small(connection, item)
    known |= added


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_episode(connection: sqlite3.Connection, rows: Rows, known: set[str], added: set[str]) -> None:
    cursor = connection.execute(_EPISODE, rows.episode)
    if cursor.rowcount != 1:
        return
    key = cursor.lastrowid
    if rows.episode["attempt"]:
        older = "UPDATE episodes SET latest = 0 WHERE episode_id = ? AND attempt < ?"
        connection.execute(older, (rows.episode["episode_id"], rows.episode["attempt"]))
    connection.executemany(_TURN, [(key, *row) for row in rows.turns])
    connection.executemany(_SEQUENCE, [(key, *row) for row in rows.sequences])
    new_texts = {digest: text for digest, text in rows.shared.items() if digest not in known}
    connection.executemany(_SHARED, list(new_texts.items()))
    new_images = {digest: image for digest, image in rows.images.items() if digest not in known}
    connection.executemany(_IMAGE, [(digest, *image) for digest, image in new_images.items()])
    added.update(new_texts, new_images)


def _write_measured(connection: sqlite3.Connection, item: Measured) -> None:
    """Fill in fields of an episode; what the store does not have stays unknown."""
    found = connection.execute(_KEY, (item.episode_id, item.attempt)).fetchone()
    if found is None:
        return
    for index, arrays in item.sequences.items():
        for name, values in arrays.items():
            packed = pack(np.asarray(values, dtype=np.float32), DTYPES[name])
            connection.execute(
                f'UPDATE sequences SET "{name}" = ? WHERE episode = ? AND idx = ?', (packed, found[0], index)
            )
    for index, numbers in item.turns.items():
        patch = "UPDATE turns SET record = json_patch(record, ?) WHERE episode = ? AND idx = ?"
        connection.execute(patch, (json.dumps(numbers), found[0], index))


def _write_small(connection: sqlite3.Connection, item: RunRecord | CreditRow | MetricRow) -> None:
    if isinstance(item, RunRecord):
        columns = (item.run, item.kind, item.env, item.agent, item.model, item.created_at)
        connection.execute(_RUN, (*columns, item.model_dump_json()))
    elif isinstance(item, CreditRow):
        row: dict[str, Any] = item.to_row()
        connection.execute(_CREDIT, [row[name] for name in CREDIT_COLUMNS])
    else:
        connection.execute(_METRIC, (item.run, item.step, item.name, item.value, item.at))
