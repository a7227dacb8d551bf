"""Token-level methods: one number per action token; observation tokens are neither baselines nor steps of the clock."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Bools, Floats, Ints
from turnwise.trainers.credit.statistics import whiten


def turn_means(batch: CreditBatch, tokens: Floats) -> Floats:
    """Mean over the action tokens of each turn, 0 for a turn without any; shape (M,)."""
    assert batch.token_offsets is not None, "token-level numbers come from batches that know tokens"
    return segments.divide(segments.sums(tokens, batch.token_offsets), batch.action_tokens)


def token_credit(
    batch: CreditBatch,
    tokens: Floats,
    token_returns: Floats,
    *,
    value_mask: Bools | None = None,
    **diagnostics: Any,
) -> Credit:
    """Wrap advantages and returns per action token, shapes (K,)."""
    return Credit(
        advantages=turn_means(batch, tokens),
        tokens=tokens,
        returns=turn_means(batch, token_returns),
        token_returns=token_returns,
        value_mask=value_mask,
        weights=np.ones(batch.turns),
        diagnostics=diagnostics,
    )


def whiten_tokens(batch: CreditBatch, tokens: Floats) -> Floats:
    """Whiten over the action tokens of each update."""
    return whiten(tokens, batch.shard_of_turn[batch.turn_of_token])


def token_gae(batch: CreditBatch, gamma: float, lam: float, *, end: Floats | float = 0.0) -> Floats:
    """Generalised advantage over action tokens: the next state of a token is the next action token; shape (K,)."""
    values, bounds = batch.get("values"), batch.traj_token_offsets
    delta = batch.token_rewards() + gamma * segments.following(values, bounds, end) - values
    return segments.reverse_scan(delta, gamma * lam, bounds)


@dataclass(frozen=True, kw_only=True)
class GAEParams:
    """Parameters of ``gae``."""

    gamma: float = 1.0
    lam: float = 1.0
    whiten: bool = True
    """Whiten over the batch's action tokens; the critic's targets are taken before."""
    bootstrap: bool = False
    """Continue after a truncated end with ``bootstrap_value`` instead of 0."""


def bootstrap_end(batch: CreditBatch, wanted: bool) -> Floats | float:
    """Value after each trajectory's end: 0, or ``bootstrap_value`` where a limit cut it; shape (N,)."""
    if not wanted:
        return 0.0
    return np.where(np.asarray(batch.get("truncated"), dtype=np.bool_), batch.get("bootstrap_value"), 0.0)


@register("gae")
class GAE(Estimator[GAEParams]):
    """``δ = r + γV' - V``, ``A = δ + γλA'``, where ' is the next action token; targets ``A + V``; A whitened."""

    level = "token"
    required_fields = ("action_tokens", "values")
    source = "arXiv 1506.02438; verl compute_gae_advantage_return"
    Params = GAEParams

    def needs(self, params: GAEParams) -> tuple[str, ...]:
        """``bootstrap`` needs to know which ends were truncated, and their values."""
        return (*self.required_fields, *(("truncated", "bootstrap_value") if params.bootstrap else ()))

    def credit(self, batch: CreditBatch, params: GAEParams) -> Credit:
        """See the class."""
        end = bootstrap_end(batch, params.bootstrap)
        advantages = token_gae(batch, params.gamma, params.lam, end=end)
        targets = advantages + batch.get("values")
        return token_credit(batch, whiten_tokens(batch, advantages) if params.whiten else advantages, targets)


@dataclass(frozen=True, kw_only=True)
class ReinforceParams:
    """Parameters of ``reinforce_plus_plus``."""

    gamma: float = 1.0
    whiten: bool = True


@register("reinforce_plus_plus")
class ReinforcePlusPlus(Estimator[ReinforceParams]):
    """``G = r + γG'`` over action tokens, carried unchanged across observations, whitened over the batch."""

    level = "token"
    required_fields = ("action_tokens",)
    source = "arXiv 2501.03262; verl issue 7278"
    Params = ReinforceParams

    def credit(self, batch: CreditBatch, params: ReinforceParams) -> Credit:
        """See the class."""
        returns = segments.reverse_scan(batch.token_rewards(), params.gamma, batch.traj_token_offsets)
        return token_credit(batch, whiten_tokens(batch, returns) if params.whiten else returns, returns)


@dataclass(frozen=True, kw_only=True)
class RemaxParams:
    """``remax`` has nothing to set; γ is not used."""


@register("remax")
class Remax(Estimator[RemaxParams]):
    """Reward to go minus the reward of the greedy rollout of the same task."""

    level = "turn"
    required_fields = ("baseline_reward",)
    unbiased = True
    source = "arXiv 2310.10505"
    Params = RemaxParams

    def credit(self, batch: CreditBatch, params: RemaxParams) -> Credit:
        """See the class."""
        if batch.has("token_rewards"):
            to_go = segments.reverse_scan(batch.token_rewards(), 1.0, batch.traj_token_offsets)
            baseline = np.repeat(batch.get("baseline_reward"), np.diff(batch.traj_token_offsets))
            return token_credit(batch, to_go - baseline, to_go)
        to_go = segments.reverse_scan(batch.reward, 1.0, batch.turn_offsets)
        advantages = to_go - batch.get("baseline_reward")[batch.traj_of_turn]
        return Credit(advantages=advantages, returns=to_go, weights=np.ones(batch.turns))


def time_of_tokens(batch: CreditBatch) -> Ints:
    """Position of each action token in its response, observation tokens counted; shape (K,)."""
    before = np.cumsum(batch.get("observation_tokens")) - batch.get("observation_tokens")
    start = before[np.minimum(batch.turn_offsets[:-1], max(batch.turns - 1, 0))] if batch.turns else np.zeros(0)
    shown = before - start[batch.traj_of_turn]
    position = segments.positions(batch.traj_token_offsets)
    return np.asarray(position + shown[batch.turn_of_token], dtype=np.int64)
