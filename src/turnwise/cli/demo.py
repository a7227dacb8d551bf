"""``turnwise demo``: every environment at work, scored and stored, with no key, no GPU and no download."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from turnwise.agents.progress import Silent
from turnwise.cli import options
from turnwise.cli.output import console, number, percent, safe, table
from turnwise.envs import registry
from turnwise.errors import MissingExtraError, SandboxUnavailableError
from turnwise.evals.metrics import EvalReport
from turnwise.evals.run import Evaluation, Prepared, measured

AGENTS = ("oracle", "random", "null")


def demo(
    envs: Annotated[list[str] | None, typer.Argument(metavar="[ENV]...", help="Environments; default: all.")] = None,
    n: Annotated[int, typer.Option(help="Tasks of each environment.")] = 20,
    store: options.StorePath = Path("demo.sqlite"),
) -> None:
    """Let gold actions, random actions and no action at all loose on every environment.

    Gold solves its tasks and the others do not: that is how one sees that a score means something.

    Examples:
        turnwise demo

        turnwise demo sql --n 50
    """
    out = console()
    shown = table(
        "environment", "agent", ">success", "95 % interval", ">score", ">turns", ">seconds", title="turnwise demo"
    )
    last = None
    for env in envs or registry.names():
        for agent, report in _reports(env, n, store):
            if isinstance(report, EvalReport) and agent == "random":
                last = report.run
            shown.add_row(*_row(env, agent, report))
        shown.add_section()
    out.print(shown)
    if last is None:
        raise typer.Exit(1)
    _next_steps(store, last)


def _reports(env: str, n: int, store: Path) -> Iterator[tuple[str, EvalReport | str]]:
    """Yield each agent's report, or why there is none; what is missing for one is missing for all."""
    for agent in AGENTS:
        try:
            with Console(stderr=True).status(safe(f"{env} · {agent}")):
                report = _evaluate(env, agent, n, store)
        except (MissingExtraError, SandboxUnavailableError) as error:
            yield "–", str(error)
            return
        yield agent, report


def _evaluate(env: str, agent: str, n: int, store: Path) -> EvalReport:
    prepared = Prepared(Evaluation(env=env, agent=agent, n=n))
    with measured(prepared, store) as opened:
        anyio.run(prepared.collect, opened.store, opened.run, Silent())
        return opened.report()


def _row(env: str, agent: str, report: EvalReport | str) -> tuple[str, ...]:
    if isinstance(report, str):
        return (env, f"[yellow]not run: {safe(report)}[/]", "", "", "", "", "")
    if not report.scored:
        return (env, agent, "[red]every episode failed[/]", safe(str(report.failures)), "", "", "")
    success = report.success
    interval = "–" if success.low is None else f"{percent(success.low)} … {percent(success.high)}"
    score, turns = number(report.score.mean), number(report.turns.per_episode, 1)
    return (env, agent, percent(success.mean), interval, score, turns, number(report.seconds.total, 1))


def _next_steps(store: Path, run: str) -> None:
    out, file, me = console(), safe(str(store)), safe(_invoked_as())
    out.print("\nEvery episode is stored. Where to look next:")
    for what, command in (
        ("in the browser", f"{me} view --store {file}"),
        ("in the terminal", f"{me} show {safe(run)} --store {file}"),
        ("act yourself", f"{me} play sql"),
        ("a model of yours", f"{me} eval sql --model NAME --base-url http://localhost:8000/v1"),
        ("an environment of yours", "docs/authoring.md"),
    ):
        out.print(f"  [dim]{what:>24}[/]  {command}", soft_wrap=True)


def _invoked_as() -> str:
    """Return how the command was called, so that the lines shown work when they are copied."""
    called = Path(sys.argv[0])
    if called.name != "turnwise" or shutil.which("turnwise") == str(called.resolve()):
        return "turnwise"
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)
