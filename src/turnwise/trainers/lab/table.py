"""Every estimator in every environment: the table, as data, as text and as Markdown."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product

from pydantic import BaseModel, ConfigDict

from turnwise.errors import CreditError
from turnwise.trainers.lab.environments import ENVIRONMENTS, environment
from turnwise.trainers.lab.measure import EXACT_ZERO, Case, Cell, measure
from turnwise.trainers.lab.setting import Setting

GROUP_SIZES = (2, 4)
"""Sizes at which every environment's groups can be listed."""


class Missing(BaseModel):
    """A cell that cannot be measured, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: str
    environment: str
    why: str


class LabTable(BaseModel):
    """What the laboratory measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimators: tuple[str, ...]
    claims: dict[str, bool]
    """Whether each estimator's gradient is claimed to be unbiased."""
    environments: dict[str, str]
    """What makes each environment hard."""
    group_sizes: tuple[int, ...]
    cells: tuple[Cell, ...]
    missing: tuple[Missing, ...]

    def cell(self, estimator: str, environment: str, group_size: int) -> Cell | None:
        """Return one cell, None where it could not be measured."""
        for cell in self.cells:
            if (cell.estimator, cell.environment, cell.group_size) == (estimator, environment, group_size):
                return cell
        return None

    def broken_claims(self) -> tuple[Cell, ...]:
        """Return the cells where an estimator that is claimed to be unbiased is not."""
        return tuple(cell for cell in self.cells if self.claims[cell.estimator] and cell.biased)

    def worst(self, estimator: str) -> float:
        """Largest bias of an estimator's gradient over environments and group sizes."""
        return max((cell.gradient_bias for cell in self.cells if cell.estimator == estimator), default=math.nan)


def run_table(
    cases: Sequence[Case],
    environments: Iterable[str] | None = None,
    group_sizes: Sequence[int] = GROUP_SIZES,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> LabTable:
    """Measure every case in every environment at every group size.

    Args:
        cases: The estimators.
        environments: Names; None: all.
        group_sizes: Episodes per group.
        seed: Of groups that are sampled because there are too many to list.
        progress: Told what is measured next.

    Raises:
        UnknownNameError: There is no such environment.
        CreditError: A group size is not positive.
    """
    if bad := [n for n in group_sizes if n < 1]:
        raise CreditError(f"a group has at least one episode, got {bad[0]}")
    chosen = list(environments or ENVIRONMENTS)
    total = len(cases) * len(chosen) * len(group_sizes)
    found: list[Cell | Missing] = []
    about: dict[str, str] = {}
    for name in chosen:
        setting = Setting(environment(name))
        about[name] = setting.process.about
        for n, case in product(group_sizes, cases):
            if progress:
                progress(f"{case.label} in {name}, groups of {n}")
            found.append(_cell(case, setting, n, total, seed))
    missing = {(m.estimator, m.environment): m for m in found if isinstance(m, Missing)}
    return LabTable(
        estimators=tuple(case.label for case in cases),
        claims={case.label: case.claim for case in cases},
        environments=about,
        group_sizes=tuple(group_sizes),
        cells=tuple(cell for cell in found if isinstance(cell, Cell)),
        missing=tuple(missing.values()),
    )


def _cell(case: Case, setting: Setting, n: int, total: int, seed: int) -> Cell | Missing:
    try:
        return measure(case, setting, n, cells=total, seed=seed)
    except CreditError as error:
        return Missing(estimator=case.label, environment=setting.process.name, why=str(error))


def percent(cell: Cell | None) -> str:
    """Write a bias: 0 where it is exactly 0, with its half-width where it was sampled and does not point away."""
    if cell is None:
        return ""
    if cell.exact and cell.gradient_bias <= EXACT_ZERO:
        return "0"
    bias = f"{100 * cell.gradient_bias:.1f}"
    return bias if cell.exact or cell.half_width == 0 else f"{bias} ± {100 * cell.half_width:.1f}"


def markdown(table: LabTable, group_size: int) -> str:
    """Write the biases of the gradient at one group size as a Markdown table, in percent."""
    head = ["estimator", "claim", *table.environments]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + " --- |" * 2 + " ---: |" * len(table.environments)]
    for name in table.estimators:
        found = [table.cell(name, environment, group_size) for environment in table.environments]
        claim = "unbiased" if table.claims[name] else ""
        lines.append(" | ".join(["", f"`{name}`", claim, *(percent(cell) or "–" for cell in found), ""]).strip())
    return "\n".join(lines)


SUMMARY = ("estimator", "worst bias %", "advantage bias", "sign errors %", "variance", "MSE", "cosine of an update")
"""Columns of the summary."""


def summary_rows(table: LabTable, group_size: int) -> list[list[str]]:
    """Return what each estimator reaches over the environments at one group size: medians, except worst and cosine."""
    rows: list[list[str]] = []
    for name in table.estimators:
        cells = [c for c in table.cells if c.estimator == name and c.group_size == group_size]
        if cells:
            rows.append([name, *_means(cells)])
    return rows


def summary(table: LabTable, group_size: int) -> str:
    """Write the summary at one group size as a Markdown table."""
    lines = [" | ".join(["", *SUMMARY, ""]).strip(), "| --- |" + " ---: |" * (len(SUMMARY) - 1)]
    for name, *values in summary_rows(table, group_size):
        lines.append(" | ".join(["", f"`{name}`", *values, ""]).strip())
    return "\n".join(lines)


def _means(cells: list[Cell]) -> list[str]:
    worst = max(cells, key=lambda cell: cell.gradient_bias)
    signs = [cell.sign_error for cell in cells if not math.isnan(cell.sign_error)]
    return [
        percent(worst),
        f"{_median([cell.advantage_bias for cell in cells]):.2f}",
        f"{100 * sum(signs) / len(signs):.0f}",
        f"{_median([math.inf if c.variance is None else c.variance for c in cells]):.1f}",
        f"{_median([math.inf if c.mse is None else c.mse for c in cells]):.1f}",
        f"{sum(cell.update_cosine for cell in cells) / len(cells):.2f}",
    ]


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
