"""Turn-level returns and baselines: ``turn_rloo``, the default."""

from dataclasses import dataclass

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Floats, Ints


def check_discount(owner: str, **values: float) -> None:
    """Raise ``CreditError`` for a discount or trace parameter outside [0, 1]."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise CreditError(f"{owner}: {name} must lie in [0, 1], got {value!r}")


def turn_returns(batch: CreditBatch, gamma: float, *, reward: Floats | None = None) -> Floats:
    """``G_t = r_t + γ G_{t+1}`` over the turns of each trajectory; shape (M,)."""
    return segments.reverse_scan(batch.reward if reward is None else reward, gamma, batch.turn_offsets)


def step_cells(batch: CreditBatch) -> tuple[Ints, int]:
    """Number the pairs (group, turn index); returns the cell of each turn, shape (M,), and how many there are."""
    longest = np.zeros(batch.groups, dtype=np.int64)
    np.maximum.at(longest, batch.group, batch.turn_counts)
    start = segments.offsets_of(longest)
    return start[:-1][batch.group_of_turn] + batch.turn_index, int(start[-1])


def last_returns(batch: CreditBatch, returns: Floats) -> Floats:
    """Return of each trajectory's last turn, 0 where it has none; shape (N,)."""
    out = np.zeros(len(batch))
    has = batch.turn_counts > 0
    out[has] = returns[batch.turn_offsets[1:][has] - 1]
    return out


@dataclass(frozen=True, kw_only=True)
class TurnRLOOParams:
    """Parameters of ``turn_rloo``."""

    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_discount("turn_rloo", gamma=self.gamma)


@register("turn_rloo")
class TurnRLOO(Estimator[TurnRLOOParams]):
    """``A(i,t) = G(i,t) - mean over the others still running at t of G(j,t)``.

    Where no other runs at t, the baseline is the mean of the others' last returns; a group of one keeps G. The baseline
    of (i, t) is made from other, independent trajectories only, so it leaves the expected gradient as it is.
    """

    level = "turn"
    unbiased = True
    source = "Turnwise's default; docs/credit.md derives it"
    Params = TurnRLOOParams

    def credit(self, batch: CreditBatch, params: TurnRLOOParams) -> Credit:
        """See the class."""
        returns = turn_returns(batch, params.gamma)
        cell, cells = step_cells(batch)
        running = segments.size(cell, cells)[cell] - 1
        others = segments.total(returns, cell, cells)[cell] - returns
        baseline = np.where(running > 0, others / np.maximum(running, 1), self._ended(batch, returns))
        alone = float(np.mean(running == 0)) if batch.turns else 0.0
        return Credit(
            advantages=returns - baseline,
            returns=returns,
            weights=np.ones(batch.turns),
            diagnostics={"turns_without_company": alone},
        )

    def _ended(self, batch: CreditBatch, returns: Floats) -> Floats:
        """Mean of the last returns of the group's others, 0 for a group of one; shape (M,)."""
        last, has = last_returns(batch, returns), (batch.turn_counts > 0).astype(np.float64)
        sums = segments.total(last, batch.group, batch.groups)[batch.group] - last
        count = segments.total(has, batch.group, batch.groups)[batch.group] - has
        return segments.divide(sums, count)[batch.traj_of_turn]
