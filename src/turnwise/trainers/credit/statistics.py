"""One policy for every centring and scaling: most differences between papers and their code are one of its fields."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Bools, Floats, Ints

Scope = Literal["group", "batch", "none"]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How values are centred and scaled; explicit in every method's parameters."""

    center: Scope = "group"
    """Which mean is subtracted."""
    scale: Scope = "group"
    """Which standard deviation divides."""
    ddof: int = 1
    """1: unbiased variance (verl); 0: population (IGPO)."""
    eps: float = 1e-6
    eps_place: Literal["outside", "inside", "both"] = "outside"
    """Added to the deviation, to the variance under the root, or 1e-8 to the variance and ``eps`` to the root."""
    unit: Literal["trajectory", "step_row", "token"] = "trajectory"
    """What counts once in the mean and deviation."""
    singleton: Literal["raw", "zero"] = "raw"
    """A pool of one: keep the raw value, over 1 + eps where it is scaled (verl), or give 0."""
    zero_var: Literal["zero", "skip"] = "zero"
    """A pool whose values are all equal: give 0, and with ``skip`` also weight 0 in the loss."""

    def __post_init__(self) -> None:
        if self.ddof not in (0, 1):
            raise CreditError(f"ddof must be 0 or 1, got {self.ddof!r}")
        if not self.eps >= 0:
            raise CreditError(f"eps must not be negative, got {self.eps!r}")


@dataclass(frozen=True)
class Pools:
    """Mean and deviation of each pool, and how much was counted in it."""

    mean: Floats
    std: Floats
    count: Floats


def pool(values: Floats, owner: Ints, count: int, *, ddof: int = 1, weights: Floats | None = None) -> Pools:
    """Mean and deviation of each of ``count`` pools; ``weights`` are multiplicities (tokens per turn, …)."""
    if count == 1 and weights is None:
        return _one_pool(values, ddof)
    held = segments.size(owner, count) if weights is None else segments.total(weights, owner, count)
    mass: Floats | float = 1.0 if weights is None else weights
    mean = segments.divide(segments.total(values * mass, owner, count), held)
    spread = segments.total(mass * (values - mean[owner]) ** 2, owner, count)
    std = np.sqrt(segments.divide(spread, np.maximum(held - ddof, 0)))
    return Pools(mean=mean, std=std, count=held)


def _one_pool(values: Floats, ddof: int) -> Pools:
    mean = values.mean() if values.size else 0.0
    centred = values - mean
    std = np.sqrt(np.dot(centred, centred) / max(values.size - ddof, 1)) if values.size > ddof else 0.0
    return Pools(mean=np.array([mean]), std=np.array([std]), count=np.array([float(values.size)]))


def constant(values: Floats, owner: Ints, count: int) -> Bools:
    """Whether each pool's values are all equal; exact, where a variance would be left with rounding noise."""
    same: Bools = segments.minimum(values, owner, count) == segments.maximum(values, owner, count)
    return same


def unit_weights(batch: CreditBatch, unit: str, level: str) -> Floats | None:
    """How often a value of ``level`` (trajectory or turn) counts under ``unit``."""
    if unit == "token":
        return batch.trajectory_tokens if level == "trajectory" else batch.action_tokens.astype(np.float64)
    if unit == "step_row":
        return batch.turn_counts.astype(np.float64) if level == "trajectory" else None
    if level == "turn":
        raise CreditError("unit 'trajectory' counts trajectories; values of turns need 'step_row' or 'token'")
    return None


def normalise(
    values: Floats,
    policy: Statistics,
    *,
    group: Ints,
    batch: Ints,
    weights: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Centre and scale values under a policy.

    Args:
        values: Shape (n,).
        policy: The policy.
        group: Shape (n,): pool of each value for scope ``group``.
        batch: Shape (n,): pool of each value for scope ``batch``.
        weights: Shape (n,): multiplicities; None: each value counts once.

    Returns:
        Normalised values and loss weights (0 where ``zero_var="skip"`` applies, else 1), shapes (n,).
    """
    owner = {"group": group, "batch": batch}
    out, keep = np.array(values, dtype=np.float64), np.ones(values.size)
    pools: dict[str, Pools] = {}
    for scope in {policy.center, policy.scale} - {"none"}:
        index = owner[scope]
        pools[scope] = pool(out, index, int(index.max(initial=-1)) + 1, ddof=policy.ddof, weights=weights)
    single = np.zeros(values.size, dtype=np.bool_)
    if policy.center != "none":
        at, mine = owner[policy.center], pools[policy.center]
        single |= (mine.count <= 1)[at]
        out = np.where((mine.count > 1)[at], out - mine.mean[at], out)
    if policy.scale != "none":
        at, mine = owner[policy.scale], pools[policy.scale]
        single |= (mine.count <= 1)[at]
        out = out / _divisor(mine, policy)[at]
        flat = constant(values, at, mine.count.size)[at] & (mine.count > 1)[at]
        if policy.center == policy.scale:
            out[flat] = 0.0
        keep[flat & (policy.zero_var == "skip")] = 0.0
    if policy.singleton == "zero":
        out[single] = 0.0
    return out, keep


def _divisor(pools: Pools, policy: Statistics) -> Floats:
    std = np.where(pools.count > 1, pools.std, 1.0)
    if policy.eps_place == "inside":
        divisor = np.sqrt(std**2 + policy.eps)
    elif policy.eps_place == "both":
        divisor = np.where(pools.count > 1, np.sqrt(std**2 + 1e-8), 1.0) + policy.eps
    else:
        divisor = std + policy.eps
    return np.where(divisor > 0, divisor, 1.0)


def whiten(values: Floats, owner: Ints, *, weights: Floats | None = None, eps: float = 1e-8) -> Floats:
    """Whiten values within each batch as verl does: ``(x - mean) / sqrt(var + eps)``, unbiased variance.

    A batch that counts one value or none gives 0, where verl raises.
    """
    count = int(owner.max(initial=-1)) + 1
    mine = pool(values, owner, count, weights=weights)
    scale = np.where(mine.count > 1, 1.0 / np.sqrt(mine.std**2 + eps), 0.0)
    if count == 1:
        return np.asarray((values - mine.mean[0]) * scale[0], dtype=np.float64)
    return (values - mine.mean[owner]) * scale[owner]
