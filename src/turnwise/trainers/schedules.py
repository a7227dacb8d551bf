"""Schedules: pure functions of the step, so that a resumed run follows the same curve.

Each is a frozen object that is called with a step (or epoch) and returns a number. None keeps state.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from turnwise.errors import ConfigError, UnknownNameError


class Schedule(Protocol):
    """A number that depends on the step alone."""

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        ...


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same value always."""

    value: float

    def __call__(self, step: int) -> float:
        """See the class."""
        del step
        return self.value


@dataclass(frozen=True, kw_only=True)
class ScalingInter:
    """Horizon of interaction: ``rounds[min(⌊(s - 1) / interval⌋, last)]``, s from 1 (AgentGym-RL).

    One formula for a fresh run and a resumed one; the released code is off by one after a resume.
    """

    rounds: tuple[int, ...]
    interval: int = 100

    def __post_init__(self) -> None:
        if not self.rounds or min(self.rounds) < 1 or self.interval < 1:
            raise ConfigError(f"scaling_inter needs positive rounds and interval, got {self.rounds}, {self.interval}")

    def __call__(self, step: int) -> float:
        """Most turns an episode of this step may have."""
        return self.rounds[min(max(step - 1, 0) // self.interval, len(self.rounds) - 1)]


@dataclass(frozen=True, kw_only=True)
class SpearReplay:
    """Weight of the replay loss: ``c · ½(1 - cos(πt/T))`` up to T, then c (SPEAR)."""

    c: float = 1.0
    """1 in the README, 0.001 in the released configuration: choose."""
    horizon: int = 200

    def __call__(self, step: int) -> float:
        """See the class."""
        return self.c if step > self.horizon else self.c * 0.5 * (1.0 - math.cos(math.pi * step / self.horizon))


@dataclass(frozen=True, kw_only=True)
class SpearTool:
    """Reward of tool calls: ``min(1, 0.1 · calls) · ½(1 + cos(πt/T))``, 0 after T; to right and wrong answers alike."""

    horizon: int = 200
    per_call: float = 0.1
    most: float = 1.0

    def __call__(self, step: int) -> float:
        """Factor of the step."""
        return 0.0 if step > self.horizon else 0.5 * (1.0 + math.cos(math.pi * step / self.horizon))

    def reward(self, step: int, calls: int) -> float:
        """Reward of an episode with so many tool calls."""
        return min(self.most, self.per_call * calls) * self(step)


@dataclass(frozen=True, kw_only=True)
class EPOPhase:
    """Weight β of EPO's penalty, as released: from 1 it falls slowly, then, after half the horizon, fast.

    ``1 - 0.2 (1 - e^{-2p})`` with p the progress within the first half, then ``0.8 e^{-3q}``, constant afterwards.
    """

    horizon: int = 150

    def __post_init__(self) -> None:
        if self.horizon < 0:
            raise ConfigError(f"epo_phase: the horizon must not be negative, got {self.horizon}")

    def __call__(self, step: int) -> float:
        """Weight at an epoch."""
        epoch, half = max(0, min(step, self.horizon)), self.horizon // 2
        if half == 0 and epoch <= half:
            return 1.0
        if epoch <= half:
            return 1.0 - 0.2 * (1.0 - math.exp(-2.0 * epoch / half))
        return 0.8 * math.exp(-3.0 * (epoch - half) / (self.horizon - half))


@dataclass(frozen=True, kw_only=True)
class Linear:
    """From ``start`` at step 0 to ``end`` at ``steps``, constant before and after (IGPO's curriculum weights)."""

    start: float
    end: float
    steps: int

    def __call__(self, step: int) -> float:
        """See the class."""
        share = 1.0 if self.steps <= 0 else min(max(step / self.steps, 0.0), 1.0)
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """From ``start`` to ``end`` along half a cosine, after ``warmup`` steps that rise from 0 to ``start``."""

    start: float
    end: float = 0.0
    steps: int
    warmup: int = 0

    def __call__(self, step: int) -> float:
        """See the class."""
        if step < self.warmup:
            return self.start * step / self.warmup
        rest = max(self.steps - self.warmup, 1)
        share = min(max((step - self.warmup) / rest, 0.0), 1.0)
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True, kw_only=True)
class Piecewise:
    """``values[k]`` from step ``at[k]`` on; ``at[0]`` is 0. With ``join="linear"`` straight lines between them."""

    at: tuple[int, ...]
    values: tuple[float, ...]
    join: Literal["step", "linear"] = "step"

    def __post_init__(self) -> None:
        if len(self.at) != len(self.values) or not self.at or self.at[0] != 0:
            raise ConfigError(f"piecewise needs as many values as steps, from step 0: got {self.at}, {self.values}")
        if any(a >= b for a, b in zip(self.at, self.at[1:], strict=False)):
            raise ConfigError(f"piecewise: the steps must rise, got {self.at}")

    def __call__(self, step: int) -> float:
        """See the class."""
        k = max((i for i, start in enumerate(self.at) if start <= max(step, 0)), default=0)
        if self.join == "step" or k + 1 == len(self.at):
            return self.values[k]
        share = (max(step, 0) - self.at[k]) / (self.at[k + 1] - self.at[k])
        return self.values[k] + (self.values[k + 1] - self.values[k]) * share


@dataclass(frozen=True, kw_only=True)
class GHPOLadder:
    """Share of the reference solution a prompt is given (GHPO): the next rung each time a whole group fails."""

    rungs: tuple[float, ...] = (0.25, 0.5, 0.75)
    start_hint_step: int = 0
    """Before this step nobody is helped."""

    def ratio(self, step: int, failed_attempts: int) -> float:
        """Share, by characters, after so many attempts in which no rollout of the group was right."""
        if step < self.start_hint_step or failed_attempts < 1:
            return 0.0
        return self.rungs[min(failed_attempts, len(self.rungs)) - 1]

    def hint(self, solution: str, step: int, failed_attempts: int) -> str:
        """Beginning of the solution that is shown."""
        return solution[: int(len(solution) * self.ratio(step, failed_attempts))]

    @staticmethod
    def failed(scores: Sequence[float]) -> bool:
        """Whether every rollout of a group scored 0 or less."""
        return all(score <= 0 for score in scores)


def igpo_curriculum(steps: int) -> tuple[Linear, Linear]:
    """Weights of outcome and of information gain: 0.5 to 1 and 1 to 0.5."""
    return Linear(start=0.5, end=1.0, steps=steps), Linear(start=1.0, end=0.5, steps=steps)


KINDS: dict[str, type[Any]] = {
    "constant": Constant,
    "scaling_inter": ScalingInter,
    "spear_replay": SpearReplay,
    "spear_tool": SpearTool,
    "epo_phase": EPOPhase,
    "linear": Linear,
    "cosine": Cosine,
    "piecewise": Piecewise,
}


def schedule(config: "float | Mapping[str, Any]") -> Schedule:
    """Build a schedule from plain data: a number, or ``{"kind": "cosine", …}``.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: It does not take these settings.
    """
    if isinstance(config, int | float):
        return Constant(value=float(config))
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    kind = str(settings.pop("kind", ""))
    if kind not in KINDS:
        raise UnknownNameError.of("schedule", kind, KINDS)
    try:
        made: Schedule = KINDS[kind](**settings)
    except TypeError as error:
        raise ConfigError(f"the schedule {kind!r} does not take {settings}: {error}") from error
    return made
