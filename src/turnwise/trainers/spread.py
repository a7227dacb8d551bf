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
    numbers = credit.on_tokens(batch) * credit.weights[batch.turn_of_token]
    turns = np.split(numbers, np.cumsum(batch.action_tokens)[:-1])
    bounds = zip(batch.turn_offsets[:-1], batch.turn_offsets[1:], strict=True)
    return [
        on_sequences(trajectory, turns[start:end])
        for trajectory, (start, end) in zip(trajectories, bounds, strict=True)
    ]
