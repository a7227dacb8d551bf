"""Which plots a report shows, and what each of them says."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from turnwise.evals.data import RunData
from turnwise.evals.efficiency import Slice, by_difficulty
from turnwise.evals.intervals import Interval, mean, proportion
from turnwise.evals.metrics import Estimate
from turnwise.evals.report.svg import COLOURS, Dot, dots, histogram, lines, scatter, short
from turnwise.trajectories.tables import EpisodeRow, MetricRow

BINS = 24
QUANTILES = 8
CURVES = 12
"""Training metrics drawn; the rest are in the store."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with its heading and one sentence on how to read it."""

    title: str
    how: str
    svg: Markup
    legend: tuple[tuple[str, str], ...] = ()
    """Name and key class of each colour."""


def difficulty(runs: Sequence[RunData]) -> Plot | None:
    """Success by difficulty, a colour for each run."""
    found = [(run.name, by_difficulty(run)) for run in runs]
    if not any(len(made) > 1 for _, made in found):
        return None
    series = [(name, [_slice_dot(one) for one in made]) for name, made in found]
    svg = dots(series, x_title="difficulty", y_title="success")
    return Plot("Success by difficulty", "Where does it break? Whiskers: 95 % Wilson.", svg, _legend(runs))


def turns(run: RunData) -> Plot | None:
    """How long episodes are, and which lengths succeed."""
    if not run.scored:
        return None
    most = max(row.n_turns for row in run.scored)
    width = max(1, math.ceil((most + 1) / BINS))
    good, bad = Counter[int](), Counter[int]()
    for row in run.scored:
        (good if row.success else bad)[row.n_turns // width] += 1
    last = most // width
    bins = [(_bin(index, width), good[index], bad[index]) for index in range(last + 1)]
    how = "Does it stop when done, or run into the limit?"
    legend = (("solved", "good"), ("unsolved", "bad"))
    return Plot("Turns", how, histogram(bins, x_title="turns"), legend)


def spending(runs: Sequence[RunData]) -> Plot | None:
    """What is spent against what is reached: a dot for each run."""
    unit, value = _unit(runs)
    points = [dot for run in runs if (dot := _run_dot(run, value))]
    if len(points) < 2:
        return None
    how = "Up and to the left is better. The line joins the runs that no other beats in both."
    return Plot(
        f"{unit.capitalize()} against success",
        how,
        scatter(points, x_title=f"{unit} an episode", y_title="success", frontier=True),
        _legend(runs),
    )


def spending_within(run: RunData) -> Plot | None:
    """Whether costlier episodes of one run succeed more."""
    unit, value = _unit([run])
    rows = sorted((row for row in run.scored if value(row) is not None), key=lambda row: (value(row), row.episode_id))
    if len(rows) < 2 * QUANTILES or value(rows[0]) == value(rows[-1]):
        return None
    cuts = [round(len(rows) * i / QUANTILES) for i in range(QUANTILES + 1)]
    points = [_eighth(rows[a:b], value) for a, b in itertools.pairwise(cuts)]
    how = f"Do episodes that take more {unit} succeed more? Each dot is an eighth of the episodes."
    return Plot(
        f"{unit.capitalize()} against success",
        how,
        scatter(points, x_title=f"{unit} an episode", y_title="success"),
    )


def curves(metrics: Mapping[str, Sequence[MetricRow]], runs: Sequence[RunData]) -> list[Plot]:
    """Learning curves of training runs: success of their episodes by step, then each metric."""
    made = [_success_by_step(runs)]
    names = Counter(row.name for rows in metrics.values() for row in rows)
    for name in sorted(names, key=_importance)[:CURVES]:
        series = [
            (run, [(row.step, row.value) for row in rows if row.name == name and math.isfinite(row.value)])
            for run, rows in metrics.items()
        ]
        series = [one for one in series if one[1]]
        if series:
            svg = lines(series, x_title="step", y_title=name)
            made.append(Plot(name, "", svg, _keys([run for run, _ in series])))
    return [plot for plot in made if plot]


def _success_by_step(runs: Sequence[RunData]) -> Plot | None:
    series = []
    for run in runs:
        steps: dict[int, list[float]] = {}
        for row in run.scored:
            if row.step is not None:
                steps.setdefault(row.step, []).append(float(bool(row.success)))
        if len(steps) > 1:
            series.append((run.name, [(step, sum(seen) / len(seen)) for step, seen in sorted(steps.items())]))
    if not series:
        return None
    keys = _keys([name for name, _ in series])
    return Plot("Success while training", "", lines(series, x_title="step", y_title="success"), keys)


def _importance(name: str) -> tuple[int, str]:
    first = ("success", "score", "reward", "return", "loss", "kl", "entropy", "grad")
    low = name.lower()
    return next((rank for rank, word in enumerate(first) if word in low), len(first)), name


def _unit(runs: Sequence[RunData]) -> tuple[str, Callable[[EpisodeRow], float]]:
    """Dollars where every episode has a cost, tokens where any were spent, else turns."""
    rows = [row for run in runs for row in run.scored]
    if rows and all(row.cost is not None for row in rows) and any(row.cost for row in rows):
        return "dollars", lambda row: row.cost or 0.0
    if any(row.prompt_tokens or row.completion_tokens for row in rows):
        return "tokens", lambda row: float(row.prompt_tokens + row.completion_tokens)
    return "turns", lambda row: float(row.n_turns)


def _run_dot(run: RunData, value: Callable[[EpisodeRow], float]) -> Dot | None:
    rows = run.scored
    if not rows:
        return None
    tasks = [row.task_key for row in rows]
    spent = mean([value(row) for row in rows], tasks)
    return _spent_dot(run.name, proportion([bool(row.success) for row in rows], tasks), spent, len(rows))


def _eighth(rows: Sequence[EpisodeRow], value: Callable[[EpisodeRow], float]) -> Dot:
    spent = [value(row) for row in rows]
    success = proportion([bool(row.success) for row in rows], [row.task_key for row in rows])
    middle = Interval(sum(spent) / len(spent), spent[0], spent[-1])
    return _spent_dot(f"{short(spent[0])} to {short(spent[-1])}", success, middle, len(rows))


def _spent_dot(label: str, success: Interval, spent: Interval, episodes: int) -> Dot:
    note = f"{_shown(Estimate.of(success))}, {short(spent.mean or 0.0)} an episode, {episodes} episodes"
    return Dot(
        label=label,
        y=success.mean or 0.0,
        low=success.low,
        high=success.high,
        note=note,
        x=spent.mean or 0.0,
        x_low=spent.low,
        x_high=spent.high,
    )


def _slice_dot(made: Slice) -> Dot:
    note = f"{_shown(made.success)}, {made.tasks} tasks, {made.episodes} episodes"
    return Dot(made.name, made.success.mean or 0.0, made.success.low, made.success.high, note)


def _shown(estimate: Estimate) -> str:
    if estimate.mean is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.1%}"
    return f"{estimate.mean:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def _bin(index: int, width: int) -> str:
    return str(index) if width == 1 else f"{index * width}–{(index + 1) * width - 1}"


def _legend(runs: Sequence[RunData]) -> tuple[tuple[str, str], ...]:
    return _keys([run.name for run in runs]) if len(runs) > 1 else ()


def _keys(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"k{index % COLOURS}") for index, name in enumerate(names))
