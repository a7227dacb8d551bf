"""The credit laboratory: environments that know the truth, and how far each estimator is from it.

from turnwise.trainers.lab import Case, run_table

table = run_table([Case(label="mine", method="my_module:MyEstimator")])
print(table.worst("mine"))
"""

from turnwise.trainers.lab.cases import case, cases
from turnwise.trainers.lab.curves import Curve, learn, run_curves
from turnwise.trainers.lab.environments import ENVIRONMENTS, environment
from turnwise.trainers.lab.measure import Case, Cell, measure
from turnwise.trainers.lab.process import Branch, Process, Truth, solve
from turnwise.trainers.lab.setting import Setting
from turnwise.trainers.lab.table import LabTable, markdown, run_table, summary

__all__ = [
    "ENVIRONMENTS",
    "Branch",
    "Case",
    "Cell",
    "Curve",
    "LabTable",
    "Process",
    "Setting",
    "Truth",
    "case",
    "cases",
    "environment",
    "learn",
    "markdown",
    "measure",
    "run_curves",
    "run_table",
    "solve",
    "summary",
]
