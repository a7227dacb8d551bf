"""How often the intervals hold, by simulation: the numbers the guide quotes are computed here.

A success rate's interval depends only on how many tasks had how many successes, so each such count is asked once.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from turnwise.evals.intervals import Interval, mean, proportion
from turnwise.evals.sequential import ConfidenceSequence, Wealth
from turnwise.evals.statistics import pass_intervals

GRID = tuple(round(0.1 * i, 1) for i in range(1, 10))
CORRELATION = 0.3
"""Of the samples of one task, in the clustered simulations: success probabilities differ between tasks."""

Quantity = Literal["success", "score", "pass@2"]

Counts = tuple[int, ...]
"""How many tasks had 0, 1, 2 … successes."""


def wilson_coverage(p: float, n: int, runs: int, seed: int = 0) -> float:
    """Return how often success's interval holds p: one sample of each of n tasks."""
    rng = np.random.default_rng([seed, n, round(100 * p)])
    drawn, times = np.unique(rng.binomial(n, p, size=runs), return_counts=True)
    held = [_holds(_success((n - int(count), int(count))), p) for count in drawn]
    return float(np.average(held, weights=times))


def clustered_coverage(
    p: float, tasks: int, runs: int, *, samples: int = 3, quantity: Quantity = "success", seed: int = 0
) -> float:
    """Return how often an interval holds the truth: several samples of each task, alike within a task.

    Args:
        p: Mean success probability over tasks; those of single tasks are Beta distributed.
        tasks: Tasks of each simulated evaluation.
        runs: Simulated evaluations.
        samples: Of each task.
        quantity: ``success`` (Wilson, effective number), ``score`` (clustered t) or ``pass@2``.
        seed: Of the simulation.
    """
    rng = np.random.default_rng([seed, tasks, round(100 * p)])
    a, b = (share * (1 - CORRELATION) / CORRELATION for share in (p, 1 - p))
    wins = rng.binomial(samples, rng.beta(a, b, size=(runs, tasks)))
    counts = np.stack([(wins == won).sum(axis=1) for won in range(samples + 1)], axis=1)
    drawn, times = np.unique(counts, axis=0, return_counts=True)
    interval = _INTERVALS[quantity]
    # Both draws fail unless the first fails and then the second: E[(1 - q)^2] of the Beta distribution.
    truth = 1 - (1 - p) * (1 - p + CORRELATION * p) if quantity == "pass@2" else p
    held = [_holds(interval(tuple(map(int, one))), truth) for one in drawn]
    return float(np.average(held, weights=times))


def sequence_coverage(p: float, n: int, runs: int, seed: int = 0) -> float:
    """Return how often the confidence sequence holds p at every moment up to n tasks: the worst stopping rule."""
    return float(_stream(p, n, runs, seed).mean())


def peeking_coverage(p: float, n: int, runs: int, seed: int = 0) -> float:
    """Return how often Wilson's interval holds p at every moment from 10 to n tasks: what looking costs."""
    values = _values(p, n, runs, seed)
    held = np.ones(runs, dtype=bool)
    totals = values.cumsum(axis=0)
    for t in range(10, n + 1):
        table = np.array([_holds(_success((t - won, won)), p) for won in range(t + 1)])
        held &= table[totals[t - 1].astype(int)]
    return float(held.mean())


def stopped_coverage(p: float, half_width: float, most: int, runs: int, seed: int = 0) -> tuple[float, float]:
    """Return how often the sequence holds p where a run stopped because it was narrow enough, and the mean tasks."""
    held, taken = [], []
    for stream in _values(p, most, runs, seed).T:
        sequence = ConfidenceSequence()
        for value in stream:
            sequence.add([float(value)])
            if sequence.half_width < half_width:
                break
        held.append(_holds(sequence.interval, p))
        taken.append(sequence.count)
    return float(np.mean(held)), float(np.mean(taken))


def _stream(p: float, n: int, runs: int, seed: int) -> npt.NDArray[np.bool_]:
    wealth = Wealth(np.full(runs, p))
    for value in _values(p, n, runs, seed):
        wealth.take(value)
    return wealth.alive


def _values(p: float, n: int, runs: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng([seed, n, round(100 * p)])
    drawn: npt.NDArray[np.float64] = (rng.random((n, runs)) < p).astype(float)
    return drawn


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= truth <= interval.high


def _over_episodes(method: Callable[[Sequence[bool], Sequence[str]], Interval]) -> Callable[[Counts], Interval]:
    @lru_cache(maxsize=50_000)
    def by_counts(counts: Counts) -> Interval:
        samples = max(len(counts) - 1, 1)
        wins = [won for won, tasks in enumerate(counts) for _ in range(tasks)]
        values = [sample < won for won in wins for sample in range(samples)]
        return method(values, [str(task) for task in range(len(wins)) for _ in range(samples)])

    return by_counts


_success = _over_episodes(proportion)
_score = _over_episodes(lambda values, tasks: mean([float(value) for value in values], tasks))


@lru_cache(maxsize=50_000)
def _pass_at_2(counts: Counts) -> Interval:
    wins = [won for won, tasks in enumerate(counts) for _ in range(tasks)]
    outcomes = {str(i): [sample < won for sample in range(len(counts) - 1)] for i, won in enumerate(wins)}
    return pass_intervals(outcomes, 2)[0]


_INTERVALS: dict[Quantity, Callable[[Counts], Interval]] = {"success": _success, "score": _score, "pass@2": _pass_at_2}
