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
    n = len(successes)
    if n == 0:
        return Interval(None, None, None)
    n_eff = n / _design_effect(np.asarray(successes, dtype=float), clusters)
    return proportion_of(sum(successes), n, effective=n_eff, level=level)


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


def _design_effect(values: npt.NDArray[np.float64], clusters: Sequence[str]) -> float:
    n, p = len(values), float(values.mean())
    groups = len(set(clusters))
    if groups == n:
        return 1.0
    if groups < 2 or p in (0.0, 1.0):
        return n / groups  # Nothing shows how alike episodes of a task are, so each task counts once.
    return min(max(_variance(values, clusters) * n / (p * (1 - p)), 1.0), n / groups)
