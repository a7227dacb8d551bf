"""How far an estimator is from the truth: bias of gradient and advantage, variance, signs, cosine."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.sparse import csr_array

from turnwise.trainers.credit import Estimator, get
from turnwise.trainers.lab.process import Floats, Ints
from turnwise.trainers.lab.setting import Groups, Setting

CONFIDENCE = 0.99
"""Joint confidence of all sampled cells of a table."""
HALF_WIDTH = 0.05
"""Sampling goes on until the interval's half-width, as a share of the gradient's norm, is below this."""
MOST_GROUPS = 640_000
FIRST_GROUPS = 20_000
"""With so many sampling begins where an estimator's fields are draws."""
EXACT_ZERO = 1e-9
"""Where all groups were listed, a bias below this is rounding."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An estimator with parameters, under the name it has in tables."""

    label: str
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    unbiased: bool | None = None
    """What is claimed of its gradient; None: what the estimator's class declares."""
    drawn: bool = False
    """Whether a field it reads is a draw of its own, so that listing the groups does not list what can happen."""

    @property
    def estimator(self) -> Estimator[Any]:
        """The estimator."""
        return get(self.method)

    @property
    def claim(self) -> bool:
        """Whether the gradient is claimed to be unbiased."""
        return self.estimator.unbiased if self.unbiased is None else self.unbiased


class Cell(BaseModel):
    """One estimator in one environment at one group size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str
    environment: str
    group_size: int
    exact: bool
    """Whether all groups were listed; otherwise they were sampled."""
    groups: int
    gradient_bias: float
    """Norm of what is left of the expected gradient after the best positive multiple of the exact one is taken away,
    as a share of the expected gradient's norm: the sine of the angle between them; 1 where it points away or is 0."""
    half_width: float
    """Of ``gradient_bias``; simultaneous over the table; 0 where exact."""
    scale: float
    """The best multiple: 1 where the gradient's size is right too."""
    cosine: float
    """Between expected and exact gradient."""
    update_cosine: float
    """Mean over single updates of one group."""
    variance: float | None
    """Trace of the covariance of one update's gradient over the squared norm of its mean; None: it points away."""
    mse: float | None
    """Mean squared error of the rescaled gradient of one update over the squared norm of the exact one; None: as
    above."""
    advantage_bias: float
    """Root mean square of E[advantage | o, a, t] - A_t(o, a), over that of A."""
    sign_errors: tuple[float | None, ...]
    """Per turn: how often the sign of a turn's credit is wrong, 0 counting half; None: no turn's A differs from 0."""

    @property
    def sign_error(self) -> float:
        """Mean of ``sign_errors`` over the turns that have one."""
        known = [rate for rate in self.sign_errors if rate is not None]
        return sum(known) / len(known) if known else math.nan

    @property
    def biased(self) -> bool:
        """Whether the bias of the gradient is established."""
        return self.gradient_bias - self.half_width > EXACT_ZERO


def measure(case: Case, setting: Setting, n: int, *, cells: int = 1, seed: int = 0, samples: int | None = None) -> Cell:
    """Measure an estimator in an environment.

    Args:
        case: The estimator.
        setting: The environment under its policy.
        n: Group size; a batch is one group.
        cells: How many cells the table has, for the simultaneous intervals.
        seed: Of sampled groups; the same for every estimator, so that all see the same episodes.
        samples: Sample so many groups even where all could be listed.

    Raises:
        CreditError: The environment lacks a field that the estimator requires.
    """
    first = samples or (FIRST_GROUPS if case.drawn else None)
    groups = setting.groups(n, samples=first, seed=seed)
    while True:
        cell = _measured(case, setting, groups, cells)
        if groups.exact or samples is not None or cell.half_width <= HALF_WIDTH or len(groups.weight) >= MOST_GROUPS:
            return cell
        groups = setting.groups(n, samples=2 * len(groups.weight), seed=seed)


def _measured(case: Case, setting: Setting, groups: Groups, cells: int) -> Cell:
    credit, row, group = credited(case, setting, groups)
    gradients = update_gradients(setting, credit, row, group, groups)
    exact = setting.truth.gradient.ravel()
    size = float(exact @ exact)
    mean: Floats = groups.weight @ gradients
    scale = float(mean @ exact) / size
    rest = mean - scale * exact
    norm = float(np.linalg.norm(mean))
    spread = float(groups.weight @ (gradients**2).sum(axis=1)) - norm**2
    towards = scale > EXACT_ZERO and norm > EXACT_ZERO
    advantage_bias, signs = _advantages(setting, credit, row, groups.weight[group])
    return Cell(
        estimator=case.label,
        environment=setting.process.name,
        group_size=groups.members.shape[1],
        exact=groups.exact,
        groups=len(groups.weight),
        gradient_bias=float(np.linalg.norm(rest)) / norm if towards else 1.0,
        half_width=0.0 if groups.exact or not towards else _half_width(gradients, exact, cells) / norm,
        scale=scale,
        cosine=float(mean @ exact) / (norm * math.sqrt(size)) if norm > EXACT_ZERO else 0.0,
        update_cosine=_mean_cosine(gradients, exact, groups.weight),
        variance=spread / norm**2 if towards else None,
        mse=_error(gradients / scale - exact, groups.weight) / size if towards else None,
        advantage_bias=advantage_bias,
        sign_errors=signs,
    )


def credited(case: Case, setting: Setting, groups: Groups) -> tuple[Floats, Ints, Ints]:
    """Credit some groups; return each turn's credit, its row among all paths' turns, and its group."""
    batch, row = setting.batch_of(groups)
    made = case.estimator.estimate(batch, case.params)
    return made.advantages * made.weights, row, batch.group_of_turn


def update_gradients(setting: Setting, credit: Floats, row: Ints, group: Ints, groups: Groups) -> Floats:
    """Policy gradient of each group as one update, a mean over its episodes; shape (G, O * A)."""
    count, n = groups.members.shape
    chosen = csr_array((credit / n, (group, row)), shape=(count, len(setting.score)))
    made: Floats = chosen @ setting.score
    return made


def _half_width(gradients: Floats, exact: Floats, cells: int) -> float:
    """Radius that the error of a sampled mean exceeds with probability (1 - CONFIDENCE) / cells at most.

    For a Gaussian vector x with covariance C: norm(x) <= sqrt(trace C) + sqrt(2 * largest eigenvalue * log(1 / p)).
    """
    unit = exact / np.linalg.norm(exact)
    across = gradients - np.outer(gradients @ unit, unit)
    covariance = np.cov(across, rowvar=False) / len(gradients)
    largest = float(np.linalg.eigvalsh(covariance)[-1])
    p = (1 - CONFIDENCE) / cells
    return math.sqrt(float(np.trace(covariance))) + math.sqrt(2 * largest * math.log(1 / p))


def _error(errors: Floats, weight: Floats) -> float:
    return float(weight @ (errors**2).sum(axis=1))


def _mean_cosine(gradients: Floats, exact: Floats, weight: Floats) -> float:
    norms = np.linalg.norm(gradients, axis=1) * np.linalg.norm(exact)
    moving = norms > EXACT_ZERO
    if not moving.any():
        return 0.0
    cosines = (gradients[moving] @ exact) / norms[moving]
    return float(weight[moving] @ cosines / weight[moving].sum())


def _advantages(setting: Setting, credit: Floats, row: Ints, weight: Floats) -> tuple[float, tuple[float | None, ...]]:
    rows, truth = setting.paths.rows, setting.advantage
    shape = (setting.process.horizon, *setting.pi.shape)
    place = np.ravel_multi_index((rows.turn, rows.seen, rows.action), shape)[row]
    mass = np.bincount(place, weights=weight, minlength=math.prod(shape))
    mean = np.bincount(place, weights=weight * credit, minlength=math.prod(shape)) / np.where(mass > 0, mass, 1)
    true = np.zeros(math.prod(shape))
    true[place] = truth[row]
    bias = math.sqrt(float(mass @ (mean - true) ** 2) / float(mass @ true**2))
    wrong = np.where(np.abs(credit) < EXACT_ZERO, 0.5, np.sign(credit) != np.sign(truth[row]))
    matters = np.abs(truth[row]) > EXACT_ZERO
    rates: list[float | None] = []
    for turn in range(shape[0]):
        here = matters & (rows.turn[row] == turn)
        rates.append(float(weight[here] @ wrong[here] / weight[here].sum()) if here.any() else None)
    return bias, tuple(rates)
