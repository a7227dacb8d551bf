"""``turnwise doctor``: which sandbox protections hold on this machine."""

import json
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from turnwise.sandboxes import DoctorReport
from turnwise.sandboxes import doctor as examine

_MARKS = {"holds": "[green]holds[/]", "broken": "[bold red]BROKEN[/]", "not limited": "[yellow]not limited[/]"}


def doctor(
    backend: Annotated[list[str] | None, typer.Option(help="Provider to examine; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Try out the sandboxes of this machine: which protection holds, which does not, and what to do.

    Exits with 1 if on no backend every protection holds.

    Examples:
        turnwise doctor

        turnwise doctor --backend local --json
    """
    report = anyio.run(examine, tuple(backend or ("local", "docker")))
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _show(report)
    raise typer.Exit(0 if report.sound else 1)


def _show(report: DoctorReport) -> None:
    console = Console()
    for backend in report.backends:
        if not backend.available:
            console.print(f"[bold]{backend.backend}[/]: [yellow]not available[/]", highlight=False)
            console.print(f"  {backend.reason}", highlight=False, markup=False)
            continue
        table = Table("protection", "verdict", "seen", title=backend.backend, title_justify="left", box=None)
        for finding in backend.findings:
            advice = f" → {finding.advice}" if finding.advice else ""
            seen = (finding.seen + advice).replace("[", r"\[")
            table.add_row(finding.protection, _MARKS.get(finding.verdict, finding.verdict), seen)
        console.print(table)
    for advice in report.advice:
        console.print(f"Not covered: {advice}.", highlight=False, markup=False)
