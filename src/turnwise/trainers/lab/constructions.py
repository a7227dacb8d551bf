"""Constructions that look right and are not: kept here to be measured, not to be trained with."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from turnwise.trainers.credit import Credit, CreditBatch, Estimator, NoParams, segments
from turnwise.trainers.credit.turn import step_cells, turn_returns
from turnwise.trainers.credit.turngae import gae_over_turns


@dataclass(frozen=True, kw_only=True)
class PerTurnIndexParams:
    """Parameters of ``PerTurnIndex``."""

    std: bool = True
    """Divide by the standard deviation of the turn index."""
    eps: float = 1e-6


class PerTurnIndex(Estimator[PerTurnIndexParams]):
    """Normalise the return-to-go of each turn over the group's episodes that have a turn of that index.

    Biased for two reasons. An episode's own return is in its baseline, which shrinks its credit by 1 - 1/m, and m, the
    number of episodes still running, falls from turn to turn and depends on what the episodes did: no single constant
    undoes it. And dividing by the deviation of what happened to be sampled weighs groups by their luck.
    """

    name: ClassVar[str] = "per_turn_index"
    level = "turn"
    unbiased = False
    source = "proposed for turn-level rewards in verl, issue 7244; our reading"
    Params = PerTurnIndexParams

    def credit(self, batch: CreditBatch, params: PerTurnIndexParams) -> Credit:
        """See the class."""
        returns = turn_returns(batch, 1.0)
        cell, cells = step_cells(batch)
        count = segments.size(cell, cells)[cell].astype(np.float64)
        centred = returns - segments.total(returns, cell, cells)[cell] / count
        if params.std:
            square = segments.total(centred**2, cell, cells)[cell] / np.maximum(count - 1, 1)
            centred = np.where(count > 1, centred / (np.sqrt(square) + params.eps), centred)
        return Credit(advantages=centred, returns=returns, weights=np.ones(batch.turns))


class PerLength(Estimator[NoParams]):
    """Leave-one-out credit divided by the episode's number of turns, as a mean over an episode's turns does.

    Long failures are blamed less per turn than short ones: what is learnt depends on length, not on reward alone.
    """

    name: ClassVar[str] = "per_length"
    level = "trajectory"
    unbiased = False
    source = "the length bias that Dr. GRPO removes (arXiv 2503.20783)"
    Params = NoParams

    def credit(self, batch: CreditBatch, params: NoParams) -> Credit:
        """See the class."""
        from turnwise.trainers.credit import get

        base = get("rloo").estimate(batch)
        return base.replace(advantages=base.advantages / batch.turn_counts[batch.traj_of_turn])


@dataclass(frozen=True, kw_only=True)
class WrongCriticParams:
    """Parameters of ``WrongCritic``."""

    lam: float = 0.0
    error: float = 0.5
    """How far the critic is off: by this much upwards and downwards, in turn, over the observations' numbers."""


class WrongCritic(Estimator[WrongCriticParams]):
    """GAE over turns, without whitening, under a critic that errs by observation.

    Below λ = 1 the error stands in for what follows and is bias; at λ = 1 the critic is a baseline only.
    """

    name: ClassVar[str] = "wrong_critic"
    level = "turn"
    required_fields = ("value_first", "state_key")
    unbiased = False
    source = "arXiv 1506.02438 (GAE), on the bias of an inexact value function"
    Params = WrongCriticParams

    def credit(self, batch: CreditBatch, params: WrongCriticParams) -> Credit:
        """See the class."""
        upwards = np.where(np.asarray(batch.get("state_key")) % 2 == 0, 1.0, -1.0)
        value = np.asarray(batch.get("value_first"), dtype=np.float64) + params.error * upwards
        advantages = gae_over_turns(batch, batch.reward, value, gamma=1.0, lam=params.lam)
        return Credit(advantages=advantages, returns=advantages + value, weights=np.ones(batch.turns))


class TrueAdvantage(Estimator[NoParams]):
    """The exact A_t(o, a): what every other row is compared with. It knows the process, so it is of the lab only."""

    name: ClassVar[str] = "true_advantage"
    level = "turn"
    required_fields = ("q1", "v1")
    unbiased = True
    source = "dynamic programming"
    Params = NoParams

    def credit(self, batch: CreditBatch, params: NoParams) -> Credit:
        """Return Q - V of the exact critics."""
        advantage = batch.get("q1") - batch.get("v1")
        return Credit(advantages=advantage, returns=advantage, weights=np.ones(batch.turns))
