"""From credit to the arrays a loss reads."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from turnwise.trainers.credit import Credit, CreditBatch
from turnwise.trainers.credit.recredit import on_sequences
from turnwise.trajectories import Trajectory

Floats = npt.NDArray[np.float64]


def spread(trajectories: Sequence[Trajectory], batch: CreditBatch, credit: Credit) -> list[list[Floats]]:
    """Lay advantages, times their turns' weights, over the token sequences.

    Args:
        trajectories: What the batch was built from, in its order.
        batch: The batch.
        credit: The estimator's word on it.

    Returns:
        Per trajectory and sequence an array of shape (L,): exactly 0 on every token that is no trained action token.
    """
    return _lay(trajectories, batch, credit.on_tokens(batch) * credit.weights[batch.turn_of_token])


def spread_targets(
    trajectories: Sequence[Trajectory], batch: CreditBatch, credit: Credit
) -> tuple[list[list[Floats]], list[list[Floats]]]:
    """Lay a critic's targets over the token sequences, and the weights of its loss.

    Returns:
        The targets and the weights, both as ``spread`` lays advantages out. The weights are 0 where the method gives
        no target; elsewhere they are such that their mean over all action tokens is 1, so that a loss that is averaged
        over those is the mean over the targets.
    """
    returns = credit.returns[batch.turn_of_token] if credit.token_returns is None else credit.token_returns
    mask = np.ones(returns.size, dtype=np.bool_) if credit.value_mask is None else credit.value_mask
    weights: Floats = np.where(mask, mask.size / max(int(mask.sum()), 1), 0.0)
    return _lay(trajectories, batch, np.where(mask, returns, 0.0)), _lay(trajectories, batch, weights)


def _lay(trajectories: Sequence[Trajectory], batch: CreditBatch, numbers: Floats) -> list[list[Floats]]:
    turns = np.split(numbers, np.cumsum(batch.action_tokens)[:-1])
    bounds = zip(batch.turn_offsets[:-1], batch.turn_offsets[1:], strict=True)
    return [
        on_sequences(trajectory, turns[start:end])
        for trajectory, (start, end) in zip(trajectories, bounds, strict=True)
    ]
