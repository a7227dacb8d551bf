"""Seeded variants: same schema, sound references, other contents."""

import hashlib
import sqlite3
from pathlib import Path

from turnwise.envs.sql.databases import CHINOOK, image, variant
from turnwise.envs.sql.pool import ask_now


def opened(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)


def contents(path: str) -> dict[str, list[tuple[object, ...]]]:
    connection = opened(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    found = {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall() for name in names}
    connection.close()
    return found


def test_every_table_changes_and_references_hold() -> None:
    original, changed = contents(image(CHINOOK)), contents(variant(CHINOOK, 1))
    assert set(original) == set(changed)
    for name, rows in original.items():
        assert rows != changed[name]
        assert len(rows) * 0.6 <= len(changed[name]) <= len(rows) * 1.4 + 1
    connection = opened(variant(CHINOOK, 1))
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    again = tmp_path / "again.sqlite"
    ask_now({"op": "variant", "image": image(CHINOOK), "target": str(again), "seed": 1})
    assert contents(str(again)) == contents(variant(CHINOOK, 1))
    digest = hashlib.sha256(repr(contents(str(again))).encode()).hexdigest()
    assert digest == "5efb2802a17b82aac2125861af350c8ebb94c7bd3314926570792bbe6f860ff8"
    assert contents(variant(CHINOOK, 2)) != contents(variant(CHINOOK, 1))
