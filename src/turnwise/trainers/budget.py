"""What a run has taken of its budget, and what of it the supervised start may take."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnwise.trainers.recipe import BudgetPart


@dataclass(frozen=True)
class Spent:
    """What the finished steps of reinforcement learning took."""

    tokens: float = 0.0
    seconds: float = 0.0

    def reached(self, budget: BudgetPart | None) -> str | None:
        """Say which limit is reached; None: none is."""
        if budget is None:
            return None
        if budget.rl_tokens is not None and self.tokens >= budget.rl_tokens:
            return f"{self.tokens:,.0f} of {budget.rl_tokens:,.0f} tokens are sampled"
        if budget.seconds is not None and self.seconds >= budget.seconds:
            return f"{self.seconds:,.0f} of {budget.seconds:,.0f} seconds have passed"
        return None


def spent_by(metrics: Path, step: int) -> Spent:
    """Read what the steps up to one took from a run's metrics file."""
    if not metrics.exists():
        return Spent()
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    data = [line["data"] for line in lines if line["step"] <= step]
    names = ("timing_s/step", "timing_s/testing")
    return Spent(
        tokens=sum(each.get("turnwise/sampled_tokens", 0.0) for each in data),
        seconds=sum(each.get(name, 0.0) for each in data for name in names),
    )


@dataclass(frozen=True)
class SftLength:
    """How long a supervised start is."""

    steps: int
    epochs: int


def sft_length(tokens: float, batch: int, trained: Sequence[int]) -> SftLength:
    """Return how many updates a number of trained tokens allows, at least one.

    Args:
        tokens: The budget.
        batch: Sequences of an update.
        trained: The policy's own tokens of each sequence.
    """
    mean = sum(trained) / len(trained)
    steps = max(1, int(tokens / (batch * mean)))
    return SftLength(steps=steps, epochs=math.ceil(steps / max(1, len(trained) // batch)))
