"""``turnwise report``, ``compare`` and ``leaderboard``: runs beside each other."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from turnwise.cli import options
from turnwise.cli.output import console, number, percent, safe, table
from turnwise.errors import StoreError
from turnwise.evals.compare import Comparison, Quantity
from turnwise.evals.leaderboard import Board, Leaderboard
from turnwise.evals.metrics import Estimate
from turnwise.trajectories.store import Store

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run, or STORE:RUN.")]


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs, each RUN or STORE:RUN.")],
    *,
    html: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path("report.html"),
    store: options.StorePath = options.DEFAULT_STORE,
) -> None:
    """Write a report of one or more runs as one HTML file that needs no network.

    Examples:
        turnwise report baseline --html baseline.html

        turnwise report before after --html change.html
    """
    from turnwise.evals.data import locate
    from turnwise.evals.report import Source, write_report

    with ExitStack() as stack:
        opened: dict[Path, Store] = {}
        sources = []
        for path, run in locate(runs, store):
            if path not in opened:
                opened[path] = stack.enter_context(Store.open(path))
            sources.append(Source(opened[path], run))
        write_report(sources, html)
    typer.echo(f"wrote {html}")


def compare(a: Run, b: Run, *, store: options.StorePath = options.DEFAULT_STORE, json: options.Json = False) -> None:
    """Compare two runs on one panel, task by task: which is better, how surely, and what else differs.

    Examples:
        turnwise compare before after

        turnwise compare mine.sqlite:run1 theirs.sqlite:run7 --json
    """
    from turnwise.evals import compare as comparing
    from turnwise.evals.data import RunData, answers, load, locate
    from turnwise.evals.support import answer_entropy

    loaded: list[tuple[RunData, float | None]] = []
    for path, run in locate([a, b], store):
        with Store.open(path) as opened:
            loaded.append((load(opened, run), answer_entropy(answers(opened, run))))
    (first, before), (second, after) = loaded
    found = comparing.compare(first, second, entropies=(before, after))
    if json:
        options.print_json(found.document())
    else:
        show_comparison(found)


def leaderboard(
    env: options.EnvName, *, store: options.StorePath = options.DEFAULT_STORE, json: options.Json = False
) -> None:
    """Rank a store's runs of an environment, panel by panel, with the ranks the evidence leaves open.

    Examples:
        turnwise leaderboard sql

        turnwise leaderboard sql --store results.sqlite --json
    """
    from turnwise.evals import leaderboard as ranking
    from turnwise.evals.data import load

    with Store.open(store) as opened:
        names = [record.run for record in opened.runs()]
        found = ranking.leaderboard(env, [load(opened, name) for name in names])
    if not found.boards:
        raise StoreError(f"{store} has no scored run of environment {env!r}")
    if json:
        options.print_json(found.document())
    else:
        show_leaderboard(found)


def show_comparison(found: Comparison) -> None:
    """Print a comparison: the verdict first."""
    out = console()
    out.print(f"\n[bold]{safe(found.verdict)}[/]\n")
    made = table(
        "",
        f">{safe(found.a.run, 30)}",
        f">{safe(found.b.run, 30)}",
        ">difference",
        "95 % interval",
        ">p",
        ">better / worse",
    )
    for quantity in found.quantities:
        made.add_row(*_cells(quantity))
    out.print(made)
    for label, text in _lines(found):
        out.print(f"[dim]{label:>14}[/]  {text}")
    for text in [*(f"also different: {one}" for one in found.differences), *found.caveats]:
        out.print(f"[yellow]note[/] {safe(text, 400)}")


def _cells(quantity: Quantity) -> tuple[str, ...]:
    style = percent if quantity.name == "success" else number
    return (
        quantity.name,
        style(quantity.a),
        style(quantity.b),
        style(quantity.difference.mean),
        _interval(quantity.bootstrap, percents=quantity.name == "success"),
        "–" if quantity.p_value is None else f"{quantity.p_value:.2g}",
        f"{quantity.better:,} / {quantity.worse:,}",
    )


def _lines(found: Comparison) -> list[tuple[str, str]]:
    success, support = found.quantities[0], found.support
    needed = f" · {success.needed_tasks:,} tasks would show the one seen" if success.needed_tasks else ""
    lines = [
        ("tasks", f"{found.tasks:,} paired" + (f" · {found.unpaired:,} in one run only" if found.unpaired else "")),
        ("test", f"{success.test} for success · {found.quantities[1].test} for the rest"),
        ("detectable", f"{percent(success.detectable)} of success with power 0.8{needed}"),
        (
            "solved",
            f"{support.kept:,} tasks kept · {support.lost:,} lost · {support.gained:,} gained · "
            f"{support.unsolved:,} never (any of {support.samples} samples)",
        ),
    ]
    if found.a.answer_entropy is not None or found.b.answer_entropy is not None:
        before, after = number(found.a.answer_entropy, 2), number(found.b.answer_entropy, 2)
        lines.append(("entropy", f"{before} nats of answers a task, then {after}"))
    for label, unit in (("cost", "$"), ("tokens", ""), ("seconds", "")):
        one, other = (getattr(side.efficiency, label).mean for side in (found.a, found.b))
        if one is not None or other is not None:
            digits = 4 if unit else 0
            lines.append((label, f"{unit}{number(one, digits)} a success, then {unit}{number(other, digits)}"))
    return lines


def show_leaderboard(found: Leaderboard) -> None:
    """Print the boards."""
    for board in found.boards:
        console().print(_board(found.env, board))


def _board(env: str, board: Board) -> object:
    panel = f"{board.panel or 'no named panel'} {board.split or ''}".strip()
    title = safe(f"{env} {board.env_version} · {panel} · {board.tasks:,} tasks · {board.digest[:12]}")
    made = table(
        ">rank", "run", "agent", ">success", "95 % interval", ">score", ">$ a success", ">tokens a success", title=title
    )
    for entry in board.entries:
        rank = str(entry.rank) if entry.rank == entry.rank_worst else f"{entry.rank}–{entry.rank_worst}"
        who = f"{entry.agent} · {entry.model}" if entry.model else entry.agent
        spent = entry.efficiency
        made.add_row(
            rank,
            safe(entry.run, 50),
            safe(who, 50),
            percent(entry.success.mean),
            _interval(entry.success, percents=True),
            number(entry.score.mean),
            number(spent.cost.mean, 4),
            number(spent.tokens.mean, 0),
        )
    return made


def _interval(estimate: Estimate, *, percents: bool = False) -> str:
    style = percent if percents else number
    return "–" if estimate.low is None else f"{style(estimate.low)} … {style(estimate.high)}"
