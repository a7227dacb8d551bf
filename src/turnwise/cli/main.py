"""The ``turnwise`` command: its groups, and the one place where an error becomes a line and an exit code."""

import importlib
import os
import sys

import typer
from rich.console import Console

from turnwise.errors import TurnwiseError

COMMANDS: dict[str, str] = {
    "demo": "turnwise.cli.demo:demo",
    "envs": "turnwise.cli.envs:envs",
    "eval": "turnwise.cli.evaluate:evaluate",
    "show": "turnwise.cli.runs:show",
    "report": "turnwise.cli.comparing:report",
    "compare": "turnwise.cli.comparing:compare",
    "leaderboard": "turnwise.cli.comparing:leaderboard",
    "rescore": "turnwise.cli.rescoring:rescore",
    "view": "turnwise.cli.view:view",
    "play": "turnwise.cli.play:play",
    "check": "turnwise.cli.check:check",
    "export": "turnwise.cli.transfer:export",
    "import": "turnwise.cli.transfer:import_",
    "schema": "turnwise.cli.schema:schema",
    "train": "turnwise.cli.train:train",
    "credit": "turnwise.cli.credit:credit",
    "doctor": "turnwise.cli.doctor:doctor",
    "lab": "turnwise.cli.lab:lab",
}
"""Command name → ``module:function`` of a plain command, in the order ``--help`` shows them."""

GROUPS: dict[str, str] = {
    "runs": "turnwise.cli.rundiff:app",
    "tasks": "turnwise.cli.tasks:app",
    "search": "turnwise.cli.search:app",
}
"""Group name → ``module:app`` of a typer app with sub-commands."""


def _load(target: str) -> object:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def build() -> typer.Typer:
    """Assemble the command from its parts; a part must not import anything heavy at its top."""
    app = typer.Typer(
        name="turnwise",
        help="A gym for LLM agents that gives every turn its credit.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    for name, target in COMMANDS.items():
        app.command(name)(_load(target))  # type: ignore[type-var]
    for name, target in GROUPS.items():
        group = _load(target)
        assert isinstance(group, typer.Typer), f"{target} is no typer app"
        app.add_typer(group, name=name)
    return app


def run() -> None:
    """Run the command; an expected error is one line on stderr and exit code 1, never a traceback."""
    # So that module:Class finds a file in the present directory; last, so that it shadows nothing.
    sys.path.append(os.getcwd())
    try:
        build()()
    except TurnwiseError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def fail(message: str) -> None:
    """Print one line on stderr and exit with 1."""
    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error[/]: {_escaped(line)}", highlight=False)
    raise SystemExit(1)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
