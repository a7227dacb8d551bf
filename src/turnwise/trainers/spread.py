"""From credit to the arrays a loss reads: each turn's number on its action tokens, exactly 0 everywhere else."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from turnwise.errors import CreditError
from turnwise.trainers.credit import Credit, CreditBatch
from turnwise.trajectories import Trajectory

Floats = npt.NDArray[np.float64]


def spread(trajectories: Sequence[Trajectory], batch: CreditBatch, credit: Credit) -> list[list[Floats]]:
    """Lay advantages over the token sequences.

    Args:
        trajectories: What the batch was built from, in its order.
        batch: The batch.
        credit: The estimator's word on it.

    Returns:
        Per trajectory and sequence an array of shape (L,): the advantage of every action token, times the turn's
        weight; 0 on all other tokens.

    Raises:
        CreditError: The batch's token counts are not those of the trajectories' spans.
    """
    numbers = credit.on_tokens(batch) * credit.weights[batch.turn_of_token]
    laid = [[np.zeros(len(sequence)) for sequence in trajectory.sequences] for trajectory in trajectories]
    at = 0
    for index, trajectory in enumerate(trajectories):
        for turn in trajectory.turns:
            span = turn.action_span
            if span is None:
                continue
            mask = trajectory.sequences[span.sequence].loss_mask[span.start : span.end]
            where = span.start + np.flatnonzero(mask)
            laid[index][span.sequence][where] = numbers[at : at + where.size]
            at += where.size
    if at != numbers.size:
        raise CreditError(f"the batch holds {numbers.size} action tokens, the trajectories' spans {at}")
    return laid
