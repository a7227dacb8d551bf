"""Pictures of what the laboratory measured: SVG and one HTML page, drawn by templates."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from turnwise.trainers.credit import names as method_names
from turnwise.trainers.lab.curves import Curve
from turnwise.trainers.lab.environments import environment
from turnwise.trainers.lab.measure import CONFIDENCE, EXACT_ZERO, Cell
from turnwise.trainers.lab.process import best_value
from turnwise.trainers.lab.table import SUMMARY, LabTable, percent, summary_rows

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b1f24", "#8c564b")
"""Told apart by people who do not see red from green (after Okabe and Ito)."""
_PALE, _DARK = (255, 243, 224), (158, 27, 22)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    loader = PackageLoader("turnwise.trainers.lab", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(default=True), trim_blocks=False)


def bias_svg(table: LabTable, group_size: int) -> str:
    """Draw the bias of every estimator's gradient in every environment, in percent."""
    left, top, cell_width, cell_height = 220, 150, 76, 24
    names = list(table.environments)
    known = [estimator in method_names() for estimator in table.estimators]
    registered = sum(known)
    gap = 12 if all(known[:registered]) and registered < len(known) else 0
    columns = [{"name": name, "x": left + n * cell_width + 18} for n, name in enumerate(names)]
    rows = [
        {
            "name": estimator,
            "claim": table.claims[estimator],
            "y": top + n * cell_height + (gap if n >= registered else 0),
            "cells": [
                {"name": name, "x": left + m * cell_width, **_shade(table.cell(estimator, name, group_size))}
                for m, name in enumerate(names)
            ],
        }
        for n, estimator in enumerate(table.estimators)
    ]
    return (
        _templates()
        .get_template("bias.svg.j2")
        .render(
            title="Bias of the policy gradient, percent",
            subtitle=f"Sine of the angle between the expected and the exact gradient; groups of {group_size}.",
            width=left + len(names) * cell_width + 60,
            height=top + len(rows) * cell_height + gap + 44,
            left=left,
            top=top,
            cell_width=cell_width,
            cell_height=cell_height,
            columns=columns,
            rows=rows,
        )
    )


def _shade(cell: Cell | None) -> dict[str, str]:
    if cell is None:
        return {"fill": "#f6f8fa", "ink": "#57606a", "text": ""}
    text = percent(cell)
    if cell.gradient_bias <= max(EXACT_ZERO, cell.half_width):
        return {"fill": "#d9f2e6", "ink": "#0b6e4f", "text": text}
    depth = min(1.0, cell.gradient_bias) ** 0.6
    mixed = [round(pale + (dark - pale) * depth) for pale, dark in zip(_PALE, _DARK, strict=True)]
    ink = "#ffffff" if depth > 0.55 else "#1b1f24"
    return {"fill": "#{:02x}{:02x}{:02x}".format(*mixed), "ink": ink, "text": text}


def curves_svg(curves: Sequence[Curve]) -> str:
    """Draw learning curves, a panel for each environment."""
    names = list(dict.fromkeys(curve.estimator for curve in curves))
    style = {name: (_COLOURS[n % len(_COLOURS)], "" if n < len(_COLOURS) else "5 3") for n, name in enumerate(names)}
    across, width, height = 3, 270, 150
    grouped = [list(each) for _, each in groupby(curves, key=lambda curve: curve.environment)]
    panels = []
    for n, found in enumerate(grouped):
        place = {"x": 70 + (n % across) * (width + 70), "y": 130 + (n // across) * (height + 66)}
        panels.append({"name": found[0].environment, **place, **_panel(found, style, width, height)})
    legend, reached = [], 24
    for name in names:
        legend.append({"name": name, "x": reached, "colour": style[name][0], "dash": style[name][1]})
        reached += 50 + 7 * len(name)
    rows = -(-len(grouped) // across)
    return (
        _templates()
        .get_template("curves.svg.j2")
        .render(
            title="Learning under plain policy gradient",
            subtitle="Exact expected return; updates of equal length, so directions are compared, not sizes.",
            width=max(70 + across * (width + 70), reached),
            height=130 + rows * (height + 66),
            legend=legend,
            panels=panels,
            panel_width=width,
            panel_height=height,
            updates=len(curves[0].values) - 1,
        )
    )


def _panel(curves: Sequence[Curve], style: dict[str, tuple[str, str]], width: int, height: int) -> dict[str, Any]:
    best = best_value(environment(curves[0].environment))
    values = [value for curve in curves for value in curve.values] + ([] if best is None else [best])
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return round(height - (value - low) / span * (height - 8), 1)

    lines = []
    for curve in curves:
        step = width / (len(curve.values) - 1)
        points = " ".join(f"{n * step:.1f},{y(value)}" for n, value in enumerate(curve.values))
        colour, dash = style[curve.estimator]
        last = f"{curve.values[-1]:.3f} ± {curve.spread[-1]:.3f}"
        lines.append({"name": curve.estimator, "colour": colour, "dash": dash, "points": points, "last": last})
    ticks = [{"y": y(low + share * span), "text": f"{low + share * span:.2f}"} for share in (0, 0.5, 1)]
    return {"lines": lines, "ticks": ticks, "best": None if best is None else y(best)}


def report_html(table: LabTable, curves: Sequence[Curve], group_size: int) -> str:
    """Make one page of everything, without anything to load."""
    figures = [bias_svg(table, group_size)] + ([curves_svg(curves)] if curves else [])
    rows = [{"shown": row, "claim": table.claims[row[0]]} for row in summary_rows(table, group_size)]
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            figures=[Markup(figure) for figure in figures],  # noqa: S704 - drawn above, with every text escaped
            exact=all(cell.exact for cell in table.cells),
            confidence=round(100 * CONFIDENCE),
            group_size=group_size,
            head=SUMMARY,
            rows=rows,
            environments=table.environments,
        )
    )
