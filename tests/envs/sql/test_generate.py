"""Questions cut from any database: knobs, proofs, codes for names, what is wrong named."""

import hashlib
import sqlite3
from pathlib import Path

import anyio
import pytest

from turnwise.envs import make
from turnwise.envs.sql.databases import DATA, SHIPPED, put_database
from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import Task, make_generator


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A database of another shape: odd names, a self-reference, an empty table, a view, a text key."""
    path = tmp_path / "the library.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE "author names" (code TEXT PRIMARY KEY, "full name" TEXT NOT NULL, born INTEGER, mentor TEXT
            REFERENCES "author names"(code));
        CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL, author TEXT NOT NULL REFERENCES
            "author names"(code), "order" INTEGER, price REAL CHECK (price >= 0), published TEXT);
        CREATE TABLE "nothing" (x);
        CREATE VIEW cheap AS SELECT *, date('now') AS today FROM book WHERE price < 10;
        CREATE TRIGGER guard AFTER DELETE ON book BEGIN SELECT RAISE(FAIL, 'books stay'); END;
        """
    )
    for number in range(12):
        mentor = f"a{number - 1}" if number else None
        connection.execute(
            'INSERT INTO "author names" VALUES (?, ?, ?, ?)', (f"a{number}", f"Author {number}", 1900 + number, mentor)
        )
    for number in range(60):
        row = (
            number,
            f"Book {number}",
            f"a{number * 7 % 9}",
            number % 5,
            3 + number * 0.37,
            f"19{40 + number % 50}-05-01",
        )
        connection.execute("INSERT INTO book VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    return path


def oracle(tasks: tuple[Task, ...]) -> None:
    async def main() -> None:
        async with make("sql") as env:
            for task in tasks:
                await env.reset(task, seed=0)
                for _ in range(3):
                    result = await env.step(await env.gold_action())
                assert result.info.score == 1.0, task

    anyio.run(main)


def test_any_database_gives_proved_questions_and_stays_as_it_was(library: Path) -> None:
    before = hashlib.sha256(library.read_bytes()).hexdigest()
    tasks = make_generator("sql", db=str(library)).generate(25, seed=3, split="train")
    assert len({task.gold["sql"] for task in tasks}) == 25
    assert any('"author names"' in str(task.gold["sql"]) for task in tasks)
    assert all(task.data["name"] == "the library" for task in tasks)
    oracle(tasks)
    again = make_generator("sql", db=str(library)).generate(25, seed=3, split="train")
    assert [task.key for task in again] == [task.key for task in tasks]
    assert hashlib.sha256(library.read_bytes()).hexdigest() == before


def test_changes_to_any_database(library: Path) -> None:
    tasks = make_generator("sql", db=str(library), mode="write").generate(6, seed=1, split="train")
    oracle(tasks)
    assert {task.data["mode"] for task in tasks} == {"write"}


def test_codes_hide_the_names() -> None:
    tasks = make_generator("sql", names="codes", kinds="list,count,group").generate(8, seed=1, split="dev")
    oracle(tasks)

    async def main() -> str:
        async with make("sql") as env:
            await env.reset(tasks[0], seed=0)
            return (await env.step(await env.gold_action())).observation.text

    shown = anyio.run(main)
    assert "t001" in shown
    assert not any(word in shown for word in ("Track", "Album", "Name", "Invoice"))


def test_knobs_hold() -> None:
    made = make_generator("sql", kinds="count", joins=0, filters=1, negation=False, show="schema")
    for task in made.generate(8, seed=5, split="test"):
        sql = str(task.gold["sql"])
        assert sql.startswith("SELECT COUNT(*)")
        assert not any(word in sql for word in ("JOIN", " AND ", " OR ", "<>", "NOT")) or "BETWEEN" in sql
        assert task.data["show"] == "schema"


def test_a_database_in_wal_mode_is_read_with_its_log(library: Path) -> None:
    connection = sqlite3.connect(library)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("UPDATE book SET title = 'in the log' WHERE id = 1")
    connection.commit()
    before = hashlib.sha256(library.read_bytes()).hexdigest()
    from turnwise.envs.sql.generate.world import sqlite_runner

    rows = sqlite_runner(put_database(library))("SELECT title FROM book WHERE id = 1")
    assert rows == [["in the log"]]
    assert hashlib.sha256(library.read_bytes()).hexdigest() == before
    connection.close()


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("no database")
    sqlite3.connect(tmp_path / "empty.sqlite").execute("CREATE TABLE t (a)").connection.close()
    for db, words in (("text", "no SQLite"), ("gone", "cannot be read"), ("empty", "no table")):
        with pytest.raises(TaskError, match=words):
            make_generator("sql", db=str(tmp_path / f"{db}.sqlite")).generate(1, seed=0)
    with pytest.raises(TaskError, match="kinds"):
        make_generator("sql", kinds="riddle").generate(1, seed=0)
    with pytest.raises(ConfigError, match="knob"):
        make_generator("sql", riddles=3)
    with pytest.raises(TaskError, match="could not be read"):
        make_generator("sql", db="postgresql://nobody:secret@127.0.0.1:1/none").generate(1, seed=0)


def test_no_secret_of_a_dsn_is_kept() -> None:
    made = make_generator("sql", db="postgresql://me:secret@host/base?password=secret&sslmode=off")
    assert made.knobs.model_dump(mode="json")["db"] == "postgresql://host/base"


def test_the_shipped_databases_are_the_ones_named() -> None:
    for name, named in SHIPPED.items():
        digest = hashlib.sha256((DATA / f"{name}.sqlite").read_bytes()).hexdigest()
        assert f"sha256:{digest}" == named


def test_the_corner_shop_gives_easy_questions_of_both_splits() -> None:
    made = make_generator("sql", db="cornershop", kinds="count,list", filters=1, joins=0, negation=False, rows=8)
    tasks = (*made.generate(6, seed=0), *made.generate(6, seed=0, split="test"))
    assert all(task.difficulty == 1 and task.data["name"] == "cornershop" for task in tasks)
    oracle(tasks)
