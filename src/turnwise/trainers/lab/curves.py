"""Learning curves under plain policy gradient, the value of each policy computed exactly."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from turnwise.errors import CreditError
from turnwise.trainers.lab.environments import environment
from turnwise.trainers.lab.measure import Case, credited, update_gradients
from turnwise.trainers.lab.process import Process
from turnwise.trainers.lab.setting import Setting, enumerate_paths
from turnwise.trainers.lab.table import LabTable


class Curve(BaseModel):
    """How one estimator learnt in one environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str
    environment: str
    group_size: int
    values: tuple[float, ...]
    """Exact expected return before each update and after the last, a mean over repetitions."""
    spread: tuple[float, ...]
    """Standard deviation over repetitions."""


class LabResult(LabTable):
    """The document of ``turnwise lab --json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")
    curves: tuple[Curve, ...]


def learn(
    case: Case,
    process: Process,
    n: int,
    *,
    updates: int = 30,
    groups: int = 4,
    step: float = 0.3,
    repeats: int = 4,
    seed: int = 0,
) -> Curve:
    """Follow the estimated gradient for some updates.

    Every update has the same length, ``step``: estimators differ in the size of what they return, and with it in the
    learning rate that suits them; here only their directions are compared.

    Args:
        case: The estimator.
        process: The environment; learning begins at its policy.
        n: Group size.
        updates: How many updates.
        groups: Groups per update; each is credited by itself.
        step: Length of an update, in logits.
        repeats: Independent repetitions.
        seed: Of all samples.
    """
    listed = enumerate_paths(process)
    values = np.zeros((repeats, updates + 1))
    for repeat in range(repeats):
        theta = process.theta.astype(np.float64)
        for update in range(updates + 1):
            setting = Setting(process, theta, listed)
            values[repeat, update] = setting.truth.value
            drawn = setting.groups(n, samples=groups, seed=(seed, repeat, update))
            credit, row, group = credited(case, setting, drawn)
            gradient = update_gradients(setting, credit, row, group, drawn).mean(axis=0).reshape(theta.shape)
            length = float(np.linalg.norm(gradient))
            theta = theta + step * gradient / length if length > 0 else theta
    return Curve(
        estimator=case.label,
        environment=process.name,
        group_size=n,
        values=tuple(values.mean(axis=0).tolist()),
        spread=tuple(values.std(axis=0).tolist()),
    )


def run_curves(cases: Sequence[Case], environments: Sequence[str], n: int = 4, *, seed: int = 0) -> list[Curve]:
    """Learn with every case in every environment; those that lack a field there are left out."""
    made: list[Curve] = []
    for name in environments:
        process = environment(name)
        for case in cases:
            try:
                made.append(learn(case, process, n, seed=seed))
            except CreditError:
                continue
    return made
