"""SALT: steps that several trajectories of a group share get the mean of those trajectories' advantages."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, get, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class SALTParams:
    """Parameters of ``salt``; the merge rule is our reading, the paper has no public code."""

    h: int = 1
    """History window: how many last states must agree; 1 compares the current state only."""
    full: bool = False
    """Merge common prefixes only: all states and actions so far must agree."""
    base: str = "grpo"
    """Method of the trajectory advantage, where no earlier stage made one."""
    base_params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.h < 1:
            raise CreditError(f"salt: h must be at least 1, got {self.h!r}")


def trajectory_advantage(batch: CreditBatch, method: str, params: dict[str, Any]) -> Floats:
    """One advantage per trajectory: the pipeline's base stage, or ``method``; shape (N,)."""
    if batch.has("base_advantage"):
        return np.asarray(batch.get("base_advantage"), dtype=np.float64)
    base = get(method)
    if base.level != "trajectory":
        raise CreditError(f"{method!r} is a {base.level}-level method; a base must give one number per trajectory")
    turns = base.estimate(batch, params).advantages
    out = np.zeros(len(batch))
    has = batch.turn_counts > 0
    out[has] = turns[batch.turn_offsets[:-1][has]]
    return out


@register("salt")
class SALT(Estimator[SALTParams]):
    """Steps merge where their last ``h`` states, the action and the next state agree; a trajectory counts once."""

    level = "turn"
    required_fields = ("state_key", "action_key", "next_state_key")
    composes_after = ("shaping", "base")
    source = "arXiv 2510.20022; the merge rule is our reading"
    Params = SALTParams

    def credit(self, batch: CreditBatch, params: SALTParams) -> Credit:
        """See the class."""
        base = trajectory_advantage(batch, params.base, params.base_params)
        edge = self._edges(batch, params)
        passing, first = np.unique(segments.pair_codes(edge, batch.traj_of_turn), return_index=True)
        once = np.zeros(batch.turns, dtype=np.bool_)
        once[first[: passing.size]] = True
        count = int(edge.max(initial=-1)) + 1
        through = segments.total(once, edge, count)
        mean = segments.divide(segments.total(base[batch.traj_of_turn] * once, edge, count), through)
        merged = (through > 1)[edge]
        return Credit(
            advantages=np.where(merged, mean[edge], base[batch.traj_of_turn]),
            returns=batch.outcome[batch.traj_of_turn],
            weights=np.ones(batch.turns),
            diagnostics={"merged_turns": float(np.mean(merged)) if batch.turns else 0.0},
        )

    @staticmethod
    def _edges(batch: CreditBatch, params: SALTParams) -> Ints:
        state, action = batch.get("state_key"), batch.get("action_key")
        past = _prefixes(batch, state, action) if params.full else _windows(batch, state, params.h)
        return segments.pair_codes(batch.group_of_turn, past, state, action, batch.get("next_state_key"))


def _windows(batch: CreditBatch, state: Ints, h: int) -> Ints:
    """Number what the ``h - 1`` states before each turn were; shape (M,)."""
    code = np.zeros(batch.turns, dtype=np.int64)
    for back in range(1, min(h, int(batch.turn_counts.max(initial=0)))):
        earlier = np.full(batch.turns, -1, dtype=np.int64)
        reachable = batch.turn_index >= back
        earlier[reachable] = state[np.flatnonzero(reachable) - back]
        code = segments.pair_codes(code, earlier)
    return code


def _prefixes(batch: CreditBatch, state: Ints, action: Ints) -> Ints:
    """Number what all states and actions before each turn were; shape (M,)."""
    code = np.zeros(batch.turns, dtype=np.int64)
    step = segments.pair_codes(state, action)
    for t in range(1, int(batch.turn_counts.max(initial=0))):
        at = np.flatnonzero(batch.turn_index == t)
        code[at] = segments.pair_codes(code[at - 1], step[at - 1])
    return segments.pair_codes(batch.turn_index, code)  # numbers begin anew with every turn index
