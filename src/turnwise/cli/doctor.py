"""``turnwise doctor``: which protections of the sandboxes and of the browser hold on this machine."""

import json
from dataclasses import asdict
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from turnwise.errors import MissingExtraError
from turnwise.sandboxes import DoctorReport
from turnwise.sandboxes import doctor as examine
from turnwise.sandboxes.diagnosis import BackendReport

BROWSER = "browser"

_MARKS = {"holds": "[green]holds[/]", "broken": "[bold red]BROKEN[/]", "not limited": "[yellow]not limited[/]"}


def doctor(
    backend: Annotated[list[str] | None, typer.Option(help="Provider, or browser; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Try out the sandboxes and the browser of this machine: which protection holds, which does not, what to do.

    Exits with 1 if on none of the backends every protection holds; the browser counts where it alone is asked for.

    Examples:
        turnwise doctor

        turnwise doctor --backend local --json
    """
    names = backend or ["local", "docker", BROWSER]
    sandboxes = tuple(name for name in names if name != BROWSER)
    report = anyio.run(examine, sandboxes)
    browser = anyio.run(_browser) if BROWSER in names else None
    if as_json:
        more = {} if browser is None else {BROWSER: {**asdict(browser), "sound": browser.sound}}
        print(json.dumps({**report.to_json(), **more}, indent=2))
    else:
        _show(report, (*report.backends, *([browser] if browser else [])))
    raise typer.Exit(0 if report.sound or (not sandboxes and browser and browser.sound) else 1)


async def _browser() -> BackendReport:
    try:
        from turnwise.envs.gui.engine.examine import examine as browser
    except MissingExtraError as error:
        return BackendReport(BROWSER, available=False, reason=str(error))
    return await browser()


def _show(report: DoctorReport, backends: tuple[BackendReport, ...]) -> None:
    console = Console()
    for backend in backends:
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
    for advice in report.advice if report.backends else ():
        console.print(f"Not covered: {advice}.", highlight=False, markup=False)
