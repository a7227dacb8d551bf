"""A run ends early and cleanly: what is under way is finished and stored, and a resume goes on from there."""

import itertools
from pathlib import Path
from typing import Any

import anyio
import pytest

from synthetic_runs import episode, task
from tiny_env import tasks
from turnwise.agents.jobs import Job, plan
from turnwise.errors import ConfigError
from turnwise.evals.run import Evaluation, Prepared, evaluate, measured
from turnwise.evals.sequential import Until
from turnwise.evals.stopping import Budget, Watch, shuffled
from turnwise.trajectories import Store


def jobs(n: int, samples: int = 1) -> list[Job]:
    return plan([task(i) for i in range(n)], run="r", samples=samples)


def won(index: int, *, yes: bool, sample: int = 0) -> Any:
    import random

    return episode("r", index, sample, random.Random(0), won=yes)


def test_money_and_tokens_stop_a_run() -> None:
    for budget, said in ((Budget(cost=0.01), "has cost"), (Budget(tokens=1000), "tokens")):
        watch = Watch(jobs(50), budget)
        assert watch.reason() is None
        for index in range(20):
            watch.ended(won(index, yes=True), final=True)
        assert said in (watch.reason() or "")


def test_time_stops_a_run() -> None:
    now = [0.0]
    watch = Watch(jobs(5), Budget(seconds=10), clock=lambda: now[0])
    assert watch.reason() is None
    now[0] = 10.0
    assert watch.reason() == "the run has taken 10 s"


def test_a_cost_limit_without_a_price_is_refused_rather_than_ignored() -> None:
    watch = Watch(jobs(5), Budget(cost=1.0))
    record = won(0, yes=True)
    unpriced = record.model_copy(update={"usage": record.usage.model_copy(update={"cost": None})})
    watch.ended(unpriced, final=True)
    with pytest.raises(ConfigError, match="no known price"):
        watch.reason()


@pytest.mark.parametrize("wrong", [{"cost": 0}, {"tokens": -1}, {"seconds": float("nan")}])
def test_limits_must_be_above_zero(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Budget(**wrong)


def test_tasks_count_in_their_fixed_order_whoever_ends_first() -> None:
    told = []
    for order in itertools.permutations(range(4)):
        watch = Watch(jobs(4), until=Until("success", 0.1))
        for index in order:
            watch.ended(won(index, yes=index % 2 == 0), final=True)
        told.append(watch.sequence.interval)
    assert len(set(told)) == 1
    late = Watch(jobs(4), until=Until("success", 0.1))
    for index in (1, 2, 3):
        late.ended(won(index, yes=True), final=True)
    assert late.sequence.count == 0


def test_a_failure_holds_nobody_up_and_counts_for_nothing() -> None:
    import random

    watch = Watch(jobs(3), until=Until("success", 0.1))
    failed = episode("r", 0, 0, random.Random(0), failing=1.0)
    watch.ended(failed, final=False)
    watch.ended(won(1, yes=True), final=True)
    assert watch.sequence.count == 0
    watch.ended(failed, final=True)
    assert watch.sequence.count == 1


def test_until_stops_once_enough_is_known_and_samples_of_a_task_count_once() -> None:
    planned = shuffled(jobs(400, samples=2), seed=1)
    watch = Watch(planned, until=Until("success", 0.1))
    begun = 0
    for job in planned:
        if watch.reason():
            break
        begun += 1
        index = job.task.data["n"]
        assert isinstance(index, int)
        watch.ended(won(index, yes=index % 3 > 0, sample=job.place.sample), final=True)
    assert 200 < begun < 800
    assert "success is known to ±0." in (watch.reason() or "")
    assert watch.sequence.count == begun // 2


def test_the_order_depends_on_the_seed_alone() -> None:
    planned = jobs(20, samples=2)
    assert shuffled(planned, 1) == shuffled(list(reversed(planned)), 1)
    assert shuffled(planned, 1) != shuffled(planned, 2)
    assert [job.place.sample for job in shuffled(planned, 1)] == [0, 1] * 20


def _panel(path: Path) -> str:
    path.write_text("".join(f"{one.model_dump_json()}\n" for one in tasks(n=40)))
    return str(path)


def test_a_stopped_run_is_whole_and_goes_on_when_resumed(tmp_path: Path) -> None:
    wanted = {
        "env": "tiny_env:CountEnv", "agent": "oracle", "panel": _panel(tmp_path / "p.jsonl"), "run": "r",
        "concurrency": 2, "until": "ci<0.2",
    }  # fmt: skip
    store = tmp_path / "s.sqlite"
    first = anyio.run(evaluate, Evaluation(**wanted), store)  # type: ignore[arg-type]
    assert 5 < first.scored < 40
    again = anyio.run(evaluate, Evaluation(**wanted, resume=True), store)  # type: ignore[arg-type]
    assert again.scored == first.scored
    whole = anyio.run(evaluate, Evaluation(**wanted | {"until": None}, resume=True), store)  # type: ignore[arg-type]
    assert whole.scored == 40
    with Store.open(store) as opened:
        assert len({row.episode_id for row in opened.rows("r", attempts=True)}) == 40


def test_the_reason_is_told(tmp_path: Path) -> None:
    wanted = Evaluation(
        env="tiny_env:CountEnv", agent="oracle", panel=_panel(tmp_path / "p.jsonl"), budget=Budget(seconds=1e-9)
    )
    prepared = Prepared(wanted)
    with measured(prepared, tmp_path / "s.sqlite") as opened:
        done = anyio.run(prepared.collect, opened.store, opened.run, None)
    assert done.stopped == "the run has taken 1e-09 s"
    assert done.scored == 0
