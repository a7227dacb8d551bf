"""Who deserves what: methods of credit assignment as pure functions of a batch, found by name."""

from turnwise.trainers.credit import (  # noqa: F401 - they register methods
    gigpo,
    given,
    graph,
    igpo,
    modulate,
    otb,
    outcome,
    tokens,
    turn,
    turngae,
)
from turnwise.trainers.credit.base import Credit, Estimator, NoParams, get, names, per_trajectory, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.fields import FIELDS, Field
from turnwise.trainers.credit.modulate import Modulation, Modulator
from turnwise.trainers.credit.pipeline import Pipeline, Stage
from turnwise.trainers.credit.statistics import Statistics, normalise, whiten

__all__ = [
    "FIELDS",
    "Credit",
    "CreditBatch",
    "Estimator",
    "Field",
    "Modulation",
    "Modulator",
    "NoParams",
    "Pipeline",
    "Stage",
    "Statistics",
    "get",
    "names",
    "normalise",
    "per_trajectory",
    "register",
    "whiten",
]
