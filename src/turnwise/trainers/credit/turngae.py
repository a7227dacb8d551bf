"""Four recursions that share the name of turn-level GAE; each has a name of its own here."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Bools, Floats, Ints
from turnwise.trainers.credit.statistics import whiten
from turnwise.trainers.credit.tokens import bootstrap_end, token_credit, whiten_tokens
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


@dataclass(frozen=True, kw_only=True)
class BilevelParams:
    """Parameters of ``bilevel_gae``."""

    gamma: float = 1.0
    """Of the tokens within a turn."""
    lam: float = 1.0
    high_level_gamma: float = 0.95
    """Of the turns."""
    whiten: bool = True

    def __post_init__(self) -> None:
        check_discount("bilevel_gae", gamma=self.gamma, lam=self.lam, high_level_gamma=self.high_level_gamma)


@register("bilevel_gae")
class BilevelGAE(Estimator[BilevelParams]):
    """GAE over turns at their last tokens; then, within each turn, token GAE that ends in the turn's return.

    Turn ends are explicit, so a turn without reward keeps its boundary; the released code looks for rewards that are
    not 0.
    """

    level = "token"
    required_fields = ("action_tokens", "values")
    source = "RAGEN ragen/trainer/core_algos.py; VAGEN arXiv 2510.16907"
    Params = BilevelParams

    def credit(self, batch: CreditBatch, params: BilevelParams) -> Credit:
        """See the class."""
        values, ends, offsets = batch.get("values"), turn_ends(batch), token_offsets(batch)
        last, reward = _end_values(batch), _reward_of_spoken(batch)
        high = _gae_over_spoken(batch, reward, last, params.high_level_gamma, params.lam)
        final = np.zeros(batch.tokens)
        final[ends] = (high + last)[batch.turn_of_token[ends]]
        within = np.where(ends, 0.0, batch.get("token_rewards") if batch.has("token_rewards") else 0.0)
        delta = final + within + params.gamma * segments.following(values, offsets) - values
        raw = segments.reverse_scan(delta, params.gamma * params.lam, offsets)
        return token_credit(batch, whiten_tokens(batch, raw) if params.whiten else raw, raw + values)


@dataclass(frozen=True, kw_only=True)
class VariableClockParams:
    """Parameters of ``variable_clock_gae``."""

    lam_token: float = 1.0
    gamma_turn: float = 0.95
    lam_turn: float = 0.95
    mix: float = 0.75
    """Share of the variable clock; the rest is plain token GAE with γ = 1."""
    whiten: bool = True

    def __post_init__(self) -> None:
        shares = {"lam_token": self.lam_token, "gamma_turn": self.gamma_turn, "lam_turn": self.lam_turn}
        check_discount("variable_clock_gae", mix=self.mix, **shares)


@register("variable_clock_gae")
class VariableClockGAE(Estimator[VariableClockParams]):
    """One token pass: leaving a turn costs (γ_turn, λ_turn), every other transition (1, λ_token)."""

    level = "token"
    required_fields = ("action_tokens", "values")
    source = "VAGEN vagen/algorithms/bi_level_gae"
    Params = VariableClockParams

    def credit(self, batch: CreditBatch, params: VariableClockParams) -> Credit:
        """See the class."""
        values, bounds = batch.get("values"), batch.traj_token_offsets
        following, paid = segments.following(values, bounds), batch.token_rewards() - values
        plain = segments.reverse_scan(paid + following, params.lam_token, bounds)
        raw = plain
        if params.mix > 0:
            leaving = np.flatnonzero(turn_ends(batch))
            trace = np.full(batch.tokens, params.lam_token)
            trace[leaving] = params.gamma_turn * params.lam_turn
            following[leaving] *= params.gamma_turn
            clock = segments.reverse_scan(paid + following, trace, bounds)
            raw = plain + params.mix * (clock - plain)
        return token_credit(batch, whiten_tokens(batch, raw) if params.whiten else raw, raw + values)


@dataclass(frozen=True, kw_only=True)
class TurnStartParams:
    """Parameters of ``turn_start_gae``."""

    gamma: float = 1.0
    lam: float = 1.0
    high_level_gamma: float = 1.0
    high_level_lam: float = 1.0
    whiten: bool = True

    def __post_init__(self) -> None:
        high = {"high_level_gamma": self.high_level_gamma, "high_level_lam": self.high_level_lam}
        check_discount("turn_start_gae", gamma=self.gamma, lam=self.lam, **high)


@register("turn_start_gae")
class TurnStartGAE(Estimator[TurnStartParams]):
    """GAE over turns at their first tokens, paid by the outcome alone; token GAE takes it over at each turn start.

    Stepping back across a turn's start, the carried advantage is replaced by that turn's. Only the outcome pays, on
    the last action token.
    """

    level = "token"
    required_fields = ("action_tokens", "values")
    source = "quanwei0/RAGEN ragen/trainer/core_algos.py"
    Params = TurnStartParams

    def credit(self, batch: CreditBatch, params: TurnStartParams) -> Credit:
        """See the class."""
        values, bounds, offsets = batch.get("values"), batch.traj_token_offsets, token_offsets(batch)
        first = _start_values(batch)
        paid = np.where(_last_spoken(batch), batch.outcome[batch.traj_of_turn], 0.0)
        high = _gae_over_spoken(batch, paid, first, params.high_level_gamma, params.high_level_lam)
        reward = np.zeros(batch.tokens)
        has = np.diff(bounds) > 0
        reward[bounds[1:][has] - 1] = batch.outcome[has]
        delta = reward + params.gamma * segments.following(values, bounds) - values
        at_start = np.where(turn_starts(batch), high[batch.turn_of_token], 0.0)
        carried = np.where(turn_ends(batch), segments.following(at_start, bounds), 0.0)
        trace = params.gamma * params.lam
        raw = segments.reverse_scan(delta + trace * carried, trace, offsets)
        return token_credit(batch, whiten_tokens(batch, raw) if params.whiten else raw, raw + values)


def token_offsets(batch: CreditBatch) -> Ints:
    """Shape (M + 1,): action tokens of each turn."""
    assert batch.token_offsets is not None, "the method requires action_tokens"
    return batch.token_offsets


def _end_values(batch: CreditBatch) -> Floats:
    """Critic's value at each turn's last action token, 0 for a turn without any; shape (M,)."""
    return _values_at(batch, token_offsets(batch)[1:] - 1)


def _start_values(batch: CreditBatch) -> Floats:
    return _values_at(batch, token_offsets(batch)[:-1])


def _values_at(batch: CreditBatch, index: Ints) -> Floats:
    out, spoken = np.zeros(batch.turns), batch.action_tokens > 0
    out[spoken] = batch.get("values")[index[spoken]]
    return out


def _spoken_offsets(batch: CreditBatch) -> Ints:
    """Offsets over the turns that have action tokens; the others are no steps of the turn clock."""
    spoken = segments.total(batch.action_tokens > 0, batch.traj_of_turn, len(batch))
    return segments.offsets_of(spoken)


def _last_spoken(batch: CreditBatch) -> Bools:
    """Mark the last turn with action tokens of each trajectory; shape (M,)."""
    mark = np.zeros(batch.turns, dtype=np.bool_)
    mark[batch.action_tokens > 0] = segments.last_elements(_spoken_offsets(batch))
    return mark


def _reward_of_spoken(batch: CreditBatch) -> Floats:
    """Reward that sits on each turn's last action token; shape (M,)."""
    out = np.zeros(batch.turns)
    ends = turn_ends(batch)
    out[batch.turn_of_token[ends]] = batch.token_rewards()[ends]
    return out


def _gae_over_spoken(batch: CreditBatch, reward: Floats, value: Floats, gamma: float, lam: float) -> Floats:
    spoken, offsets = batch.action_tokens > 0, _spoken_offsets(batch)
    delta = reward[spoken] + gamma * segments.following(value[spoken], offsets) - value[spoken]
    out = np.zeros(batch.turns)
    out[spoken] = segments.reverse_scan(delta, gamma * lam, offsets)
    return out


def turn_starts(batch: CreditBatch) -> Bools:
    """Mark the first action token of each turn; shape (K,)."""
    return segments.first_elements(token_offsets(batch))


def turn_ends(batch: CreditBatch) -> Bools:
    """Mark the last action token of each turn; shape (K,)."""
    return segments.last_elements(token_offsets(batch))
