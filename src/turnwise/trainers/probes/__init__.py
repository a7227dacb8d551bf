"""Probes: what needs a live model or environment runs between collection and estimation, into the record."""

from turnwise.trainers.probes.base import Budget, Probe, ProbeReport, with_probe
from turnwise.trainers.probes.gold import GoldLogprob, GoldScorer
from turnwise.trainers.probes.replay import ForkValue, Shapley

__all__ = ["Budget", "ForkValue", "GoldLogprob", "GoldScorer", "Probe", "ProbeReport", "Shapley", "with_probe"]
