"""Four recursions that share the name of turn-level GAE; each has a name of its own here."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Bools, Floats
from turnwise.trainers.credit.statistics import whiten
from turnwise.trainers.credit.tokens import bootstrap_end
from turnwise.trainers.credit.turn import check_discount


def gae_over_turns(
    batch: CreditBatch, reward: Floats, value: Floats, *, gamma: float, lam: float, end: Floats | float = 0.0
) -> Floats:
    """``δ_k = r_k + γV_{k+1} - V_k``, ``A_k = δ_k + γλA_{k+1}`` over turns; shape (M,)."""
    delta = reward + gamma * segments.following(value, batch.turn_offsets, end) - value
    return segments.reverse_scan(delta, gamma * lam, batch.turn_offsets)


@dataclass(frozen=True, kw_only=True)
class TurnGAEParams:
    """Parameters of ``turn_gae``."""

    gamma: float = 1.0
    lam: float = 1.0
    anchor: Literal["first", "last"] = "first"
    """Which action token's value stands for the turn."""
    whiten: bool = True
    """Whiten over the batch's action tokens, so long turns weigh more; over turns where tokens are not known."""
    bootstrap: bool = False
    """Continue after a truncated end with ``bootstrap_value`` instead of 0."""

    def __post_init__(self) -> None:
        check_discount("turn_gae", gamma=self.gamma, lam=self.lam)


@register("turn_gae")
class TurnGAE(Estimator[TurnGAEParams]):
    """GAE with turns as steps; the critic's target ``A + V`` sits on the anchor token only."""

    level = "turn"
    required_fields = ("value_first",)
    source = "VAGEN no_concat_gae; Turn-PPO arXiv 2512.17008"
    Params = TurnGAEParams

    def needs(self, params: TurnGAEParams) -> tuple[str, ...]:
        """The anchor token's value, and what bootstrapping needs."""
        return (f"value_{params.anchor}", *(("truncated", "bootstrap_value") if params.bootstrap else ()))

    def credit(self, batch: CreditBatch, params: TurnGAEParams) -> Credit:
        """See the class."""
        value = np.asarray(batch.get(f"value_{params.anchor}"), dtype=np.float64)
        end = bootstrap_end(batch, params.bootstrap)
        raw = gae_over_turns(batch, batch.reward, value, gamma=params.gamma, lam=params.lam, end=end)
        return Credit(
            advantages=whiten_turns(batch, raw) if params.whiten else raw,
            returns=raw + value,
            weights=np.ones(batch.turns),
            diagnostics={"whitened_over": "tokens" if batch.has("action_tokens") else "turns"} if params.whiten else {},
            **anchor_targets(batch, raw + value, params.anchor),
        )


def whiten_turns(batch: CreditBatch, values: Floats) -> Floats:
    """Whiten one value per turn over the action tokens of each update; over turns where tokens are not known."""
    weights = batch.action_tokens.astype(np.float64) if batch.has("action_tokens") else None
    return whiten(values, batch.shard_of_turn, weights=weights)


def anchor_targets(batch: CreditBatch, targets: Floats, anchor: str) -> dict[str, Any]:
    """Critic targets on each turn's anchor token, and the mask that leaves the other tokens out."""
    if not batch.has("action_tokens"):
        return {}
    mask: Bools = turn_ends(batch) if anchor == "last" else turn_starts(batch)
    return {"token_returns": np.where(mask, targets[batch.turn_of_token], 0.0), "value_mask": mask}


def turn_starts(batch: CreditBatch) -> Bools:
    """Mark the first action token of each turn; shape (K,)."""
    assert batch.token_offsets is not None
    return segments.first_elements(batch.token_offsets)


def turn_ends(batch: CreditBatch) -> Bools:
    """Mark the last action token of each turn; shape (K,)."""
    assert batch.token_offsets is not None
    return segments.last_elements(batch.token_offsets)
