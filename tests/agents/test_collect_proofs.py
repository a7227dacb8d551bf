"""Kill, chaos and another machine's hash seed: a collection survives the first two and does not notice the third.

Each proof is run short here, and at full length with ``-m slow``.
"""

import gc
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import anyio
import psutil
import pytest

from tiny_env import CountEnv, tasks
from turnwise.agents import Collected, collect, make_agent, plan
from turnwise.models.fake import FAULTS
from turnwise.models.fake.server import spawned
from turnwise.trajectories import Store, without_volatile
from turnwise.trajectories.lines import read_lines

ENV = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])}
SCRIPT = '[{"content": "one more", "calls": [["add", {"amount": 1}]]}]'


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    (tmp_path / "script.json").write_text(SCRIPT)
    return ["--script", str(tmp_path / "script.json")]


def started(folder: Path, url: str, *more: str, agent: str = "chat", seed: str = "0") -> "subprocess.Popen[str]":
    who = ["--model", "m", "--base-url", url] if agent == "chat" else ["--agent", agent]
    asked = ["eval", "tiny_env:CountEnv", *who, "--panel", "panel.jsonl", "--samples", "2", "--run", "k", "--json"]
    command = [sys.executable, "-m", "turnwise.cli", *asked, *more]
    environment = ENV | {"PYTHONHASHSEED": seed}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def write_panel(folder: Path, n: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "panel.jsonl").write_text("".join(f"{task.model_dump_json()}\n" for task in tasks(n)))


def stored(path: Path) -> set[str]:
    if not path.exists() or not path.stat().st_size:
        return set()
    with Store.open(path, "a") as store:
        assert [tuple(row) for row in store.query("PRAGMA integrity_check")] == [("ok",)]
        rows = store.rows("k", attempts=True)
        assert len(rows) == len({row.episode_id for row in rows})
        assert all(len(episode.turns) == 3 and episode.success for episode in store.episodes("k"))
        return {row.episode_id for row in rows}


@pytest.mark.parametrize(("n", "kills", "latest"), [(15, 2, 1.6), pytest.param(100, 20, 2.6, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_holds_every_episode_once(
    tmp_path: Path, script: list[str], n: int, kills: int, latest: float
) -> None:
    write_panel(tmp_path, n)
    rng, before = random.Random(2), set[str]()
    with spawned([*script, "--latency", "0.2"]) as url:
        for _ in range(kills):
            process = started(tmp_path, url, "--resume")
            time.sleep(rng.uniform(0.3, latest))
            process.kill()
            process.communicate()
            after = stored(tmp_path / "runs.sqlite")
            assert before <= after
            before = after
        process = started(tmp_path, url, "--resume")
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert f'"scored": {2 * n}' in out
    assert len(stored(tmp_path / "runs.sqlite")) == 2 * n


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("warm", "rest"), [(20, 60), pytest.param(200, 800, marks=pytest.mark.slow)])
def test_chaos_ends_in_scores_and_named_failures_and_leaks_nothing(
    tmp_path: Path, script: list[str], warm: int, rest: int
) -> None:
    me = psutil.Process()

    async def part(url: str, store: Store, n: int, run: str) -> Collected:
        agent = make_agent("chat", model="m", base_url=url, timeout_s=1.0, retries=1, longest_wait_s=0.1)
        try:
            jobs = plan(tasks(n, target=4), run=run)
            return await collect(CountEnv, agent, jobs, store=store, concurrency=32, retries=1, backoff_s=0.01)
        finally:
            await agent.aclose()

    async def main(url: str, store: Store) -> None:
        with anyio.fail_after(600):
            await part(url, store, warm, "warm")
            gc.collect()
            memory, files = me.memory_info().rss, me.num_fds()
            done = await part(url, store, rest, "rest")
            gc.collect()
            grown = me.memory_info().rss / memory - 1
        rows = store.rows("rest")
        assert len(rows) == rest == done.scored + done.failed
        assert all(row.scored or (row.failure_kind and row.failure) for row in rows)
        assert {row.failure_kind for row in store.rows("rest", attempts=True) if not row.scored} <= {"model"}
        assert sum(row.n_invalid for row in rows) > 0
        assert me.num_fds() == files
        sys.stdout.write(f"chaos: {done}; memory {grown:+.1%}, files {me.num_fds() - files:+d}\n")
        if rest >= 800:
            assert grown < 0.05

    with (
        spawned([*script, "--fault-rate", "0.2", "--fault-kinds", ",".join(FAULTS)]) as url,
        Store.open(tmp_path / "s.sqlite", "a") as store,
    ):
        anyio.run(main, url, store)


@pytest.mark.parametrize("agent", ["chat", "random"])
def test_another_hash_seed_and_concurrency_write_the_same_records(tmp_path: Path, agent: str) -> None:
    records = []
    with spawned(["--seed", "3"]) as url:
        for seed in ("1", "7"):
            write_panel(tmp_path / seed, 12)
            process = started(tmp_path / seed, url, "--concurrency", seed, agent=agent, seed=seed)
            _, err = process.communicate()
            assert process.returncode == 0, err
            records.append(exported(tmp_path / seed))
    assert records[0] == records[1]
    assert len(records[0]) == 24


def exported(folder: Path) -> list[object]:
    from turnwise.trajectories.export import export as write

    with Store.open(folder / "runs.sqlite") as store:
        write(store, "k", folder / "out.jsonl")
    episodes = [item.model_dump(mode="json") for item in read_lines(folder / "out.jsonl")]
    return [without_volatile(episode) for episode in episodes if "episode_id" in episode]
