"""Gold log-probs (IGPO): how likely the policy finds the right answer before each turn."""

from typing import ClassVar, Protocol

from turnwise.agents import Conversation
from turnwise.errors import TrainerError
from turnwise.trainers.probes.base import Probe
from turnwise.trajectories import Trajectory

SPLIT = "<|answer_split|>"
"""Separates several right answers in one text; the first is scored."""


class GoldScorer(Protocol):
    """A policy that can be asked how likely it finds a text."""

    async def mean_logprob(self, conversation: Conversation, before: str, gold: str, after: str) -> float:
        """Mean log-prob of the tokens of ``gold`` alone, when the policy's next message is before + gold + after."""
        ...


def wrapper() -> tuple[str, str]:
    """What stands before and after the gold answer: thinking is closed and the answer tag opened."""
    return "\nNow there's enough information to answer\n</think>\n<answer>\n", "\n</answer>"


def first_gold(trajectory: Trajectory) -> str:
    """The answer that is scored.

    Raises:
        TrainerError: The record has none.
    """
    if not trajectory.gold_answers:
        raise TrainerError(f"episode {trajectory.episode_id!r} has no gold answer")
    return trajectory.gold_answers[0].split(SPLIT)[0].strip()


class GoldLogprob(Probe):
    """Asks the policy that sampled, at every turn's beginning, for the gold answer's mean log-prob.

    A gain is only meaningful under the policy of the rollout: run it before the next update, and never again later.
    """

    name: ClassVar[str] = "gold_logprob"
    writes: ClassVar[tuple[str, ...]] = ("gold_logprob",)

    def __init__(self, scorer: GoldScorer, *, budget: int | None = None, parallel: int = 4) -> None:
        """Prepare the probe; the budget counts scoring passes, one per turn."""
        super().__init__(budget=budget, parallel=parallel)
        self.scorer = scorer

    def cost(self, trajectory: Trajectory) -> int:
        """One pass per turn: the final turn is paid by the outcome."""
        return len(trajectory.turns)

    async def measure(self, trajectory: Trajectory, policy_version: int | None) -> Trajectory:
        """Score the gold answer before each turn."""
        gold, (before, after) = first_gold(trajectory), wrapper()
        turns = []
        for turn in trajectory.turns:
            sampled_by = turn.policy_version
            if None not in (policy_version, sampled_by) and policy_version != sampled_by:
                raise TrainerError(
                    f"turn {turn.index} of {trajectory.episode_id!r} was sampled by policy {sampled_by}, "
                    f"and policy {policy_version} is asked: gains would mix two policies"
                )
            value = await self.scorer.mean_logprob(Conversation.of(trajectory, turn.index), before, gold, after)
            turns.append(turn.model_copy(update={"gold_mean_logprob_before": float(value)}))
        return trajectory.model_copy(update={"turns": tuple(turns)})
