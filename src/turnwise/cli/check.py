"""``turnwise check``: does an environment keep the contract?"""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnwise.cli.options import print_json, settings
from turnwise.cli.worlddocs import Check
from turnwise.envs.check import CHECKS, CheckReport, check_env
from turnwise.errors import UnknownNameError

_STYLE = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def check(
    env: Annotated[str, typer.Argument(help="A registered name or module:Class.", metavar="ENV")],
    *,
    panel: Annotated[str | None, typer.Option(help="Panel or task file to check it on; default: its own.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the panel.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run this check only; may be repeated.")] = None,
    config: Annotated[list[str] | None, typer.Option("--set", help="Setting of the environment: key=value.")] = None,
    wrap: Annotated[list[str] | None, typer.Option(help="Wrapper to put around it: failing:p=0.2.")] = None,
    n: Annotated[int, typer.Option(min=1, help="Tasks to compare episodes on.")] = 3,
    pool: Annotated[int, typer.Option(min=1, help="Tasks to run gold, null and random on.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of the episodes.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run the contract suite over an environment; exit code 1 if anything failed.

    Examples:
        turnwise check sql

        turnwise check my_package.my_env:MyEnv --panel tasks.jsonl --only gold_solves
    """
    for name in only or ():
        if name not in CHECKS:
            raise UnknownNameError.of("check", name, CHECKS)
    tasks = None
    if panel is not None or split is not None:
        from turnwise.envs import env_class
        from turnwise.tasks import load_panel

        tasks = load_panel(panel or env_class(env).default_panel or "", split).tasks
    report = check_env(env, tasks, config=settings(config), wrap=wrap or (), checks=only, n=n, pool=pool, seed=seed)
    print_json(Check(ok=report.ok, **report.model_dump()).dump()) if json else _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: CheckReport) -> None:
    table = Table(box=None, show_header=False)
    for result in report.results:
        said = Text(result.why) if result.why else Text(result.asks, "dim", no_wrap=True, overflow="ellipsis")
        table.add_row(Text(result.outcome, _STYLE[result.outcome]), result.name, said)
    console = Console()
    console.print(table)
    failed, passed = len(report.failed), sum(result.outcome == "passed" for result in report.results)
    skipped = len(report.results) - failed - passed
    console.print(
        f"{report.env} {report.version} on {len(report.tasks)} tasks: "
        f"{passed} passed, {failed} failed, {skipped} skipped",
        highlight=False,
    )
