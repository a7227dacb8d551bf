"""Episodes of the sql environment: what an agent sees, and how a submission is graded."""

import random

import anyio
import pytest

from turnwise.envs import Action, Status, StopReason, ToolCall, make
from turnwise.envs.sql import CHINOOK, SqlEnv
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.types import StepResult
from turnwise.errors import EnvError, TaskError
from turnwise.tasks import Task, load_panel

GOLD = "SELECT Name FROM Genre WHERE GenreId < 4"
TASK = Task(
    id="t",
    env="sql",
    instruction="Name the first three genres.",
    data={"database": CHINOOK, "name": "chinook"},
    gold={"sql": GOLD, "variants": [1, 2, 3, 4, 5]},
)


def call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments={**arguments}),))


async def play(task: Task, *actions: Action) -> list[StepResult]:
    async with SqlEnv() as env:
        await env.reset(task, seed=0)
        return [await env.step(action) for action in actions]


def run(task: Task, *actions: Action) -> list[StepResult]:
    return anyio.run(play, task, *actions)


def graded(sql: str, task: Task = TASK) -> float:
    score = run(task, call("submit", sql=sql))[-1].info.score
    assert score is not None
    return score


def test_looking_around() -> None:
    tables, schema, query = run(TASK, call("tables"), call("schema", table="album"), call("query", sql=GOLD))
    assert "Track (3503 rows)" in tables.observation.text
    assert "ArtistId INTEGER not null -> Artist.ArtistId" in schema.observation.text
    assert query.observation.text == "Name\nRock\nJazz\nMetal\n(3 rows)"
    assert not query.terminated


def test_long_results_say_what_was_cut() -> None:
    (result,) = run(TASK, call("query", sql="SELECT TrackId FROM Track"))
    assert result.observation.text.endswith("(50 of 3503 rows shown)")
    (result,) = run(TASK, call("query", sql="SELECT printf('%.*c', 5000, 'x')"))
    assert "… (5000 characters)" in result.observation.text


@pytest.mark.parametrize(
    ("sql", "score"),
    [
        (GOLD, 1.0),
        ("select g.Name as n from Genre g where g.GenreId in (1, 2, 3)", 1.0),
        ("SELECT Name FROM Genre ORDER BY GenreId LIMIT 3", 1.0),
        ("SELECT Name, GenreId FROM Genre WHERE GenreId < 4", 0.0),
        ("SELECT Name FROM Genre WHERE GenreId < 5", 0.0),
        ("SELECT 'Rock' UNION ALL SELECT 'Jazz' UNION ALL SELECT 'Metal'", 0.0),
        ("SELECT Name FROM Genre WHERE Name IN ('Rock', 'Jazz', 'Metal')", 0.0),
        ("SELECT nonsense", 0.0),
        ("", 0.0),
    ],
)
def test_grading(sql: str, score: float) -> None:
    assert graded(sql) == score


def test_submission_ends_the_episode() -> None:
    result = run(TASK, call("submit", sql=GOLD))[0]
    assert result.terminated
    assert (result.reward, result.info.success, result.info.stop_reason) == (1.0, True, StopReason.ENDED)
    with pytest.raises(EnvError, match="over"):
        run(TASK, call("submit", sql=GOLD), call("tables"))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM Track", "read-only"),
        ("ATTACH '/etc/passwd' AS x", "ATTACH"),
        ("SELECT load_extension('x')", "no extension"),
        ("PRAGMA journal_mode=DELETE", "PRAGMA"),
        ("SELECT random()", "reproducible"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM a) SELECT count(*) FROM a", "more work"),
        ("SELECT count(*) FROM Track, Track AS b, Track AS c", "more work"),
        ("SELECT zeroblob(1000000000)", "too big"),
    ],
)
def test_what_is_refused_fails_and_the_episode_goes_on(sql: str, words: str) -> None:
    refused, after = run(TASK, call("query", sql=sql), call("query", sql=GOLD))
    assert refused.info.status is Status.FAILED
    assert words in refused.observation.text
    assert "Rock" in after.observation.text


def test_the_clock_stands_still() -> None:
    sql = "SELECT date('now'), CURRENT_TIMESTAMP, strftime('%Y'), date('2024-03-01', '-1 day')"
    (result,) = run(TASK, call("query", sql=sql))
    assert "2026-01-01 | 2026-01-01 00:00:00 | 2026 | 2024-02-29" in result.observation.text


def test_unknown_table_is_invalid() -> None:
    (result,) = run(TASK, call("schema", table="Nope"))
    assert result.info.status is Status.INVALID
    assert "Tables: Album" in result.observation.text


def test_truncation_without_submission_scores_nothing() -> None:
    async def main() -> StepResult:
        async with SqlEnv() as env:
            await env.reset(TASK, seed=0)
            await env.step(call("query", sql=GOLD))
            return await env.truncate(StopReason.TURN_LIMIT)

    result = anyio.run(main)
    assert (result.truncated, result.info.score) == (True, 0.0)


def test_snapshot_continues_alike() -> None:
    async def main() -> None:
        async with SqlEnv() as one, SqlEnv() as two:
            await one.reset(TASK, seed=0)
            await one.step(call("query", sql=GOLD))
            await two.restore(await one.snapshot(), TASK)
            assert await one.state_key() == await two.state_key()
            assert await one.step(call("submit", sql=GOLD)) is not None
            assert (await two.step(call("submit", sql=GOLD))).info.score == 1.0

    anyio.run(main)


@pytest.mark.parametrize(
    "data",
    [
        {"database": "sha256:" + "0" * 64},
        {"database": "nonsense"},
        {"database": CHINOOK, "compare": "nope"},
        {"database": CHINOOK, "flags": {"rows": "heap"}},
        {},
    ],
)
def test_a_wrong_task_is_named(data: dict[str, str]) -> None:
    with pytest.raises(TaskError):
        run(TASK.model_copy(update={"data": data}))


def test_a_gold_that_does_not_run_is_the_tasks_fault() -> None:
    with pytest.raises(TaskError, match="gold"):
        graded(GOLD, TASK.model_copy(update={"gold": {"sql": "SELECT nope", "variants": []}}))


def test_oracle_solves_and_luck_does_not() -> None:
    panel = load_panel("sql/chinook", "test")

    async def episode(task: Task, rng: random.Random | None) -> float:
        async with make("sql") as env:
            await env.reset(task, seed=0)
            for _ in range(12):
                result = await env.step(await (env.sample_action(rng) if rng else env.gold_action()))
                if result.terminated:
                    assert result.info.score is not None
                    return result.info.score
            return (await env.truncate(StopReason.TURN_LIMIT)).info.score or 0.0

    async def main() -> None:
        rng = random.Random(0)
        oracle = [await episode(task, None) for task in panel]
        luck = [await episode(task, rng) for task in panel]
        assert sum(oracle) / len(oracle) == 1.0
        assert sum(luck) / len(luck) <= 0.05

    anyio.run(main)


def test_progress_rises_to_one() -> None:
    async def main() -> list[float]:
        task = load_panel("sql/chinook", "test").tasks[0]
        async with make("sql") as env:
            await env.reset(task, seed=0)
            seen = [await env.progress()]
            for _ in range(3):
                await env.step(await env.gold_action())
                seen.append(await env.progress())
            return seen

    seen = anyio.run(main)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_a_worker_that_dies_costs_one_request() -> None:
    async def main() -> None:
        from turnwise.envs.sql import pool

        async with SqlEnv() as env:
            await env.reset(TASK, seed=0)
            for worker in pool._idle:
                worker._process.kill()
                worker._process.wait()
            with pytest.raises(EnvError, match="worker"):
                await env.step(call("query", sql=GOLD))
            pool.shut_down()
            assert "Rock" in (await env.step(call("query", sql=GOLD))).observation.text

    anyio.run(main)


def test_the_event_loop_is_never_blocked() -> None:
    async def main() -> float:
        worst, ends = 0.0, False

        async def watch() -> None:
            nonlocal worst
            while not ends:
                before = anyio.current_time()
                await anyio.sleep(0.01)
                worst = max(worst, anyio.current_time() - before)

        async with SqlEnv() as env, anyio.create_task_group() as group:
            await env.reset(TASK, seed=0)
            group.start_soon(watch)
            await env.step(call("query", sql="SELECT count(*) FROM Track, Track AS b, Track AS c"))
            ends = True
        return worst

    assert anyio.run(main) < 0.15  # the query itself takes several times as long


def test_a_broken_request_is_an_error_of_ours() -> None:
    with pytest.raises(EnvError, match="could not serve"):
        ask_now({"op": "query", "image": "/nowhere.sqlite", "sql": "SELECT 1", "limits": {}})
