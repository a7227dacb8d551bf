"""Intervals that hold when several episodes share a task: tasks are the clusters."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and its interval; None where there is too little to say."""

    mean: float | None
    low: float | None
    high: float | None


def proportion(successes: Sequence[bool], clusters: Sequence[str], level: float = LEVEL) -> Interval:
    """Return a success rate with its Wilson interval.

    Several episodes of one task say less than as many tasks would: the interval takes the effective number, n divided
    by the design effect (Kish 1965), so that with one episode a task it is Wilson's own.
    """
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    won = np.bincount(index, weights=np.asarray(successes, dtype=float))
    return proportion_by_task(won, np.bincount(index), level=level)


def proportion_by_task(won: npt.ArrayLike, tried: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """Return the same from counts: successes and episodes of each task, shape (tasks,) each."""
    wins, tries = np.asarray(won, dtype=float), np.asarray(tried, dtype=float)
    n = int(tries.sum())
    return proportion_of(int(wins.sum()), n, effective=n / _design_effect(wins, tries) if n else None, level=level)


def proportion_of(successes: int, n: int, *, effective: float | None = None, level: float = LEVEL) -> Interval:
    """Return Wilson's interval from counts; ``effective`` is the number of independent episodes among the n."""
    from scipy.special import ndtri

    if n == 0:
        return Interval(None, None, None)
    p, z, n_eff = successes / n, float(ndtri(0.5 + level / 2)), effective or n
    middle = (p + z * z / (2 * n_eff)) / (1 + z * z / n_eff)
    half = z / (1 + z * z / n_eff) * math.sqrt(p * (1 - p) / n_eff + z * z / (4 * n_eff * n_eff))
    return Interval(p, max(0.0, min(middle - half, p)), min(1.0, max(middle + half, p)))


def mean(values: Sequence[float], clusters: Sequence[str], level: float = LEVEL) -> Interval:
    """Return a mean with its t interval, its standard error clustered by task (Liang and Zeger 1986)."""
    from scipy.special import stdtrit

    if not values:
        return Interval(None, None, None)
    array, groups = np.asarray(values, dtype=float), len(set(clusters))
    centre = float(array.mean())
    if groups < 2:
        return Interval(centre, None, None)
    half = float(stdtrit(groups - 1, 0.5 + level / 2)) * math.sqrt(_variance(array, clusters))
    return Interval(centre, centre - half, centre + half)


def unit(interval: Interval) -> Interval:
    """Cut an interval to [0, 1], where the quantity cannot lie outside."""
    if interval.low is None or interval.high is None:
        return interval
    return Interval(interval.mean, max(0.0, interval.low), min(1.0, interval.high))


def _variance(values: npt.NDArray[np.float64], clusters: Sequence[str]) -> float:
    """Variance of the mean, clustered; with one value a cluster it is the ordinary one."""
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=values - values.mean())
    groups = len(sums)
    return float((sums**2).sum()) * groups / (groups - 1) / len(values) ** 2


def _design_effect(won: npt.NDArray[np.float64], tried: npt.NDArray[np.float64]) -> float:
    """Return how much less n episodes say than n tasks would, from the counts of each task."""
    n, groups = float(tried.sum()), len(tried)
    p = float(won.sum()) / n
    if groups == n:
        return 1.0
    if groups < 2 or p in (0.0, 1.0):
        return n / groups  # Nothing shows how alike episodes of a task are, so each task counts once.
    variance = float(((won - p * tried) ** 2).sum()) * groups / (groups - 1) / n**2
    return min(max(variance * n / (p * (1 - p)), 1.0), n / groups)
