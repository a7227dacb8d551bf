"""Ending a run early and cleanly: money, tokens or time are spent, or enough is known.

Episodes under way are finished and stored; none is begun. So a run may exceed a limit by what its episodes under way
still spend.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turnwise.agents.jobs import Job
from turnwise.errors import ConfigError
from turnwise.evals.sequential import ConfidenceSequence, Until
from turnwise.trajectories.records import Trajectory, stable_seed
from turnwise.trajectories.tables import EpisodeRow


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a whole run may take; None: no limit."""

    cost: float | None = None
    """US dollars, failed attempts included."""
    tokens: int | None = None
    seconds: float | None = None
    """Of the present command; the machine's speed decides what it buys."""

    def __post_init__(self) -> None:
        for name in ("cost", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"the run's limit on {name} must be above 0, got {value!r}")


class Watch:
    """Watches a run and says when to begin no further episode.

    Args:
        jobs: The run's episodes in the order they are begun; with ``until`` the order of ``shuffled``.
        budget: What the run may take.
        until: When enough is known.
        clock: Seconds from anywhere.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        budget: Budget | None = None,
        until: Until | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._until, self._clock = budget or Budget(), until, clock
        self._cost, self._tokens, self._began, self._unpriced = 0.0, 0, clock(), False
        self.sequence = ConfidenceSequence()
        self._tasks = list(dict.fromkeys(job.task.key for job in jobs))
        self._left: dict[str, int] = defaultdict(int)
        for job in jobs:
            self._left[job.task.key] += 1
        self._values: dict[str, list[float]] = defaultdict(list)
        self._next = 0

    def resume(self, rows: Sequence[EpisodeRow]) -> None:
        """Take in what the store has of the run."""
        for row in rows:
            self._spend(row.cost, row.prompt_tokens + row.completion_tokens)
            if row.scored:
                self._settle(row.task_key, self._number(row.success, row.score))

    def reason(self) -> str | None:
        """Say why no further episode is to begin; None: go on."""
        budget, until = self._budget, self._until
        if budget.cost is not None and self._cost >= budget.cost:
            return f"the run has cost ${self._cost:.4f} of ${budget.cost:g}"
        if budget.cost is not None and self._unpriced:
            raise ConfigError(
                "the run is limited by cost and its model has no known price: set the agent's prices, for example "
                """--agent-set 'prices={"MODEL": {"input": 0.2, "output": 0.6}}' (US dollars for a million tokens)"""
            )
        if budget.tokens is not None and self._tokens >= budget.tokens:
            return f"the run has used {self._tokens:,} of {budget.tokens:,} tokens"
        if budget.seconds is not None and self._clock() - self._began >= budget.seconds:
            return f"the run has taken {budget.seconds:g} s"
        if until and self.sequence.half_width < until.half_width:
            return f"{until.quantity} is known to ±{self.sequence.half_width:.3f} after {self.sequence.count} tasks"
        return None

    def ended(self, episode: Trajectory, *, final: bool) -> None:
        """Count an attempt that has ended."""
        usage = episode.usage
        self._spend(usage.cost, usage.prompt_tokens + usage.completion_tokens)
        if final:
            value = self._number(episode.success, episode.score) if episode.scored else None
            self._settle(episode.task_key, value)

    def _spend(self, cost: float | None, tokens: int) -> None:
        self._cost += cost or 0.0
        self._tokens += tokens
        self._unpriced |= cost is None and tokens > 0

    def _settle(self, task: str, value: float | None) -> None:
        """Count an episode; feed the sequence the tasks that are complete, in their fixed order and no other.

        Short episodes end first: taking tasks as they come would favour those that end soon.
        """
        self._left[task] -= 1
        if value is not None:
            self._values[task].append(value)
        while self._next < len(self._tasks) and self._left[self._tasks[self._next]] <= 0:
            values = self._values[self._tasks[self._next]]
            if values:
                self.sequence.add([sum(values) / len(values)])
            self._next += 1

    def _number(self, success: bool | None, score: float | None) -> float:
        return float(bool(success)) if self._until is None or self._until.quantity == "success" else score or 0.0


def shuffled(jobs: Sequence[Job], seed: int) -> list[Job]:
    """Order a run's episodes task by task, the tasks in an order that only the seed decides.

    Then the tasks done so far are a random sample of the panel's at every moment, as stopping early requires.
    """
    return sorted(jobs, key=lambda job: (stable_seed("until", seed, job.task.key), job.task.key, job.place.sample))
