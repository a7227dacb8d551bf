"""What a probe is: it asks a live model or environment after collection, and writes what it learnt into the record.

Estimators read the record only, so a stored run can be credited again without either.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import anyio
from pydantic import JsonValue

from turnwise.errors import TurnwiseError
from turnwise.trajectories import Trajectory, Turn


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """What a probe did."""

    trajectories: tuple[Trajectory, ...]
    """In the order given; those the probe could not measure are as they were."""
    failures: tuple[tuple[str, str], ...] = ()
    """Episode id and what went wrong."""
    skipped: tuple[str, ...] = ()
    """Episode ids the budget did not reach, or that have no score."""
    spent: int = 0
    """Units of the budget: branches, scoring passes, replays."""


@dataclass
class Budget:
    """How much a probe may still do."""

    limit: int | None = None
    spent: int = 0

    def take(self, cost: int) -> bool:
        """Reserve ``cost`` units; False, and nothing reserved, where too little is left."""
        if self.limit is not None and self.spent + cost > self.limit:
            return False
        self.spent += cost
        return True


@dataclass
class _Outcome:
    measured: dict[int, Trajectory] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class Probe(ABC):
    """Measures something on each trajectory.

    Subclasses say what one trajectory costs and how it is measured. A probe's failure belongs to the probe: the
    episode's score and reward stay as they are.
    """

    name: ClassVar[str]
    writes: ClassVar[tuple[str, ...]]
    """Fields of a credit batch that the result fills."""

    def __init__(self, *, budget: int | None = None, parallel: int = 4) -> None:
        """Bound the probe.

        Args:
            budget: Most units it may spend in one run; None: no bound.
            parallel: How many trajectories are measured at once.
        """
        self.budget = budget
        self.parallel = parallel

    async def run(self, trajectories: Sequence[Trajectory], *, policy_version: int | None = None) -> ProbeReport:
        """Measure every scored trajectory within the budget, in the order given.

        Args:
            trajectories: The records; they are not changed.
            policy_version: Global step of the policy that is asked; it is stored with the result.
        """
        budget, outcome = Budget(limit=self.budget), _Outcome()
        limiter = anyio.CapacityLimiter(self.parallel)

        async def one(index: int, trajectory: Trajectory) -> None:
            async with limiter:
                try:
                    outcome.measured[index] = await self.measure(trajectory, policy_version)
                except TurnwiseError as error:
                    outcome.failures.append((trajectory.episode_id, f"{type(error).__name__}: {error}"))

        async with anyio.create_task_group() as group:
            for index, trajectory in enumerate(trajectories):
                if not trajectory.scored or not budget.take(self.cost(trajectory)):
                    outcome.skipped.append(trajectory.episode_id)
                else:
                    group.start_soon(one, index, trajectory)
        return ProbeReport(
            trajectories=tuple(outcome.measured.get(i, trajectory) for i, trajectory in enumerate(trajectories)),
            failures=tuple(sorted(outcome.failures)),
            skipped=tuple(outcome.skipped),
            spent=budget.spent,
        )

    @abstractmethod
    def cost(self, trajectory: Trajectory) -> int:
        """Units of the budget one trajectory takes."""

    @abstractmethod
    async def measure(self, trajectory: Trajectory, policy_version: int | None) -> Trajectory:
        """Return a copy of the record with the result in it."""


def with_probe(turn: Turn, name: str, result: dict[str, JsonValue]) -> Turn:
    """Copy of a turn with a probe's result under its name."""
    return turn.model_copy(update={"probes": {**turn.probes, name: result}})
