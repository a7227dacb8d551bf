"""Writing tasks: private views of one image that nothing ever writes."""

import hashlib
from pathlib import Path

import anyio
import pytest

from turnwise.envs import Action, Status, ToolCall, make
from turnwise.envs.sql import CHINOOK, SqlEnv, views
from turnwise.envs.sql.databases import image
from turnwise.envs.types import StepResult
from turnwise.errors import EnvError, TaskError
from turnwise.tasks import Task, load_panel

GOLD = "UPDATE Genre SET Name = 'Rock and Roll' WHERE GenreId = 5"
WRITE = Task(
    id="w",
    env="sql",
    instruction="Rename genre 5 to Rock and Roll.",
    data={"database": CHINOOK, "name": "chinook", "mode": "write"},
    gold={"statements": [GOLD]},
)


def call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments={**arguments}),))


def run(task: Task, *actions: Action) -> list[StepResult]:
    async def main() -> list[StepResult]:
        async with SqlEnv() as env:
            await env.reset(task, seed=0)
            return [await env.step(action) for action in actions]

    return anyio.run(main)


def execute(sql: str) -> Action:
    return call("execute", sql=sql)


DONE = call("done")


def checksum(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("statements", "score"),
    [
        ([GOLD], 1.0),
        (["DELETE FROM Genre WHERE GenreId = 5", "INSERT INTO Genre VALUES (5, 'Rock and Roll')"], 0.0),
        (
            [
                "UPDATE Genre SET Name = 'x' WHERE GenreId = 5",
                "UPDATE Genre SET Name = 'Rock and Roll' WHERE GenreId = 5",
            ],
            1.0,
        ),
        ([GOLD, "DELETE FROM InvoiceLine WHERE InvoiceLineId = 1"], 0.0),
        ([GOLD, "CREATE TABLE extra (x)"], 0.0),
        ([GOLD, "CREATE TABLE extra (x)", "DROP TABLE extra"], 1.0),
        (["UPDATE Genre SET Name = 'Rock and Roll'"], 0.0),
        ([], 0.0),
    ],
)
def test_the_final_contents_are_graded(statements: list[str], score: float) -> None:
    before = checksum(views._wal_image(CHINOOK))
    results = run(WRITE, *map(execute, statements), DONE)
    # The second case is refused: tracks refer to genre 5, and references are enforced.
    assert results[-1].info.score == score
    assert checksum(views._wal_image(CHINOOK)) == before
    assert checksum(image(CHINOOK)) == CHINOOK.removeprefix("sha256:")


def test_tools_and_answers() -> None:
    async def main() -> None:
        async with SqlEnv() as env:
            first, _ = await env.reset(WRITE, seed=0)
            assert "call done" in first.text
            assert {spec.name for spec in env.tools} >= {"execute", "done", "query"}
            assert "submit" not in {spec.name for spec in env.tools}
            done = await env.step(execute("UPDATE Genre SET Name = upper(Name) WHERE GenreId < 3"))
            assert done.observation.text == "Done: 2 rows changed."
            seen = await env.step(call("query", sql="SELECT Name FROM Genre WHERE GenreId < 3"))
            assert "ROCK" in seen.observation.text

    anyio.run(main)


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA journal_mode=DELETE",
        "PRAGMA writable_schema=1",
        "VACUUM",
        "VACUUM INTO '/tmp/stolen.sqlite'",
        "ATTACH '/tmp/x.sqlite' AS x",
        "BEGIN EXCLUSIVE",
        "COMMIT",
        "SAVEPOINT a",
        "INSERT INTO Genre SELECT 1000 + value, zeroblob(90000) FROM (WITH RECURSIVE a(value) AS "
        "(SELECT 1 UNION ALL SELECT value + 1 FROM a LIMIT 100000) SELECT value FROM a)",
    ],
)
def test_escapes_fail_and_leave_the_image_alone(sql: str) -> None:
    before = checksum(views._wal_image(CHINOOK))
    refused, after, end = run(WRITE, execute(sql), execute(GOLD), DONE)
    assert refused.info.status is Status.FAILED
    assert after.observation.text == "Done: 1 row changed."
    assert end.info.score == 1.0
    assert checksum(views._wal_image(CHINOOK)) == before


def test_episodes_do_not_see_each_other() -> None:
    async def main() -> None:
        async with SqlEnv() as one, SqlEnv() as two:
            await one.reset(WRITE, seed=0)
            await two.reset(WRITE, seed=0)
            await one.step(execute("UPDATE Genre SET Name = 'mine' WHERE GenreId = 1"))
            seen = await two.step(call("query", sql="SELECT Name FROM Genre WHERE GenreId = 1"))
            assert "Rock" in seen.observation.text
            assert (await two.step(execute(GOLD))).info.status is Status.OK
            assert (await two.step(DONE)).info.score == 1.0
            assert (await one.step(DONE)).info.score == 0.0

    anyio.run(main)


def test_equal_changes_give_equal_state_keys() -> None:
    async def key(*statements: str) -> str:
        async with SqlEnv() as env:
            await env.reset(WRITE, seed=0)
            for sql in statements:
                await env.step(execute(sql))
            return await env.state_key()

    async def main() -> None:
        untouched = await key()
        assert await key(GOLD) == await key(GOLD) != untouched
        assert await key("SELECT 1") == untouched
        assert await key(GOLD, "UPDATE Genre SET Name = 'Rock And Roll' WHERE GenreId = 5") == untouched

    anyio.run(main)


def test_snapshots_copy_the_state() -> None:
    async def main() -> None:
        async with SqlEnv() as one, SqlEnv() as two, SqlEnv() as three:
            await one.reset(WRITE, seed=0)
            await one.step(execute(GOLD))
            snapshot = await one.snapshot()
            carried = type(snapshot).model_validate_json(snapshot.model_dump_json())
            await two.restore(carried, WRITE)
            assert await two.state_key() == await one.state_key()
            await two.step(execute("DELETE FROM PlaylistTrack"))
            assert (await one.step(DONE)).info.score == 1.0
            assert (await two.step(DONE)).info.score == 0.0
            await three.restore(carried, WRITE)
            assert (await three.step(DONE)).info.score == 1.0
            torn = carried.model_copy(update={"blobs": {"log": b"torn"}})
            with pytest.raises(EnvError):
                await three.restore(torn, WRITE)

    anyio.run(main)


def test_views_are_removed() -> None:
    async def main() -> None:
        async with SqlEnv() as env:
            for _ in range(3):
                await env.reset(WRITE, seed=0)
                await env.step(execute(GOLD))
            assert len(list(folder.iterdir())) == before + 1
        assert len(list(folder.iterdir())) == before

    folder = views._wal_image(CHINOOK).parent.parent.parent / "sql-views"
    folder.mkdir(exist_ok=True)
    before = len(list(folder.iterdir()))
    anyio.run(main)


def test_gold_statements_that_do_not_run_are_the_tasks_fault() -> None:
    broken = WRITE.model_copy(update={"gold": {"statements": ["DROP TABLE nowhere"]}})
    with pytest.raises(TaskError, match="gold"):
        run(broken, DONE)
    with pytest.raises(TaskError, match=r"gold\.statements"):
        run(WRITE.model_copy(update={"gold": {}}), DONE)
    with pytest.raises(TaskError, match=r"gold\.sql"):
        run(WRITE.model_copy(update={"gold": {}, "data": {"database": CHINOOK}}), DONE)


def test_oracle_solves_the_panel() -> None:
    panel = load_panel("sql/chinook-write", "test")

    async def main() -> float:
        total = 0.0
        async with make("sql") as env:
            for task in panel:
                await env.reset(task, seed=0)
                for _ in range(3):
                    result = await env.step(await env.gold_action())
                total += result.info.score or 0.0
        return total / len(panel)

    assert anyio.run(main) == 1.0
