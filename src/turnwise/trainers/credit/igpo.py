"""IGPO: each turn is paid by how much it raised the policy's own probability of the gold answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Bools, Floats
from turnwise.trainers.credit.statistics import Statistics, normalise
from turnwise.trainers.credit.turn import check_discount


@dataclass(frozen=True, kw_only=True)
class IGPOParams:
    """Parameters of ``igpo``."""

    gamma: float = 1.0
    info_gain_type: Literal["prob_diff", "log_prob_diff"] = "prob_diff"
    """Difference of the gold answer's probability, or of its mean log-prob."""
    info_gain_norm_mode: Literal["joint", "separate"] = "joint"
    """Gains and outcomes in one pool of the group, or in two."""
    norm_adv_by_std_in_grpo: bool = True
    epsilon: float = 1e-6
    drop_zero: bool = False
    """As released: a gain of exactly 0 is left out of the statistics and inherits the next turn's advantage."""
    f1_weight: float = 1.0
    """Factor on the normalised outcome (curriculum)."""
    ig_weight: float = 1.0
    """Factor on the normalised gains (curriculum)."""

    def __post_init__(self) -> None:
        check_discount("igpo", gamma=self.gamma)

    @property
    def policy(self) -> Statistics:
        """``(r - mean) / (sqrt(pvar + 1e-8) + ε)``; a pool of one has deviation 1, so it gives 0."""
        scale: Literal["group", "none"] = "group" if self.norm_adv_by_std_in_grpo else "none"
        return Statistics(scale=scale, ddof=0, eps=self.epsilon, eps_place="both", unit="step_row", singleton="zero")


@register("igpo")
class IGPO(Estimator[IGPOParams]):
    """Gains for all turns but the last, the outcome for the last; normalise within the group, then discount."""

    level = "turn"
    required_fields = ("gold_logprob",)
    source = "arXiv 2510.14967; IGPO verl/trainer/ppo/core_algos.py"
    Params = IGPOParams

    def credit(self, batch: CreditBatch, params: IGPOParams) -> Credit:
        """See the class."""
        rewards = np.where(batch.is_last, batch.outcome[batch.traj_of_turn], self._gains(batch, params))
        kept = batch.is_last | (rewards != 0) if params.drop_zero else np.ones(batch.turns, dtype=np.bool_)
        shaped = np.zeros(batch.turns)
        shaped[kept] = self._normalised(batch, rewards, kept, params)
        shaped *= np.where(batch.is_last, params.f1_weight, params.ig_weight)
        advantages = segments.reverse_scan(shaped, np.where(kept, params.gamma, 1.0), batch.turn_offsets)
        returns = segments.reverse_scan(rewards, params.gamma, batch.turn_offsets)
        return Credit(
            advantages=advantages,
            returns=returns,
            weights=np.ones(batch.turns),
            diagnostics={"zero_gains": int(np.sum(~batch.is_last & (rewards == 0))), "statistics": params.policy},
        )

    def require(self, batch: CreditBatch, names: Iterable[str]) -> None:
        """Either field will do; the final turn's gain is not read, and an infinite value counts as no gain."""
        if not batch.has("info_gain"):
            masked = {"gold_logprob": _bounded(batch.get("gold_logprob"))} if batch.has("gold_logprob") else {}
            return super().require(batch.replace(**masked), names)
        gains = _bounded(batch.get("info_gain"))
        return super().require(batch.replace(info_gain=np.where(batch.is_last, 0.0, gains)), ("info_gain",))

    def _gains(self, batch: CreditBatch, params: IGPOParams) -> Floats:
        if batch.has("info_gain"):
            gains = np.asarray(batch.get("info_gain"), dtype=np.float64)
        else:
            before = np.asarray(batch.get("gold_logprob"), dtype=np.float64)
            value = np.exp(before) if params.info_gain_type == "prob_diff" else before
            with np.errstate(invalid="ignore"):
                gains = segments.following(value, batch.turn_offsets) - value
        return np.where(np.isfinite(gains), gains, 0.0)

    def _normalised(self, batch: CreditBatch, rewards: Floats, kept: Bools, params: IGPOParams) -> Floats:
        pool = batch.group_of_turn
        if params.info_gain_norm_mode == "separate":
            pool = 2 * pool + batch.is_last
        shaped, _ = normalise(rewards[kept], params.policy, group=pool[kept], batch=pool[kept])
        return shaped


def _bounded(values: Floats) -> Floats:
    """Leave only NaN, which means "not given", as not finite."""
    return np.where(np.isinf(values), 0.0, values)
