"""``turnwise lab``: how far is an estimator from the truth?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from turnwise.cli.options import print_json
from turnwise.errors import ConfigError

if TYPE_CHECKING:
    from turnwise.trainers.lab import Case, Curve, LabTable

BESIDE = ("turn_rloo", "grpo", "true advantage")
"""What a chosen estimator is shown beside."""
LEARNERS = ("turn_rloo", "rloo", "grpo", "gigpo", "turn_gae, no whitening", "per turn index", "true advantage")


def lab(
    estimator: Annotated[
        list[str] | None, typer.Option(help="Measure this method or module:Class; may be repeated; default: all.")
    ] = None,
    *,
    env: Annotated[list[str] | None, typer.Option(help="This environment only; may be repeated.")] = None,
    group_size: Annotated[list[int] | None, typer.Option(help="Episodes per group; may be repeated.")] = None,
    curves: Annotated[bool, typer.Option(help="Also learn; needs --out to be seen, or --json.")] = True,
    out: Annotated[Path | None, typer.Option(help="Directory for report.html, SVG and JSON.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is sampled.")] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/lab.md.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure estimators where the truth is known: bias, variance, sign errors, cosine, learning curves.

    Exit code 1 if an estimator is biased that is claimed to be unbiased.

    Examples:
        turnwise lab --out lab

        turnwise lab --estimator my_module:MyEstimator --env early_stop
    """
    from turnwise.trainers.lab import case, cases, run_table
    from turnwise.trainers.lab.table import GROUP_SIZES

    chosen = cases() if not estimator else [case(name) for name in dict.fromkeys([*estimator, *BESIDE])]
    sizes = group_size or list(GROUP_SIZES)
    console = Console(stderr=True)
    with console.status("measuring") as status:
        table = run_table(chosen, env, sizes, seed=seed, progress=status.update)
        learnt = _learn(estimator, env, max(sizes), seed) if curves and (out or json) else []
    if out is not None:
        _write(out, table, learnt, max(sizes))
    _print(table, learnt, max(sizes), markdown=markdown, json=json)
    for cell in table.broken_claims():
        bias = 100 * cell.gradient_bias
        console.print(
            f"claimed unbiased, but is not: {cell.estimator} in {cell.environment}: {bias:.2f} %", style="red"
        )
    if table.broken_claims():
        raise typer.Exit(1)


def _learn(estimator: list[str] | None, env: list[str] | None, n: int, seed: int) -> "list[Curve]":
    from turnwise.trainers.lab import ENVIRONMENTS, case, run_curves

    chosen: list[Case] = [case(name) for name in dict.fromkeys([*(estimator or LEARNERS), *BESIDE])]
    return run_curves(chosen, env or list(ENVIRONMENTS), n, seed=seed)


def _write(out: Path, table: "LabTable", curves: "list[Curve]", n: int) -> None:
    from turnwise.trainers.lab.plots import bias_svg, curves_svg, report_html

    files = {"report.html": report_html(table, curves, n), "bias.svg": bias_svg(table, n)}
    files["table.json"] = table.model_dump_json(indent=1)
    if curves:
        files["curves.svg"] = curves_svg(curves)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror or error}") from error
    typer.echo(f"{out}: {', '.join(sorted(files))}", err=True)


def _print(table: "LabTable", curves: "list[Curve]", n: int, *, markdown: bool, json: bool) -> None:
    from turnwise.trainers.lab import markdown as biases
    from turnwise.trainers.lab import summary
    from turnwise.trainers.lab.table import SUMMARY, summary_rows

    if json:
        from turnwise.trainers.lab.curves import LabResult

        made = LabResult(**table.model_dump(), curves=tuple(curves))
        print_json(made.model_dump(mode="json", by_alias=True))
    elif markdown:
        typer.echo(f"{biases(table, n)}\n\n{summary(table, n)}")
    else:
        shown = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", title=f"groups of {n}", title_justify="left")
        for index, name in enumerate(SUMMARY):
            longest = max(map(len, name.split()))
            shown.add_column(name, justify="right" if index else "left", no_wrap=not index, min_width=longest)
        for row in summary_rows(table, n):
            shown.add_row(*row, style="green" if table.claims[row[0]] else None)
        Console().print(shown)
