"""Trajectory-level methods: one number per trajectory, from its outcome R and its group's."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.base import Credit, Estimator, per_trajectory, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Floats
from turnwise.trainers.credit.statistics import Statistics, normalise, pool, unit_weights, whiten


@dataclass(frozen=True, kw_only=True)
class GroupNorm:
    """Centre, and by default scale, within the group."""

    norm_adv_by_std_in_grpo: bool = True
    """Divide by the group's standard deviation."""
    epsilon: float = 1e-6
    singleton: Literal["raw", "zero"] = "raw"
    zero_var: Literal["zero", "skip"] = "zero"
    statistics: Statistics | None = None
    """The whole policy; given, it overrides the fields above."""

    @property
    def policy(self) -> Statistics:
        """The policy in force."""
        return self.statistics or Statistics(
            scale="group" if self.norm_adv_by_std_in_grpo else "none",
            eps=self.epsilon,
            singleton=self.singleton,
            zero_var=self.zero_var,
        )


@dataclass(frozen=True, kw_only=True)
class Centred(GroupNorm):
    """Centre within the group and do not scale."""

    norm_adv_by_std_in_grpo: bool = False


def group_advantage(batch: CreditBatch, values: Floats, policy: Statistics) -> tuple[Floats, Floats]:
    """Normalise one value per trajectory; returns values and weights, shapes (N,)."""
    weights = unit_weights(batch, policy.unit, "trajectory")
    return normalise(values, policy, group=batch.group, batch=batch.shard_of, weights=weights)


@register("grpo")
class GRPO(Estimator[GroupNorm]):
    """``A = (R - mean_group) / (std_group + ε)``; a group of one keeps ``R / (1 + ε)``."""

    level = "trajectory"
    source = "arXiv 2402.03300; verl compute_grpo_outcome_advantage"
    Params = GroupNorm

    def credit(self, batch: CreditBatch, params: GroupNorm) -> Credit:
        """See the class."""
        values, keep = group_advantage(batch, batch.outcome, params.policy)
        return per_trajectory(batch, values, keep=keep, statistics=params.policy)


@register("grpo_vectorized")
class GRPOVectorized(GRPO):
    """The same numbers as ``grpo``; verl registers both."""


@register("dr_grpo")
class DrGRPO(GRPO):
    """``A = R - mean_group``: GRPO without the division; pair it with a loss of constant length."""

    source = "arXiv 2503.20783"
    unbiased = True
    Params = Centred


@dataclass(frozen=True, kw_only=True)
class RLOOParams:
    """Parameters of ``rloo``."""

    singleton: Literal["raw", "zero"] = "raw"
    """A group of one: its reward (verl ``rloo``), or 0 (verl ``rloo_vectorized``)."""


@dataclass(frozen=True, kw_only=True)
class RLOOVectorizedParams(RLOOParams):
    """Parameters of ``rloo_vectorized``."""

    singleton: Literal["raw", "zero"] = "zero"


def leave_one_out(values: Floats, batch: CreditBatch) -> Floats:
    """Subtract the mean of the other trajectories of the group; a group of one keeps its value."""
    held = segments.size(batch.group, batch.groups)[batch.group]
    others = segments.total(values, batch.group, batch.groups)[batch.group] - values
    return np.where(held > 1, values - others / np.maximum(held - 1, 1), values)


@register("rloo")
class RLOO(Estimator[RLOOParams]):
    """``A = R - mean of the group's others``."""

    level = "trajectory"
    source = "arXiv 2402.14740"
    unbiased = True
    Params = RLOOParams

    def credit(self, batch: CreditBatch, params: RLOOParams) -> Credit:
        """See the class."""
        values = leave_one_out(batch.outcome, batch)
        if params.singleton == "zero":
            values[(segments.size(batch.group, batch.groups) == 1)[batch.group]] = 0.0
        return per_trajectory(batch, values)


@register("rloo_vectorized")
class RLOOVectorized(RLOO):
    """``rloo`` with 0 for a group of one."""

    Params = RLOOVectorizedParams


@register("reinforce_plus_plus_baseline")
class ReinforcePlusPlusBaseline(Estimator[GroupNorm]):
    """``R - mean_group``, whitened over the batch's action tokens."""

    level = "trajectory"
    required_fields = ("action_tokens",)
    source = "arXiv 2501.03262"
    Params = Centred

    def credit(self, batch: CreditBatch, params: GroupNorm) -> Credit:
        """See the class."""
        values, keep = group_advantage(batch, batch.outcome, params.policy)
        white = whiten(values, batch.shard_of, weights=batch.trajectory_tokens)
        return per_trajectory(batch, white, keep=keep, statistics=params.policy)


@dataclass(frozen=True, kw_only=True)
class OPOParams:
    """``opo`` has nothing to set."""


@register("opo")
class OPO(Estimator[OPOParams]):
    """``A = R - Σ L R / Σ L``, with L the number of action tokens; a group of one keeps R."""

    level = "trajectory"
    required_fields = ("action_tokens",)
    source = "arXiv 2505.23585"
    Params = OPOParams

    def credit(self, batch: CreditBatch, params: OPOParams) -> Credit:
        """See the class."""
        length = batch.trajectory_tokens
        mass = segments.total(length, batch.group, batch.groups)
        baseline = segments.divide(segments.total(length * batch.outcome, batch.group, batch.groups), mass)
        baseline[segments.size(batch.group, batch.groups) == 1] = 0.0
        return per_trajectory(batch, batch.outcome - baseline[batch.group])


@dataclass(frozen=True, kw_only=True)
class GPGParams:
    """Parameters of ``gpg``."""

    f_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.f_norm == 0:
            raise CreditError("gpg: f_norm must not be 0")


@register("gpg")
class GPG(Estimator[GPGParams]):
    """``A = α (R - mean_group) / f_norm`` with α = batch size / number of rewards that are not 0."""

    level = "trajectory"
    source = "arXiv 2504.02546"
    Params = GPGParams

    def credit(self, batch: CreditBatch, params: GPGParams) -> Credit:
        """See the class."""
        values, _ = group_advantage(batch, batch.outcome, Statistics(scale="none"))
        held = segments.size(batch.shard_of, batch.shards)
        nonzero = segments.total(batch.outcome != 0, batch.shard_of, batch.shards)
        alpha = held / np.maximum(nonzero, 1)
        return per_trajectory(batch, alpha[batch.shard_of] * values / params.f_norm)


@dataclass(frozen=True, kw_only=True)
class PassKParams:
    """Parameters of ``grpo_passk``."""

    norm_adv_by_std_in_grpo: bool = True
    epsilon: float = 1e-6


@register("grpo_passk")
class GRPOPassK(Estimator[PassKParams]):
    """The group's best gets ``(best - second) / (std + ε)``, the others 0; a group of one is an error."""

    level = "trajectory"
    source = "arXiv 2503.19595"
    Params = PassKParams

    def credit(self, batch: CreditBatch, params: PassKParams) -> Credit:
        """See the class."""
        held = segments.size(batch.group, batch.groups)
        if (held == 1).any():
            alone = batch.group_uid(int(np.argmax(held == 1)))
            raise CreditError(f"grpo_passk needs two trajectories or more per group; group {alone!r} has one")
        order = np.lexsort((-batch.outcome, batch.group))
        best = order[np.cumsum(held).astype(np.int64) - held.astype(np.int64)]
        second = order[np.cumsum(held).astype(np.int64) - held.astype(np.int64) + 1]
        values = np.zeros(len(batch))
        values[best] = batch.outcome[best] - batch.outcome[second]
        if params.norm_adv_by_std_in_grpo:
            values /= pool(batch.outcome, batch.group, batch.groups).std[batch.group] + params.epsilon
        return per_trajectory(batch, values)


@dataclass(frozen=True, kw_only=True)
class GDPOParams:
    """Parameters of ``gdpo``."""

    gdpo_reward_keys: tuple[str, ...] | None = None
    """Components, in the order of the weights; None: all, sorted by name."""
    gdpo_reward_weights: tuple[float, ...] | None = None
    """One per key; None: all 1."""
    norm_adv_by_std_in_grpo: bool = True
    epsilon: float = 1e-6
    whiten: bool = True
    """Whiten the sum over the batch's action tokens."""


@register("gdpo")
class GDPO(Estimator[GDPOParams]):
    """Each reward component normalised on its own within the group, then weighted, summed and whitened."""

    level = "trajectory"
    required_fields = ("components", "action_tokens")
    source = "arXiv 2601.05242"
    Params = GDPOParams

    def needs(self, params: GDPOParams) -> tuple[str, ...]:
        """Token counts matter only to the whitening."""
        return self.required_fields if params.whiten else ("components",)

    def credit(self, batch: CreditBatch, params: GDPOParams) -> Credit:
        """See the class."""
        components = batch.get("components")
        keys = tuple(sorted(components)) if params.gdpo_reward_keys is None else params.gdpo_reward_keys
        weights = (1.0,) * len(keys) if params.gdpo_reward_weights is None else params.gdpo_reward_weights
        if len(weights) != len(keys):
            raise CreditError(f"gdpo: {len(keys)} gdpo_reward_keys but {len(weights)} gdpo_reward_weights")
        policy = Statistics(scale="group" if params.norm_adv_by_std_in_grpo else "none", eps=params.epsilon)
        values = np.zeros(len(batch))
        for key, weight in zip(keys, weights, strict=True):
            if key not in components:
                raise CreditError(f"gdpo needs the component {key!r} of every trajectory; common: {sorted(components)}")
            values += weight * group_advantage(batch, components[key], policy)[0]
        if params.whiten:
            values = whiten(values, batch.shard_of, weights=batch.trajectory_tokens)
        return per_trajectory(batch, values, statistics=policy, components=list(keys))


@dataclass(frozen=True, kw_only=True)
class LitePPOParams:
    """Parameters of ``lite_ppo``."""

    epsilon: float = 1e-6
    agentic: bool = False
    """Give 0 where the batch's deviation is at most 1e-6 (ROLL's agentic variant)."""


@register("lite_ppo")
class LitePPO(Estimator[LitePPOParams]):
    """``A = (R - mean_group) / (std_batch + ε)``, the deviation over the batch's raw rewards; a group of one gets 0."""

    level = "trajectory"
    source = "arXiv 2508.08221; ROLL roll/utils/functionals.py"
    Params = LitePPOParams

    def credit(self, batch: CreditBatch, params: LitePPOParams) -> Credit:
        """See the class."""
        policy = Statistics(scale="batch", eps=params.epsilon, singleton="zero")
        values, keep = group_advantage(batch, batch.outcome, policy)
        if params.agentic:
            spread = pool(batch.outcome, batch.shard_of, batch.shards).std
            values[(spread <= 1e-6)[batch.shard_of]] = 0.0
        return per_trajectory(batch, values, keep=keep, statistics=policy)
