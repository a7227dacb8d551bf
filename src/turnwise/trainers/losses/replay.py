"""SPEAR: replay of good trajectories that used tools, with an advantage recalibrated to what groups earn by now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from turnwise.errors import TrainerError


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One trajectory in the buffer."""

    item: Any
    """Whatever the trainer replays: its rows, with the log-probs as sampled."""
    reward: float
    advantage: float
    step: int
    """Training step at which it was collected."""


@dataclass(kw_only=True)
class ReplayBuffer:
    """Trajectories with a positive advantage and at least one tool call, and the means of the groups seen."""

    size: int = 2048
    baseline_size: int = 10240
    tolerate_steps: int = 10
    """A trajectory older than this many steps is dropped; 10 at most, as released."""
    kept: list[Kept] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    stds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size < 1 or self.baseline_size < 1:
            raise TrainerError("a replay buffer needs room for one trajectory and one baseline at least")
        self.tolerate_steps = min(self.tolerate_steps, 10)

    def add(self, item: Any, *, reward: float, advantage: float, tool_calls: int, step: int) -> bool:
        """Admit a trajectory with advantage above 0 and a tool call; tells whether it was admitted."""
        if advantage <= 0 or tool_calls < 1:
            return False
        self.kept.append(Kept(item=item, reward=reward, advantage=advantage, step=step))
        return True

    def add_baselines(self, means: Sequence[float], stds: Sequence[float] = ()) -> None:
        """Remember the mean, and deviation, of the rewards of groups; the oldest go first."""
        self.means = [*self.means, *map(float, means)][-self.baseline_size :]
        self.stds = [*self.stds, *map(float, stds)][-self.baseline_size :]

    def expire(self, step: int) -> None:
        """Drop what is older than ``tolerate_steps``."""
        self.kept = [entry for entry in self.kept if step - entry.step <= self.tolerate_steps]

    @property
    def full(self) -> bool:
        """Whether it is time to replay: more than one and a half times ``size``."""
        return len(self.kept) > 1.5 * self.size

    def flush(self, *, scale: bool = False, decay: float | None = None, seed: int = 0) -> list[tuple[Kept, float]]:
        """Take everything out, with its replay advantage; only positive ones are kept, a power of two of them.

        Args:
            scale: Also divide by the median of the stored deviations.
            decay: In (0, 1]: the old advantage times this, instead of a new one.
            seed: Of the draw that cuts the batch to a power of two.
        """
        entries, self.kept = self.kept, []
        if not entries:
            return []
        rewards = torch.tensor([entry.reward for entry in entries])
        old = torch.tensor([entry.advantage for entry in entries])
        values = old * decay if decay is not None else self.recalibrated(rewards, scale=scale)
        good = [(entry, float(value)) for entry, value in zip(entries, values, strict=True) if value > 0]
        if not good:
            return []
        order = np.random.default_rng(seed).permutation(len(good))[: 1 << (len(good).bit_length() - 1)]
        return [good[i] for i in sorted(order)]

    def recalibrated(self, rewards: torch.Tensor, *, scale: bool = False) -> torch.Tensor:
        """``R - median of the stored group means``, optionally over the median of the stored deviations."""
        if not self.means or (scale and not self.stds):
            raise TrainerError("no group baselines are stored: call add_baselines after every batch")
        values = rewards - float(np.percentile(self.means, 50))
        return values / (float(np.percentile(self.stds, 50)) + 1e-6) if scale else values
