"""GiGPO: an episode advantage, plus a step advantage among the actions taken from the same state."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Floats, Ints
from turnwise.trainers.credit.statistics import Statistics, normalise, pool
from turnwise.trainers.credit.turn import check_discount, turn_returns


@dataclass(frozen=True, kw_only=True)
class GiGPOParams:
    """Parameters of ``gigpo``."""

    step_advantage_w: float = 1.0
    """ω, the weight of the step advantage."""
    mode: Literal["mean_norm", "mean_std_norm"] = "mean_norm"
    """Centre only, or also divide by the deviation; governs both levels."""
    gamma: float = 0.95
    epsilon: float = 1e-6
    compute_mean_std_cross_steps: bool = True
    """Episode statistics over the group's step rows (released code), or over its trajectories (the paper, eq. 3)."""
    anchor: Literal["state_key", "observation", "history_key"] = "state_key"
    """What makes two steps' states the same: the true state, the text shown, or all that came before."""
    enable_similarity: bool = False
    """Group by similar observation text instead."""
    similarity_thresh: float = 0.95
    official: bool = False
    """Similarity as released: SequenceMatcher's autojunk on, rows walked in the order given."""
    invalid_action_penalty_coef: float = 0.1
    """Taken from the row's episode reward and step reward where ``valid_action`` is false."""

    def __post_init__(self) -> None:
        check_discount("gigpo", gamma=self.gamma)
        if self.enable_similarity and not 0 < self.similarity_thresh < 1:
            raise CreditError(f"gigpo: similarity_thresh must lie between 0 and 1, got {self.similarity_thresh!r}")

    @property
    def step_policy(self) -> Statistics:
        """Statistics of the step level; an anchor group of one gets 0."""
        scale: Literal["group", "none"] = "group" if self.mode == "mean_std_norm" else "none"
        return Statistics(scale=scale, eps=self.epsilon, unit="step_row", singleton="zero")


@register("gigpo")
class GiGPO(Estimator[GiGPOParams]):
    """``A = A_episode + ω A_step``; the step advantage compares returns from the same state within the group."""

    level = "turn"
    required_fields = ("state_key",)
    source = "arXiv 2505.10978; verl-agent gigpo/core_gigpo.py"
    Params = GiGPOParams

    def needs(self, params: GiGPOParams) -> tuple[str, ...]:
        """The field that tells states apart."""
        return ("observation",) if params.enable_similarity else (params.anchor,)

    def credit(self, batch: CreditBatch, params: GiGPOParams) -> Credit:
        """See the class."""
        penalty = self._penalty(batch, params)
        returns = turn_returns(batch, params.gamma, reward=batch.reward - penalty)
        episode = self._episode(batch, batch.outcome[batch.traj_of_turn] - penalty, params)
        cell = self.cells(batch, params)
        step, _ = normalise(returns, params.step_policy, group=cell, batch=cell)
        sizes = segments.size(cell, int(cell.max(initial=-1)) + 1)
        return Credit(
            advantages=episode + params.step_advantage_w * step,
            returns=returns,
            weights=np.ones(batch.turns),
            diagnostics={
                "step_groups": int(sizes.size),
                "mean_step_group_size": float(sizes.mean()) if sizes.size else 0.0,
                "turns_alone": float(np.mean(sizes[cell] == 1)) if batch.turns else 0.0,
                "statistics": params.step_policy,
            },
        )

    def cells(self, batch: CreditBatch, params: GiGPOParams) -> Ints:
        """Number of the anchor group of each turn, shape (M,)."""
        if params.enable_similarity:
            from turnwise.trainers.credit.similarity import similar_cells

            return similar_cells(batch, params.similarity_thresh, official=params.official)
        key = batch.get(params.anchor)
        codes = np.asarray(key, dtype=np.int64) if isinstance(key, np.ndarray) else segments.codes(key)
        return segments.pair_codes(batch.group_of_turn, codes)

    def _penalty(self, batch: CreditBatch, params: GiGPOParams) -> Floats:
        if not batch.has("valid_action"):
            return np.zeros(batch.turns)
        return params.invalid_action_penalty_coef * (1.0 - np.asarray(batch.get("valid_action"), dtype=np.float64))

    def _episode(self, batch: CreditBatch, rows: Floats, params: GiGPOParams) -> Floats:
        """Episode advantage of every step row; a pool of one row keeps its reward."""
        counted = np.ones(batch.turns) if params.compute_mean_std_cross_steps else batch.turn_index == 0
        pools = pool(rows, batch.group_of_turn, batch.groups, weights=counted.astype(np.float64))
        at, many = batch.group_of_turn, pools.count > 1
        centred = rows - np.where(many, pools.mean, 0.0)[at]
        if params.mode == "mean_norm":
            return centred
        return centred / (np.where(many, pools.std, 1.0) + params.epsilon)[at]
