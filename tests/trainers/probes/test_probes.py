"""Probes write what estimators read, replay exactly, and keep to their budget."""

import anyio
import numpy as np
import pytest

from tiny_env import OPEN, CountEnv, tasks
from turnwise.agents import Conversation, make_agent
from turnwise.agents.rollout import Place, rollout
from turnwise.errors import TrainerError
from turnwise.tasks import Task
from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.probes import ForkValue, GoldLogprob, Probe, ProbeReport, Shapley
from turnwise.trajectories import Trajectory

TASKS = tasks(1)


@pytest.fixture(autouse=True)
def no_environment_is_open() -> None:
    OPEN.clear()


def task_of(trajectory: Trajectory) -> Task:
    return next(task for task in TASKS.tasks if task.key == trajectory.task_key)


def episodes(n: int = 2) -> list[Trajectory]:
    async def main() -> list[Trajectory]:
        made = []
        for sample in range(n):
            async with CountEnv() as env:
                made.append(await rollout(env, make_agent("oracle"), TASKS.tasks[0], 7, place=Place(sample=sample)))
        return made

    return anyio.run(main)


def run(probe: Probe, trajectories: list[Trajectory], version: int | None = None) -> ProbeReport:
    async def main() -> ProbeReport:
        return await probe.run(trajectories, policy_version=version)

    return anyio.run(main)


def test_fork_value_is_the_mean_return_of_continuations() -> None:
    report = run(ForkValue(CountEnv, make_agent("oracle"), task_of, branches=2), episodes(), version=4)
    assert not report.failures
    assert report.spent == 2 * 2 * 3
    batch = CreditBatch.from_trajectories(report.trajectories)
    np.testing.assert_allclose(batch.get("fork_value"), [1.375, 1.25, 1.125] * 2)
    assert report.trajectories[0].turns[1].probes["fork_value"] == {
        "value": 1.25,
        "n": 2,
        "std": 0.0,
        "policy_version": 4,
    }
    np.testing.assert_allclose(credit.get("fork_value").estimate(batch).advantages, 0.0)
    assert OPEN == []


def test_a_discount_and_a_turn_limit_reach_the_branches() -> None:
    halved = run(ForkValue(CountEnv, make_agent("oracle"), task_of, branches=1, gamma=0.5), episodes(1))
    values = [turn.probes["fork_value"]["value"] for turn in halved.trajectories[0].turns]
    np.testing.assert_allclose(values, [0.125 + 0.0625 + 1.125 / 4, 0.125 + 1.125 / 2, 1.125])
    short = [trajectory.model_copy(update={"horizon_in_force": 2}) for trajectory in episodes(1)]
    cut = run(ForkValue(CountEnv, make_agent("oracle"), task_of, branches=1), short)
    first = cut.trajectories[0].turns[0].probes["fork_value"]["value"]
    assert first == pytest.approx(2 * 0.125 + 2 / 3)


def test_a_replay_that_diverges_is_the_probe_s_failure() -> None:
    first, second = episodes()
    turns = list(first.turns)
    turns[1] = turns[1].model_copy(update={"state_key": "other"})
    broken = first.model_copy(update={"turns": tuple(turns)})
    report = run(ForkValue(CountEnv, make_agent("oracle"), task_of, branches=1), [broken, second])
    assert [(uid, why.split(":")[0]) for uid, why in report.failures] == [(broken.episode_id, "ReplayDiverged")]
    assert report.trajectories[0] == broken
    assert report.trajectories[1].turns[0].probes
    assert OPEN == []


def test_the_budget_skips_what_it_does_not_reach() -> None:
    report = run(ForkValue(CountEnv, make_agent("oracle"), task_of, branches=2, budget=7), episodes(3))
    assert (report.spent, len(report.skipped)) == (6, 2)


def test_shapley_divides_the_reward_among_equal_turns() -> None:
    for limit, mode in ((6, "exact"), (1, "sampled")):
        report = run(Shapley(CountEnv, task_of, exact_turns=limit), episodes(1))
        batch = CreditBatch.from_trajectories(report.trajectories)
        found = credit.get("shapley").estimate(batch, {"mode": mode}).advantages
        assert found.sum() == pytest.approx(1.375)
        np.testing.assert_allclose(found, 1.375 / 3)


class Rising:
    """A policy that finds the answer likelier with every turn."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, str, str]] = []

    async def mean_logprob(self, conversation: Conversation, before: str, gold: str, after: str) -> float:
        self.asked.append((len(conversation.turns), before, gold, after))
        return -3.0 + len(conversation.turns)


def test_gold_logprobs_are_asked_before_each_turn() -> None:
    scorer = Rising()
    known = [episode.model_copy(update={"gold_answers": (" Paris <|answer_split|>Lutetia",)}) for episode in episodes()]
    report = run(GoldLogprob(scorer), known)
    assert not report.failures
    assert sorted({(turn, gold) for turn, _, gold, _ in scorer.asked}) == [(0, "Paris"), (1, "Paris"), (2, "Paris")]
    assert scorer.asked[0][1].endswith("<answer>\n")
    assert scorer.asked[0][3] == "\n</answer>"
    batch = CreditBatch.from_trajectories(report.trajectories)
    np.testing.assert_allclose(batch.get("gold_logprob"), [-3, -2, -1] * 2)
    assert np.isfinite(credit.get("igpo").estimate(batch).advantages).all()


def test_gold_logprobs_need_an_answer_and_the_policy_that_sampled() -> None:
    assert "no gold answer" in run(GoldLogprob(Rising()), episodes(1)).failures[0][1]
    (episode,) = episodes(1)
    older = tuple(turn.model_copy(update={"policy_version": 3}) for turn in episode.turns)
    stale = episode.model_copy(update={"gold_answers": ("x",), "turns": older})
    assert "would mix two policies" in run(GoldLogprob(Rising()), [stale], version=4).failures[0][1]
    assert not run(GoldLogprob(Rising()), [stale], version=3).failures


def test_no_branches_are_refused() -> None:
    with pytest.raises(TrainerError, match="one branch at least"):
        ForkValue(CountEnv, make_agent("oracle"), task_of, branches=0)
