"""Modulators: they change the credit another method has assigned."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, get, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Floats


@dataclass(frozen=True, kw_only=True)
class Modulation:
    """What every modulator takes when it is used as a method of its own."""

    base: str = "grpo"
    """Method whose credit is changed; a pipeline's earlier stages take its place."""
    base_params: dict[str, Any] = field(default_factory=dict)


M = TypeVar("M", bound=Modulation)


class Modulator(Estimator[M], Generic[M]):
    """A method that changes credit; ``modulate`` does it, ``estimate`` first asks ``base`` for the credit."""

    stage = "modulate"
    composes_after = ("shaping", "base", "turn", "modulate")
    preserves_mean: ClassVar[bool] = False
    """Whether the mean factor over the batch's turns is 1, so that the step size stays."""

    def credit(self, batch: CreditBatch, params: M) -> Credit:
        """Ask the base, then modulate."""
        return self.modulate(batch, get(params.base).estimate(batch, params.base_params), params)

    @abstractmethod
    def modulate(self, batch: CreditBatch, credit: Credit, params: M) -> Credit:
        """Change the credit; required fields are present."""


def scaled(batch: CreditBatch, credit: Credit, factor: Floats, shift: Floats | float = 0.0) -> Credit:
    """Multiply each turn's credit by a factor and add a shift, on its tokens as well; shapes (M,)."""
    moved = np.broadcast_to(np.asarray(shift, dtype=np.float64), factor.shape)
    tokens = credit.tokens
    if tokens is not None:
        tokens = tokens * factor[batch.turn_of_token] + moved[batch.turn_of_token]
    return credit.replace(advantages=credit.advantages * factor + moved, tokens=tokens)


def batch_mean(batch: CreditBatch, values: Floats) -> Floats:
    """Mean over all turns of the same update, for each turn; shape (M,)."""
    owner, count = batch.shard_of_turn, batch.shards
    return segments.divide(segments.total(values, owner, count), segments.size(owner, count))[owner]


@dataclass(frozen=True, kw_only=True)
class EMPGParams(Modulation):
    """Parameters of ``empg``; the authors' page gives these values, a port ζ = 0.05."""

    k: float = 1.0
    k_prime: float = 1.0
    zeta: float = 0.1


@register("empg")
class EMPG(Modulator[EMPGParams]):
    """``A g(H_t) + ζ f(H_{t+1})``, then minus the mean over the batch's steps; confident steps weigh more."""

    level = "turn"
    required_fields = ("turn_entropy",)
    preserves_mean = True
    source = "arXiv 2509.09265"
    Params = EMPGParams

    def modulate(self, batch: CreditBatch, credit: Credit, params: EMPGParams) -> Credit:
        """See the class."""
        entropy = self._scaled_entropy(batch)
        raw = np.exp(-params.k * entropy)
        gain = raw / (batch_mean(batch, raw) + 1e-8)
        clearer = segments.following(np.exp(-params.k_prime * entropy), batch.turn_offsets)
        moved = scaled(batch, credit, gain, params.zeta * clearer)
        return scaled(batch, moved, np.ones(batch.turns), -batch_mean(batch, moved.advantages))

    @staticmethod
    def _scaled_entropy(batch: CreditBatch) -> Floats:
        """Entropy scaled to [0, 1] over all steps of the batch; all equal: 0."""
        entropy, owner = np.asarray(batch.get("turn_entropy"), dtype=np.float64), batch.shard_of_turn
        low = segments.minimum(entropy, owner, batch.shards)[owner]
        high = segments.maximum(entropy, owner, batch.shards)[owner]
        return (entropy - low) / (high - low + 1e-8)


@dataclass(frozen=True, kw_only=True)
class DurationParams(Modulation):
    """Parameters of ``duration``."""

    floor: float = 1e-3
    """Seconds; shorter executions count as this."""

    def __post_init__(self) -> None:
        if self.floor <= 0:
            raise CreditError(f"duration: floor must be positive, got {self.floor!r}")


@register("duration")
class Duration(Modulator[DurationParams]):
    """Weight of a turn's gradient ``Δt / mean Δt``, which undoes asynchronous collection's bias to fast actions."""

    level = "turn"
    required_fields = ("duration",)
    preserves_mean = True
    source = "arXiv 2509.01684; no public code, our reading"
    Params = DurationParams

    def modulate(self, batch: CreditBatch, credit: Credit, params: DurationParams) -> Credit:
        """See the class."""
        seconds = np.maximum(batch.get("duration"), params.floor)
        return credit.replace(weights=credit.weights * seconds / batch_mean(batch, seconds))


@dataclass(frozen=True, kw_only=True)
class SharpenParams(Modulation):
    """Parameters of ``xrpo_sharpen``; no source gives values, so the first two must be chosen."""

    lam: float
    kappa: float
    correct_above: float = 0.0
    """A trajectory is correct where its outcome is larger."""


@register("xrpo_sharpen")
class XRPOSharpen(Modulator[SharpenParams]):
    """Correct but unlikely trajectories get more: ``A + min(max(λ(1 - η), 0), κA)``, ``η = exp(s - mean_group s)``."""

    level = "turn"
    required_fields = ("logprobs",)
    source = "XRPO, arXiv 2510.06672; from a secondary source"
    Params = SharpenParams

    def modulate(self, batch: CreditBatch, credit: Credit, params: SharpenParams) -> Credit:
        """See the class."""
        owner = np.repeat(np.arange(len(batch)), np.diff(batch.traj_token_offsets))
        score = segments.divide(segments.total(batch.get("logprobs"), owner, len(batch)), batch.trajectory_tokens)
        held = segments.size(batch.group, batch.groups)
        mean = segments.divide(segments.total(score, batch.group, batch.groups), held)[batch.group]
        bonus = np.maximum(params.lam * (1.0 - np.exp(score - mean)), 0.0)[batch.traj_of_turn]
        correct = (batch.outcome > params.correct_above)[batch.traj_of_turn]
        advantages = credit.advantages + np.where(correct, np.minimum(bonus, params.kappa * credit.advantages), 0.0)
        tokens = credit.tokens
        if tokens is not None:
            at = batch.turn_of_token
            tokens = tokens + np.where(correct[at], np.minimum(bonus[at], params.kappa * tokens), 0.0)
        return credit.replace(advantages=advantages, tokens=tokens)


@dataclass(frozen=True, kw_only=True)
class THRParams(Modulation):
    """Parameters of ``thr``."""

    mode: Literal["thr", "nthr"] = "thr"
    p: float = 0.5
    """``thr``: below ½ exploits (tokens with positive influence weigh more), above explores, ½ is neutral."""
    beta: float = 1.0
    """``nthr``: threshold as a share of the least mean influence among the group's correct trajectories."""
    correct_above: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise CreditError(f"thr: p must lie in [0, 1], got {self.p!r}")


@register("thr")
class THR(Modulator[THRParams]):
    """Token weights from given influences on the right answers.

    ``thr`` multiplies by ``2(1 - p)`` where the influence is positive and by ``2p`` where it is negative. ``nthr``
    scales, in wrong trajectories, tokens above ``β · min`` over the group's correct trajectories of their mean
    influence by ``2|½ - p|`` with p the group's success rate. Both are our reading.
    """

    level = "token"
    required_fields = ("thr", "action_tokens")
    source = "THR arXiv 2510.03669, NTHR arXiv 2505.18830; from secondary sources, our reading"
    Params = THRParams

    def modulate(self, batch: CreditBatch, credit: Credit, params: THRParams) -> Credit:
        """See the class."""
        score = np.asarray(batch.get("thr"), dtype=np.float64)
        factor = self._signed(score, params) if params.mode == "thr" else self._negative(batch, score, params)
        tokens = credit.on_tokens(batch) * factor
        means = segments.divide(segments.total(tokens, batch.turn_of_token, batch.turns), batch.action_tokens)
        return credit.replace(tokens=tokens, advantages=means)

    @staticmethod
    def _signed(score: Floats, params: THRParams) -> Floats:
        return np.where(score > 0, 2 * (1 - params.p), np.where(score < 0, 2 * params.p, 1.0))

    @staticmethod
    def _negative(batch: CreditBatch, score: Floats, params: THRParams) -> Floats:
        owner, count = np.repeat(np.arange(len(batch)), np.diff(batch.traj_token_offsets)), batch.groups
        correct = batch.outcome > params.correct_above
        mean = segments.divide(segments.total(score, owner, len(batch)), batch.trajectory_tokens)
        least = segments.minimum(mean[correct], batch.group[correct], count)
        rate = segments.divide(segments.total(correct, batch.group, count), segments.size(batch.group, count))
        group = batch.group[owner]
        hit = ~correct[owner] & np.isfinite(least)[group] & (score > params.beta * least[group])
        return np.where(hit, 2 * np.abs(0.5 - rate)[group], 1.0)


@dataclass(frozen=True, kw_only=True)
class SignParams(Modulation):
    """Parameters of ``sign_reweight``."""

    positive: float = 1.0
    negative: float = 1.0


@register("sign_reweight")
class SignReweight(Modulator[SignParams]):
    """Positive advantages times ``positive``, negative ones times ``negative``."""

    level = "turn"
    source = "positive-negative reweighting, e.g. arXiv 2506.01347"
    Params = SignParams

    def modulate(self, batch: CreditBatch, credit: Credit, params: SignParams) -> Credit:
        """See the class."""
        advantages = np.where(credit.advantages > 0, params.positive, params.negative) * credit.advantages
        tokens = credit.tokens
        if tokens is not None:
            tokens = np.where(tokens > 0, params.positive, params.negative) * tokens
            means = segments.divide(segments.total(tokens, batch.turn_of_token, batch.turns), batch.action_tokens)
            advantages = means
        return credit.replace(advantages=advantages, tokens=tokens)
