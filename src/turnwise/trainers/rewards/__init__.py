"""Reward combination: how named components of a reward become the one number that is credited.

GDPO, which normalises each component on its own, is a credit method: ``turnwise.trainers.credit``.
"""

from turnwise.trainers.rewards.expression import FUNCTIONS, Expression
from turnwise.trainers.rewards.weighting import FixedWeights, GradientWeights, Hypervolume, combiner, hypervolume

__all__ = ["FUNCTIONS", "Expression", "FixedWeights", "GradientWeights", "Hypervolume", "combiner", "hypervolume"]
