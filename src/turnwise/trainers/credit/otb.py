"""Optimal token baseline: at each time, the group's mean return weighted by how much noise each path has gathered."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Floats, Ints
from turnwise.trainers.credit.tokens import time_of_tokens, token_credit


@dataclass(frozen=True, kw_only=True)
class OTBParams:
    """Parameters of ``optimal_token_baseline``."""

    align: Literal["time", "action_token"] = "time"
    """What is compared within the group: the same position of the response, or the k-th action token."""
    handle_zero_tail: bool = True
    """No baseline beyond the group's second-longest trajectory, where the longest would be its own."""
    epsilon: float = 1e-8


@dataclass(frozen=True, kw_only=True)
class TirOTBParams(OTBParams):
    """Parameters of ``tir_optimal_token_baseline``."""

    align: Literal["time", "action_token"] = "action_token"


@register("optimal_token_baseline")
class OptimalTokenBaseline(Estimator[OTBParams]):
    """``A = G - Σ G W / (Σ W + ε)`` per time index of the group, W the running sum of ``1 - 2π + Σπ²``."""

    level = "token"
    required_fields = ("action_tokens", "logprobs", "sum_pi_sq")
    source = "verl compute_optimal_token_baseline_advantage"
    Params = OTBParams

    def needs(self, params: OTBParams) -> tuple[str, ...]:
        """Alignment by time needs to know the gaps."""
        return (*self.required_fields, *(("observation_tokens",) if params.align == "time" else ()))

    def credit(self, batch: CreditBatch, params: OTBParams) -> Credit:
        """See the class."""
        bounds = batch.traj_token_offsets
        returns = segments.reverse_scan(batch.token_rewards(), 1.0, bounds)
        energy = 1.0 - 2.0 * np.exp(batch.get("logprobs")) + batch.get("sum_pi_sq")
        weight = segments.running_sum(energy, bounds)
        owner = np.repeat(np.arange(len(batch)), np.diff(bounds))
        place = time_of_tokens(batch) if params.align == "time" else segments.positions(bounds)
        cell, cells = self._cells(batch, batch.group[owner], place)
        top = segments.total(returns * weight, cell, cells)
        baseline = (top / (segments.total(weight, cell, cells) + params.epsilon))[cell]
        baseline[self._unopposed(batch, params)[owner] <= place] = 0.0
        return token_credit(batch, returns - baseline, returns)

    @staticmethod
    def _cells(batch: CreditBatch, group: Ints, place: Ints) -> tuple[Ints, int]:
        longest = np.zeros(batch.groups, dtype=np.int64)
        np.maximum.at(longest, group, place + 1)
        start = segments.offsets_of(longest)
        return start[:-1][group] + place, int(start[-1])

    @staticmethod
    def _unopposed(batch: CreditBatch, params: OTBParams) -> Floats:
        """First place of each trajectory that has no baseline; shape (N,).

        The tail of the longest trajectory begins at the second-longest's number of action tokens, counted as verl
        counts it, also where places are positions in the response.
        """
        tokens, count = batch.trajectory_tokens, batch.groups
        counted = np.ones(len(batch)) if params.align == "time" else (tokens > 0).astype(np.float64)
        out = np.where(segments.total(counted, batch.group, count)[batch.group] <= 1, 0.0, np.inf)
        if params.handle_zero_tail:
            longest = segments.maximum(tokens, batch.group, count)[batch.group]
            mine = tokens == longest
            unique = mine & (segments.total(mine, batch.group, count)[batch.group] == 1)
            rest = segments.maximum(np.where(mine, -np.inf, tokens), batch.group, count)[batch.group]
            out = np.where(unique, np.minimum(out, np.maximum(rest, 0.0)), out)
        return out


@register("tir_optimal_token_baseline")
class TirOptimalTokenBaseline(OptimalTokenBaseline):
    """``optimal_token_baseline`` aligned by the k-th action token, so that tool output shifts nothing."""

    Params = TirOTBParams
