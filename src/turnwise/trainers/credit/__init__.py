"""Who deserves what: methods of credit assignment as pure functions of a batch, found by name."""

from turnwise.trainers.credit import (  # noqa: F401 - they register methods
    gigpo,
    given,
    graph,
    igpo,
    otb,
    outcome,
    tokens,
    turn,
    turngae,
)
from turnwise.trainers.credit.base import Credit, Estimator, NoParams, get, names, per_trajectory, register
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.fields import FIELDS, Field
from turnwise.trainers.credit.statistics import Statistics, normalise, whiten

__all__ = [
    "FIELDS",
    "Credit",
    "CreditBatch",
    "Estimator",
    "Field",
    "NoParams",
    "Statistics",
    "get",
    "names",
    "normalise",
    "per_trajectory",
    "register",
    "whiten",
]
