"""Many episodes: all of them once, whatever breaks, and nothing left behind."""

import gc
import time
from pathlib import Path

import anyio
import pytest

import tiny_env
from scripted_agent import Scripted
from tiny_env import OPEN, CountEnv, tasks
from trajectory_samples import a_run
from turnwise.agents import Generation, make_agent
from turnwise.agents.collect import Collected, collect
from turnwise.agents.jobs import check_resume, panel_ref, plan, remaining
from turnwise.agents.limits import Limits
from turnwise.envs import Action
from turnwise.errors import ConfigError, ModelAuthError, ModelUnavailableError, StoreError
from turnwise.trajectories import Store, Trajectory


@pytest.fixture(autouse=True)
def _nothing_left_open() -> None:
    OPEN.clear()
    tiny_env.BROKE.clear()


def jobs(n: int = 4, samples: int = 2, run: str = "r1", **data: object) -> list:
    return plan(tasks(n, **data), run=run, samples=samples)


async def gather(*args: object, **kwargs: object) -> Collected:
    return await collect(CountEnv, *args, backoff_s=0.0, **kwargs)  # type: ignore[arg-type]


def test_every_episode_is_made_once_and_stored(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        done = anyio.run(lambda: gather(make_agent("oracle"), jobs(), store=store, run=a_run(), concurrency=3))
        assert (done.total, done.scored, done.failed, done.resumed, done.episodes) == (8, 8, 0, 0, [])
        rows = store.rows("r1")
        assert len(rows) == 8
        assert all(row.success for row in rows)
        assert len({row.group_uid for row in rows}) == 4
        assert store.run("r1").env == "guess"
    assert OPEN == []


def test_without_a_store_the_episodes_are_returned() -> None:
    done = anyio.run(lambda: gather(make_agent("oracle"), jobs(2), concurrency=50))
    assert len(done.episodes) == 4


def test_nothing_to_do() -> None:
    assert anyio.run(lambda: gather(make_agent("oracle"), [])).total == 0


def test_failures_are_tried_again_as_attempts(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        todo = jobs(2, samples=1, breaks_at=2, broken_times=1)
        done = anyio.run(lambda: gather(make_agent("oracle"), todo, store=store))
        assert (done.scored, done.failed, done.retried) == (2, 0, 2)
        assert [row.attempt for row in store.rows("r1")] == [1, 1]
        assert [row.scored for row in store.rows("r1", attempts=True)] == [False, True, False, True]


def test_after_its_retries_an_episode_stays_a_failure_and_a_resume_tries_again(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        todo = jobs(1, samples=1, breaks_at=1, broken_times=4)
        done = anyio.run(lambda: gather(make_agent("oracle"), todo, store=store, retries=2))
        assert (done.scored, done.failed, done.retried) == (0, 1, 2)
        again = anyio.run(lambda: gather(make_agent("oracle"), todo, store=store, retries=2))
        assert (again.scored, again.failed, again.retried, again.resumed) == (1, 0, 1, 0)
        assert [row.attempt for row in store.rows("r1")] == [4]
        third = anyio.run(lambda: gather(make_agent("oracle"), todo, store=store))
        assert (third.resumed, third.scored) == (1, 0)


def test_a_score_of_zero_is_never_tried_again() -> None:
    done = anyio.run(lambda: gather(make_agent("null"), jobs(2), limits=Limits(turns=2)))
    assert (done.scored, done.retried) == (4, 0)
    assert {episode.score for episode in done.episodes} == {0.0}


def test_a_task_that_does_not_fit_is_not_tried_again() -> None:
    done = anyio.run(lambda: gather(make_agent("null"), jobs(1, samples=1, target="many")))
    assert (done.failed, done.retried) == (1, 0)


@pytest.mark.parametrize("error", [ModelAuthError("the key was refused"), ModelUnavailableError("nothing listens")])
def test_a_hopeless_error_ends_the_collection_and_nothing_is_stored(tmp_path: Path, error: Exception) -> None:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        with pytest.raises(type(error), match=str(error)):
            anyio.run(lambda: gather(Scripted(error), jobs(), store=store, run=a_run()))
        assert (store.count(), store.runs()) == (0, [])
    assert OPEN == []


def test_an_endpoint_that_goes_away_later_is_a_failure_only() -> None:
    agent = Scripted(Generation(action=Action()), ModelUnavailableError("gone"))
    done = anyio.run(lambda: gather(agent, jobs(2, samples=1), retries=0))
    assert (done.failed, done.scored) == (2, 0)


def test_cancelling_stores_what_ended_and_closes_everything(tmp_path: Path) -> None:
    async def main(store: Store) -> None:
        with anyio.move_on_after(0.5):
            await gather(make_agent("oracle"), slow, store=store, concurrency=6)
        assert OPEN == []

    slow = jobs(3, samples=1) + plan(tasks(3, target=4, wait_s=30), run="r1", samples=1)
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        started = time.perf_counter()
        anyio.run(main, store)
        assert time.perf_counter() - started < 10
        assert store.count() == 3
        assert len(remaining(slow, store, "r1")) == 3


def test_a_store_that_fails_ends_the_collection_with_its_error(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        store.append([a_run()])
        store.query(f"PRAGMA max_page_count = {store.query('PRAGMA page_count')[0][0] + 3}")
        with pytest.raises(StoreError, match="disk is full"):
            anyio.run(lambda: gather(make_agent("oracle"), jobs(100, samples=5), store=store))
        kept = store.count()
        assert kept < 500
        store.query("PRAGMA max_page_count = 1000000")
        done = anyio.run(lambda: gather(make_agent("oracle"), jobs(100, samples=5), store=store))
        assert (done.resumed, store.count()) == (kept, 500)
    assert OPEN == []


def test_a_callback_sees_an_episode_only_once_it_is_durable(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    seen: list[bool] = []

    def look(episode: Trajectory) -> None:
        with Store.open(path) as reader:
            seen.append(episode.episode_id in reader.finished("r1"))

    with Store.open(path, "a") as store:
        anyio.run(lambda: gather(make_agent("oracle"), jobs(), store=store, on_episode=look))
    assert seen == [True] * 8


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="concurrency"):
        anyio.run(lambda: gather(make_agent("oracle"), jobs(), concurrency=0))


def test_an_edited_panel_is_not_resumed() -> None:
    before = a_run(panel=panel_ref(tasks(3)))
    with pytest.raises(ConfigError, match="digest") as caught:
        check_resume(before, a_run(panel=panel_ref(tasks(3, target=4))))
    assert panel_ref(tasks(3)).digest[:16] in str(caught.value)
    with pytest.raises(ConfigError, match="agent: 'oracle' here, 'null' there"):
        check_resume(before, a_run(panel=panel_ref(tasks(3)), agent="oracle"))
    check_resume(before, a_run(panel=panel_ref(tasks(3)), created_at=99.0))


def test_a_long_collection_holds_no_episode_in_memory(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", "a") as store:
        anyio.run(lambda: gather(make_agent("oracle"), jobs(30), store=store))
        gc.collect()
        assert not [found for found in gc.get_objects() if type(found) is Trajectory]
