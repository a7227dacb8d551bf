"""The store's tables, and the steps that bring an older store to the present schema."""

import sqlite3
from collections.abc import Callable
from typing import Any

from turnwise.errors import StoreError

STORE_VERSION = 2
"""Raised with every change of the tables; written to the file as ``PRAGMA user_version``."""

APPLICATION_ID = 0x54575354
"""``TWST`` in the file's header tells a store from any other SQLite file."""

ARRAYS = ("token_ids", "logprobs", "source", "loss_mask", "entropy", "values", "sum_pi_sq", "ref_logprobs")
"""The per-token arrays of a sequence, in the order of their columns."""

EPISODE_COLUMNS: dict[str, type] = {
    "id": int,
    "episode_id": str,
    "attempt": int,
    "latest": int,
    "run": str,
    "env": str,
    "agent": str,
    "model": str,
    "task_id": str,
    "task_key": str,
    "split": str,
    "difficulty": int,
    "seed": int,
    "sample": int,
    "step": int,
    "group_uid": str,
    "parent_uid": str,
    "stop_reason": str,
    "scored": int,
    "score": float,
    "success": int,
    "reward": float,
    "n_turns": int,
    "n_calls": int,
    "n_invalid": int,
    "prompt_tokens": int,
    "completion_tokens": int,
    "cost": float,
    "wall_s": float,
    "failure_kind": str,
    "failure": str,
    "ended_at": float,
    "tags": str,
    "tools": str,
    "record": str,
}
"""What lists and metrics read without opening a record; ``record`` is the trajectory's JSON without its turns,
sequences and tools."""

SEQUENCE_COLUMNS: dict[str, type] = {
    "episode": int,
    "idx": int,
    "opened_by": str,
    "tokenizer": str,
    **dict.fromkeys(ARRAYS, bytes),
}

TURN_COLUMNS: dict[str, type] = {
    "episode": int,
    "idx": int,
    "status": str,
    "reward": float,
    "state_key": str,
    "next_state_key": str,
    "record": str,
}

CREDIT_COLUMNS: dict[str, type] = {
    "run": str,
    "episode_id": str,
    "attempt": int,
    "method": str,
    "params_digest": str,
    "params": str,
    "level": str,
    "advantages": bytes,
    "returns": bytes,
    "weights": bytes,
    "token_advantages": bytes,
    "diagnostics": str,
    "created_at": float,
}


def _version_1(db: Any) -> None:
    runs = {"run": str, "kind": str, "env": str, "agent": str, "model": str, "created_at": float, "record": str}
    db["runs"].create(runs, pk="run")
    db["episodes"].create(EPISODE_COLUMNS, pk="id", not_null={"episode_id", "attempt", "run", "record"})
    db["episodes"].create_index(["episode_id", "attempt"], unique=True)
    db["episodes"].create_index(["run", "latest", "task_id"])
    db["episodes"].create_index(["group_uid"])
    db["turns"].create(TURN_COLUMNS, pk=("episode", "idx"))
    db["sequences"].create(SEQUENCE_COLUMNS, pk=("episode", "idx"))
    db["shared"].create({"digest": str, "value": str}, pk="digest")
    db["images"].create({"digest": str, "media_type": str, "data": bytes}, pk="digest")
    db["credit"].create(CREDIT_COLUMNS, pk=("episode_id", "attempt", "method", "params_digest"))
    db["credit"].create_index(["run", "method"])
    db["metrics"].create(
        {"run": str, "step": int, "name": str, "value": float, "at": float}, pk=("run", "step", "name")
    )


LIST_COLUMNS = (
    *("run", "latest", "task_id", "sample", "episode_id", "stop_reason", "scored", "success", "score", "reward"),
    *("n_turns", "n_invalid", "failure_kind", "group_uid", "step", "ended_at"),
)
"""What pages of episodes and the sums over a run need: one index holds it, so that no record is read for them."""


def _version_2(db: Any) -> None:
    db["episodes"].create_index(LIST_COLUMNS, index_name="episodes_list")
    db.execute("DROP INDEX IF EXISTS idx_episodes_run_latest_task_id")


MIGRATIONS: tuple[Callable[[Any], None], ...] = (_version_1, _version_2)
"""``MIGRATIONS[n]`` brings a store of version n to version n + 1; each runs in one transaction."""


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the version a store was written by; 0 for an empty file.

    Raises:
        StoreError: The file is no store, or a newer Turnwise wrote it.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application != APPLICATION_ID and (tables or version):
        raise StoreError(f"{path} is a SQLite file but no Turnwise store; name another file")
    if version > STORE_VERSION:
        raise StoreError(
            f"{path} was written by a newer Turnwise (store version {version}, this one reads up to {STORE_VERSION}); "
            "upgrade turnwise"
        )
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store to the present version, one transaction a step: a kill leaves a whole older store."""
    from sqlite_utils import Database

    for step in range(version, STORE_VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[step](Database(connection))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {step + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
