"""Methods whose judgement was made beforehand, by a probe or a critic, and stored in the record."""

from dataclasses import dataclass
from math import comb
from typing import Any, Literal

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.outcome import leave_one_out
from turnwise.trainers.credit.segments import Floats
from turnwise.trainers.credit.tokens import token_credit, token_gae, whiten_tokens
from turnwise.trainers.credit.turn import check_discount, turn_returns
from turnwise.trainers.credit.turngae import gae_over_turns


@dataclass(frozen=True, kw_only=True)
class SPAParams:
    """Parameters of ``spa``."""

    alpha: float = 1.0
    """Weight of the progress."""
    beta: float = 0.5
    """Weight of the grounding."""
    variant: Literal["paper", "released_weighted", "released_loo"] = "paper"
    """The paper's reward; the released trainer's, step k of n times (n - 1 - k); the released data script's, which
    puts the leave-one-out outcome advantage in the place of the progress."""
    redistribute: Literal["none", "exact"] = "none"
    """``exact`` spreads what the progress leaves of the outcome evenly over the steps (an extension)."""
    credit: Literal["gae", "returns"] = "gae"
    """Token GAE with a critic, as published, or plain returns of the fused rewards."""
    gamma: float = 1.0
    lam: float = 1.0
    whiten: bool = True

    def __post_init__(self) -> None:
        check_discount("spa", gamma=self.gamma, lam=self.lam)


@register("spa")
class SPA(Estimator[SPAParams]):
    """Turn reward ``α c + β g`` from stored progress c and grounding g, then token GAE."""

    level = "token"
    required_fields = ("progress", "grounded", "action_tokens", "values")
    source = "arXiv 2505.20732; SPA-RL-Agent"
    Params = SPAParams

    def needs(self, params: SPAParams) -> tuple[str, ...]:
        """Without a critic, no values; the released data script reads no progress."""
        progress = () if params.variant == "released_loo" else ("progress",)
        return (*progress, "grounded", *(("action_tokens", "values") if params.credit == "gae" else ()))

    def credit(self, batch: CreditBatch, params: SPAParams) -> Credit:
        """See the class."""
        reward = self.rewards(batch, params)
        if params.credit == "returns":
            returns = turn_returns(batch, params.gamma, reward=reward)
            return Credit(advantages=returns, returns=returns, weights=np.ones(batch.turns))
        raw = token_gae(batch.replace(reward=reward), params.gamma, params.lam)
        advantages = whiten_tokens(batch, raw) if params.whiten else raw
        return token_credit(batch, advantages, raw + batch.get("values"), fused_rewards=reward)

    def rewards(self, batch: CreditBatch, params: SPAParams) -> Floats:
        """Fused reward of each turn, shape (M,); the last turn counts as grounded."""
        owner = batch.traj_of_turn
        if params.variant == "released_loo":
            progress = leave_one_out(batch.outcome, batch)[owner]
        else:
            progress = np.array(batch.get("progress"), dtype=np.float64)
        if params.redistribute == "exact":
            rest = batch.outcome - segments.total(progress, owner, len(batch))
            progress = progress + segments.divide(rest, batch.turn_counts)[owner]
        grounded = np.asarray(batch.get("grounded"), dtype=np.float64)
        fused = params.alpha * progress + params.beta * np.where(batch.is_last, 1.0, grounded)
        if params.variant == "released_weighted":
            fused = fused * (batch.turn_counts[owner] - 1 - batch.turn_index)
        return fused


@dataclass(frozen=True, kw_only=True)
class ArcherParams:
    """Parameters of ``archer``."""

    token_baseline: bool = False
    """Subtract a token value head's ``values``, which regress on the turn advantage."""


@register("archer")
class Archer(Estimator[ArcherParams]):
    """``A = min(Q1, Q2) - min(V1, V2)``, from stored critics at a fresh action of the policy."""

    level = "turn"
    required_fields = ("q1", "q2", "v1", "v2")
    source = "arXiv 2402.19446; ArCHer archer/algorithms/archer"
    Params = ArcherParams

    def needs(self, params: ArcherParams) -> tuple[str, ...]:
        """The token baseline needs its values."""
        return (*self.required_fields, *(("action_tokens", "values") if params.token_baseline else ()))

    def credit(self, batch: CreditBatch, params: ArcherParams) -> Credit:
        """See the class."""
        q = np.minimum(batch.get("q1"), batch.get("q2"))
        advantages = q - np.minimum(batch.get("v1"), batch.get("v2"))
        if params.token_baseline:
            target = advantages[batch.turn_of_token]
            return token_credit(batch, target - batch.get("values"), target)
        return Credit(advantages=advantages, returns=q, weights=np.ones(batch.turns))


@dataclass(frozen=True, kw_only=True)
class ForkParams:
    """Parameters of ``fork_value``."""

    form: Literal["td", "mc"] = "td"
    """``r + γV' - V`` or ``G - V``."""
    gamma: float = 1.0
    lam: float = 0.0
    """With ``td``: trace over later turns, as in GAE."""

    def __post_init__(self) -> None:
        check_discount("fork_value", gamma=self.gamma, lam=self.lam)


@register("fork_value")
class ForkValue(Estimator[ForkParams]):
    """Baseline V(s) measured: the mean return of branches from the stored state before the turn."""

    level = "turn"
    required_fields = ("fork_value",)
    unbiased = True
    source = "arXiv 2410.01679 (VinePPO), at turns"
    Params = ForkParams

    def credit(self, batch: CreditBatch, params: ForkParams) -> Credit:
        """See the class."""
        value = np.asarray(batch.get("fork_value"), dtype=np.float64)
        returns = turn_returns(batch, params.gamma)
        if params.form == "mc":
            advantages = returns - value
        else:
            advantages = gae_over_turns(batch, batch.reward, value, gamma=params.gamma, lam=params.lam)
        return Credit(advantages=advantages, returns=returns, weights=np.ones(batch.turns))


@dataclass(frozen=True, kw_only=True)
class ShapleyParams:
    """Parameters of ``shapley``."""

    mode: Literal["exact", "sampled"] = "exact"
    """All coalitions of turns, or stored permutations."""
    max_turns: int = 16
    """Most turns ``exact`` accepts: it needs 2^T values."""


@register("shapley")
class Shapley(Estimator[ShapleyParams]):
    """What each turn adds to the outcome, averaged over the orders in which turns could join.

    ``coalitions`` hold v(S): the outcome when only the turns of S are kept; they sum to v(all) - v(none).
    """

    level = "turn"
    required_fields = ("coalitions",)
    source = "Shapley (1953); exact and by permutations (Castro et al. 2009)"
    Params = ShapleyParams

    def needs(self, params: ShapleyParams) -> tuple[str, ...]:
        """Which of the probe's two results is read."""
        return ("coalitions",) if params.mode == "exact" else ("permutations",)

    def credit(self, batch: CreditBatch, params: ShapleyParams) -> Credit:
        """See the class."""
        value = np.zeros(batch.turns)
        error = np.zeros(batch.turns)
        stored = batch.get("coalitions" if params.mode == "exact" else "permutations")
        seen: dict[tuple[int, int], tuple[Floats, Floats, Any]] = {}
        for i, (start, end) in enumerate(zip(batch.turn_offsets[:-1], batch.turn_offsets[1:], strict=True)):
            played = stored[i]
            key = (id(played), int(end - start))  # episodes that took the same course may share one list of replays
            if key not in seen:
                made = _attributed(played, int(end - start), params, f"trajectory {batch.uid(i)!r}")
                seen[key] = (*made, played)  # kept, so that no other list takes its id
            value[start:end], error[start:end], _ = seen[key]
        return Credit(
            advantages=value,
            returns=segments.reverse_scan(value, 1.0, batch.turn_offsets),
            weights=np.ones(batch.turns),
            diagnostics={} if params.mode == "exact" else {"standard_error": error},
        )


def _attributed(played: Any, turns: int, params: ShapleyParams, where: str) -> tuple[Floats, Floats]:
    """Shapley value of each turn of one trajectory, and its standard error; shapes (T,)."""
    if params.mode == "sampled":
        return sampled_shapley(played, turns, where)
    return exact_shapley(played, turns, params.max_turns, where), np.zeros(turns)


def exact_shapley(coalitions: Any, turns: int, limit: int, where: str) -> Floats:
    """Shapley value of each turn from the values of all 2^T coalitions; shape (T,)."""
    if turns > limit:
        raise CreditError(f"shapley: {where} has {turns} turns; exact takes {limit} at most, use mode 'sampled'")
    table = np.full(1 << turns, np.nan)
    for entry in coalitions:
        members = entry["turns"]
        if any(not 0 <= turn < turns for turn in members):
            raise CreditError(f"shapley: {where} has no turn among {members!r}; it has {turns}")
        table[sum(1 << turn for turn in set(members))] = entry["value"]
    if np.isnan(table).any():
        raise CreditError(f"shapley: {where} lacks {int(np.isnan(table).sum())} of {table.size} coalitions")
    masks = np.arange(table.size)
    size = np.array([int(mask).bit_count() for mask in masks])
    weight = _coalition_weights(turns)
    out = np.zeros(turns)
    for turn in range(turns):
        without = masks[(masks >> turn) & 1 == 0]
        out[turn] = np.sum(weight[size[without]] * (table[without | (1 << turn)] - table[without]))
    return out


def _coalition_weights(turns: int) -> Floats:
    """``|S|! (T - |S| - 1)! / T!`` for each size of S."""
    return np.array([1.0 / (turns * comb(turns - 1, size)) for size in range(turns)])


def sampled_shapley(permutations: Any, turns: int, where: str) -> tuple[Floats, Floats]:
    """Mean marginal contribution of each turn over stored permutations, and its standard error; shapes (T,)."""
    if not permutations:
        raise CreditError(f"shapley: {where} has no permutation")
    gains = np.zeros((len(permutations), turns))
    for row, entry in zip(gains, permutations, strict=True):
        if sorted(entry["order"]) != list(range(turns)) or len(entry["values"]) != turns + 1:
            raise CreditError(f"shapley: {where}: an order of {turns} turns needs {turns + 1} values, got {entry!r}")
        row[list(entry["order"])] = np.diff(np.asarray(entry["values"], dtype=np.float64))
    spread = gains.std(axis=0, ddof=1) if len(gains) > 1 else np.zeros(turns)
    return gains.mean(axis=0), spread / np.sqrt(len(gains))
