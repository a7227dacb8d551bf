"""Purification: which trajectories are credited at all."""

from collections.abc import Callable

import numpy as np

from turnwise.errors import CreditError, UnknownNameError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Bools
from turnwise.trainers.credit.statistics import constant, pool


def varied(batch: CreditBatch) -> Bools:
    """Keep groups whose outcomes differ: the others have no trajectory-level signal."""
    same: Bools = constant(batch.outcome, batch.group, batch.groups)
    return ~same[batch.group]


def complete(batch: CreditBatch) -> Bools:
    """Keep trajectories that no limit cut off; needs ``truncated``."""
    return ~np.asarray(batch.get("truncated"), dtype=np.bool_)


def spoken(batch: CreditBatch) -> Bools:
    """Keep trajectories with a turn."""
    return batch.turn_counts > 0


def top_groups(batch: CreditBatch, fraction: float = 0.25) -> Bools:
    """Keep the share of groups whose outcomes have the largest deviation (StarPO-S), one at least.

    Args:
        batch: The batch.
        fraction: In (0, 1].
    """
    if not 0 < fraction <= 1:
        raise CreditError(f"top_groups: fraction must lie in (0, 1], got {fraction!r}")
    spread = pool(batch.outcome, batch.group, batch.groups).std
    keep = np.zeros(batch.groups, dtype=np.bool_)
    count = max(1, int(fraction * batch.groups))
    keep[np.argsort(-spread, kind="stable")[:count]] = True
    return keep[batch.group] if batch.groups else np.zeros(0, dtype=np.bool_)


FILTERS: dict[str, Callable[..., Bools]] = {
    "varied": varied,
    "complete": complete,
    "spoken": spoken,
    "top_groups": top_groups,
}


def find(name: str) -> Callable[..., Bools]:
    """Return the filter of that name."""
    if name not in FILTERS:
        raise UnknownNameError.of("credit filter", name, FILTERS)
    return FILTERS[name]


def turn_mask(batch: CreditBatch, keep: Bools) -> Bools:
    """Turns of the kept trajectories; shape (M,)."""
    return keep[batch.traj_of_turn]


def token_mask(batch: CreditBatch, keep: Bools) -> Bools:
    """Action tokens of the kept trajectories; shape (K,)."""
    owner = segments.owners(batch.traj_token_offsets)
    return keep[owner]
