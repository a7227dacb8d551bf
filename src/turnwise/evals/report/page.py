"""The report's page: what is shown of each run, put into one template."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnwise.errors import ConfigError, StoreError
from turnwise.evals.compare import Comparison, compare
from turnwise.evals.data import RunData, load, reward_parts
from turnwise.evals.efficiency import Efficiency, Slice, by_split, by_tag, efficiency
from turnwise.evals.intervals import mean
from turnwise.evals.metrics import Estimate, Metrics, measure
from turnwise.evals.report import plots
from turnwise.evals.report.text import seen
from turnwise.evals.statistics import caveats, pass_intervals
from turnwise.trajectories.records import Trajectory
from turnwise.trajectories.store import Store

EXAMPLES = 8
"""Episodes of each run that are shown whole."""


@dataclass(frozen=True)
class Source:
    """A run in a store."""

    store: Store
    run: str


@dataclass(frozen=True)
class Bar:
    """One line of a list with bars."""

    name: str
    value: float
    share: float
    """Of the longest bar, in [0, 1]."""
    shown: str
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """What the page shows of one run."""

    data: RunData
    metrics: Metrics
    efficiency: Efficiency
    caveats: list[str]
    passes: list[tuple[int, Estimate, Estimate]]
    tags: list[Slice]
    splits: list[Slice]
    stops: list[Bar]
    failures: list[Bar]
    failure_examples: list[str]
    parts: list[tuple[str, str, str, int]]
    plots: list[plots.Plot]
    examples: list[Trajectory]
    config: str


def write_report(sources: Sequence[Source], out: Path) -> None:
    """Write the report of one or more runs; a file that is there is replaced whole or not at all.

    Raises:
        StoreError: A run is not there, or the file cannot be written.
    """
    text = render(sources)
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(out)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StoreError(f"the report {str(out)!r} cannot be written: {error.strerror}") from error


def render(sources: Sequence[Source]) -> str:
    """Return the report as HTML: self-contained, without a script, every foreign text escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    sections = [_section(source, alone=len(sources) == 1) for source in sources]
    runs = [section.data for section in sections]
    curves = plots.curves({s.run: rows for s in sources if (rows := s.store.metrics(s.run))}, runs)
    compared, refused = _comparisons(runs)
    environment = Environment(
        loader=PackageLoader("turnwise.evals.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": _percent, "number": _number, "interval": _interval, "seen": seen}
    return environment.get_template("report.html.jinja").render(
        sections=sections,
        overview=[plot for plot in _shared(runs) if plot],
        curves=curves,
        compared=compared,
        refused=refused,
    )


def _shared(runs: Sequence[RunData]) -> list[plots.Plot | None]:
    """Draw several runs in one plot each."""
    return [plots.difficulty(runs), plots.spending(runs)] if len(runs) > 1 else []


def _section(source: Source, *, alone: bool) -> Section:
    data = load(source.store, source.run)
    metrics = measure(data.rows)
    outcomes = data.outcomes()
    drawn = [plots.difficulty([data]) if alone else None, plots.turns(data), plots.spending_within(data)]
    return Section(
        data=data,
        metrics=metrics,
        efficiency=efficiency(data),
        caveats=caveats(len(outcomes), data.samples, metrics.success.mean),
        passes=_passes(data),
        tags=by_tag(data),
        splits=by_split(data) if len({row.split for row in data.scored}) > 1 else [],
        stops=_bars(metrics.stop_reasons),
        failures=_bars(metrics.failures, kind="bad"),
        failure_examples=_failure_examples(data),
        parts=_parts(source),
        plots=[plot for plot in drawn if plot],
        examples=[source.store.episode(name) for name in _chosen(data)],
        config=json.dumps(data.record.model_dump(mode="json"), indent=2, ensure_ascii=False),
    )


def _passes(data: RunData) -> list[tuple[int, Estimate, Estimate]]:
    outcomes = data.outcomes()
    most = max(map(len, outcomes.values()), default=0)
    wanted = sorted({*(1 << power for power in range(most.bit_length())), most} - {0})
    found = [(k, *pass_intervals(outcomes, k)) for k in wanted]
    return [(k, Estimate.of(at), Estimate.of(hat)) for k, at, hat in found] if most > 1 else []


def _bars(counts: dict[str, int], kind: str = "") -> list[Bar]:
    total, top = sum(counts.values()), max(counts.values(), default=1)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Bar(name, n, n / top, f"{n:,} ({n / total:.0%})", kind) for name, n in ordered]


def _failure_examples(data: RunData) -> list[str]:
    said = Counter(row.failure for row in data.rows if row.failure)
    return [f"{count:,} × {text}" for text, count in said.most_common(5)]


def _parts(source: Source) -> list[tuple[str, str, str, int]]:
    """Return name, mean over successes, mean over the rest, and how many have it, for each reward part."""
    made = []
    for name, values in reward_parts(source.store, source.run).items():
        good, bad = ([value for won, value in values if won is which] for which in (True, False))
        made.append((name, _plain_mean(good), _plain_mean(bad), len(values)))
    return made


def _plain_mean(values: Sequence[float]) -> str:
    return _number(mean(values, [str(i) for i in range(len(values))]).mean)


def _chosen(data: RunData) -> list[str]:
    """Choose episodes to show: failures first, then unsolved and solved in turn, spread over the run."""
    failed = [row.episode_id for row in data.rows if not row.scored][:2]
    bad = [row.episode_id for row in data.scored if not row.success]
    good = [row.episode_id for row in data.scored if row.success]
    left = EXAMPLES - len(failed)
    some_good = _spread(good, max(left // 2, left - len(bad)))
    return [*failed, *_spread(bad, left - len(some_good)), *some_good]


def _spread(names: Sequence[str], wanted: int) -> list[str]:
    if len(names) <= wanted:
        return list(names)
    return [names[i * len(names) // wanted] for i in range(wanted)]


def _comparisons(runs: Sequence[RunData]) -> tuple[list[Comparison], list[str]]:
    """Compare every further run with the first; what cannot be compared is said."""
    made, refused = [], []
    for other in runs[1:]:
        try:
            made.append(compare(runs[0], other))
        except ConfigError as error:
            refused.append(str(error))
    return made, refused


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value:,.{digits}g}" if abs(value) < 100 else f"{value:,.0f}"


def _interval(estimate: Estimate, kind: str = "number") -> str:
    write: Any = _percent if kind == "percent" else _number
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{write(estimate.low)} to {write(estimate.high)}"
