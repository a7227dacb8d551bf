"""Statistics to decide by, over tasks: the episodes of one task are one piece of evidence, not several.

Everything takes one number a task (a mean over its episodes, an unbiased pass@k …) or the episodes' sums and counts by
task. SciPy does the work where it has it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from turnwise.evals.intervals import LEVEL, Interval
from turnwise.evals.metrics import pass_at_k, pass_hat_k

Floats = npt.NDArray[np.float64]

FEW_TASKS = 30
"""Below so many tasks a t or bootstrap interval of a skewed quantity covers less than it says."""

RESAMPLES = 4000


def bootstrap_mean(values: Sequence[float], clusters: Sequence[str], level: float = LEVEL, seed: int = 0) -> Interval:
    """Return a mean with its BCa interval (Efron 1987), whole tasks resampled with their episodes.

    Args:
        values: One per episode.
        clusters: The task of each.
        level: Of the interval.
        seed: Of the resampling.
    """
    sums, counts = cluster_sums(values, clusters)
    return bootstrap_ratio(sums, counts, level, seed)


def bootstrap_ratio(tops: Floats, bottoms: Floats, level: float = LEVEL, seed: int = 0) -> Interval:
    """Return sum(tops) / sum(bottoms) with its BCa interval, tasks resampled; shapes (tasks,).

    A mean over episodes is such a ratio (sums by counts), and so is a cost for each success.
    """
    from scipy import stats

    if len(tops) == 0 or bottoms.sum() == 0:
        return Interval(None, None, None)
    ratio = float(tops.sum() / bottoms.sum())
    if len(tops) < 2 or np.allclose(tops, ratio * bottoms):
        # Every resample gives the same number: nothing to see how far it could be off.
        return Interval(ratio, None, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.bootstrap(
            (tops, bottoms),
            lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
            paired=True,
            n_resamples=RESAMPLES,
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return Interval(ratio, low, high) if math.isfinite(low) and math.isfinite(high) else Interval(ratio, None, None)


def unit_mean(values: Sequence[float], level: float = LEVEL, samples: float = 1.0) -> Interval:
    """Return the mean of one number in [0, 1] a task, with an interval that stays in [0, 1].

    Wilson's interval, for as many yes-or-no tasks as would vary as much as these numbers do (at least as many as there
    are, at most ``samples`` times as many), with a t quantile since that number is estimated.
    """
    from scipy.special import stdtrit

    n = len(values)
    if n == 0:
        return Interval(None, None, None)
    array = np.asarray(values, dtype=float)
    p, variance = float(array.mean()), float(array.var(ddof=1)) if n > 1 else 0.0
    size = n * min(max(p * (1 - p) / variance, 1.0), samples) if variance > 0 else float(n)
    z = float(stdtrit(max(n - 1, 1), 0.5 + level / 2))
    middle = (p + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(p * (1 - p) / size + z * z / (4 * size * size))
    return Interval(p, max(0.0, min(middle - half, p)), min(1.0, max(middle + half, p)))


def pass_intervals(outcomes: Mapping[str, Sequence[bool]], k: int, level: float = LEVEL) -> tuple[Interval, Interval]:
    """Return pass@k and pass^k with intervals over tasks.

    Both are unbiased for each task (Chen et al. 2021; Yao et al. 2024); tasks with fewer than k samples are left out.

    Args:
        outcomes: The successes of each task's samples.
        k: How many samples.
        level: Of the intervals.
    """
    enough = [one for one in outcomes.values() if len(one) >= k]
    most = max(map(len, enough), default=1)
    at = [pass_at_k(len(one), sum(one), k) for one in enough]
    hat = [pass_hat_k(len(one), sum(one), k) for one in enough]
    return unit_mean(at, level, samples=most / k), unit_mean(hat, level, samples=most / k)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two runs on the same tasks: B minus A, task by task."""

    tasks: int
    mean_a: float
    mean_b: float
    difference: Interval
    """By t over the tasks' differences."""
    bootstrap: Interval
    """By BCa bootstrap over the tasks' differences."""
    p_value: float | None
    """Two-sided; None: no task differs, or there are fewer than two."""
    test: str
    better: int
    """Tasks on which B is better."""
    worse: int
    detectable: float | None
    """The smallest difference that so many tasks would show with power 0.8 at level 0.05."""
    needed: int | None
    """Tasks that would show the observed difference with that power; None: there is none to show."""


def paired(a: Mapping[str, float], b: Mapping[str, float], *, binary: bool, level: float = LEVEL) -> Paired:
    """Compare two runs by one number a task, on the tasks that both have.

    Args:
        a: The number of each task in the first run.
        b: In the second.
        binary: Every number is 0 or 1 (one sample a task): McNemar's exact test; else a sign-flip permutation test.
        level: Of the intervals.
    """
    shared = sorted(a.keys() & b.keys())
    first = np.array([a[key] for key in shared], dtype=float)
    second = np.array([b[key] for key in shared], dtype=float)
    deltas = second - first
    p_value, test = _mcnemar(deltas) if binary else _sign_flip(deltas)
    ones = np.ones(len(deltas))
    return Paired(
        tasks=len(shared),
        mean_a=float(first.mean()) if shared else math.nan,
        mean_b=float(second.mean()) if shared else math.nan,
        difference=t_mean(deltas, level),
        bootstrap=bootstrap_ratio(deltas, ones, level),
        p_value=p_value,
        test=test,
        better=int((deltas > 0).sum()),
        worse=int((deltas < 0).sum()),
        detectable=detectable(deltas),
        needed=tasks_needed(deltas),
    )


def t_mean(values: Floats, level: float = LEVEL) -> Interval:
    """Return a mean with its t interval; one value has none."""
    from scipy import stats

    if len(values) == 0:
        return Interval(None, None, None)
    centre = float(values.mean())
    if len(values) < 2:
        return Interval(centre, None, None)
    error = float(stats.sem(values))
    if error == 0:
        return Interval(centre, None, None)
    low, high = stats.t.interval(level, len(values) - 1, loc=centre, scale=error)
    return Interval(centre, float(low), float(high))


def _mcnemar(deltas: Floats) -> tuple[float | None, str]:
    """McNemar's exact test: among the tasks that differ, either direction is as likely."""
    from scipy import stats

    better, worse = int((deltas > 0).sum()), int((deltas < 0).sum())
    if better + worse == 0:
        return None, "McNemar, exact"
    return float(stats.binomtest(better, better + worse, 0.5).pvalue), "McNemar, exact"


def _sign_flip(deltas: Floats) -> tuple[float | None, str]:
    """Permutation test on the mean: without an effect each task's difference may as well have the other sign."""
    from scipy import stats

    differing = deltas[deltas != 0]
    if len(differing) < 2:
        return None, "sign-flip permutation"
    found = stats.permutation_test(
        (differing,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        batch=1000,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue), "sign-flip permutation"


def detectable(deltas: Floats, power: float = 0.8, level: float = LEVEL) -> float | None:
    """Return the smallest true difference these many tasks show with the power wanted; None: nothing varies."""
    spread = _spread(deltas)
    return None if spread is None else _quantiles(power, level) * spread / math.sqrt(len(deltas))


def tasks_needed(deltas: Floats, power: float = 0.8, level: float = LEVEL) -> int | None:
    """Return how many tasks would show a difference as large as the one observed."""
    spread, effect = _spread(deltas), abs(float(deltas.mean())) if len(deltas) else 0.0
    if spread is None or effect < 1e-12:
        return None
    return math.ceil((_quantiles(power, level) * spread / effect) ** 2)


def _spread(deltas: Floats) -> float | None:
    spread = float(deltas.std(ddof=1)) if len(deltas) > 1 else 0.0
    return spread or None


def _quantiles(power: float, level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2) + ndtri(power))


def cluster_sums(values: Sequence[Any], clusters: Sequence[str]) -> tuple[Floats, Floats]:
    """Return each task's sum and number of episodes, ordered by task; shapes (tasks,)."""
    if not len(values):
        return np.zeros(0), np.zeros(0)
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums: Floats = np.bincount(index, weights=np.asarray(values, dtype=float)).astype(float)
    counts: Floats = np.bincount(index).astype(float)
    return sums, counts


def caveats(tasks: int, samples: float, p: float | None = None) -> list[str]:
    """Say where an interval covers less than it claims."""
    said = []
    if tasks == 1:
        said.append("one task: it says nothing about others, and has no interval over tasks")
    elif tasks < FEW_TASKS:
        said.append(f"{tasks} tasks: intervals of score, reward and differences cover less than 95 % where they skew")
    if 1 < tasks < 50 and samples > 1:
        said.append("fewer than 50 tasks with several samples each: the spread between tasks is itself a rough guess")
    if p is not None and tasks > 1 and p in (0.0, 1.0):
        said.append("every episode ended alike: only Wilson's interval says how far that may carry")
    return said
