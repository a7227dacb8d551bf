"""``turnwise runs`` lists, ``turnwise runs diff`` says what differed between two."""

import json as plain
from typing import Annotated

import typer

from turnwise.cli import options
from turnwise.cli.output import console, safe, table
from turnwise.cli.runs import runs as list_runs

app = typer.Typer(help="List the runs of a store, or say what differed between two.", invoke_without_command=True)

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run, or STORE:RUN.")]


@app.callback()
def runs(
    context: typer.Context, store: options.StorePath = options.DEFAULT_STORE, *, json: options.Json = False
) -> None:
    """List the runs of a store, newest last; or, with ``diff``, say what differed between two.

    Examples:
        turnwise runs

        turnwise runs --store results.sqlite --json

        turnwise runs diff before after
    """
    if context.invoked_subcommand is None:
        list_runs(store, json=json)


@app.command()
def diff(a: Run, b: Run, *, store: options.StorePath = options.DEFAULT_STORE, json: options.Json = False) -> None:
    """Say what differed between two runs: settings, packages, machine.

    Examples:
        turnwise runs diff before after

        turnwise runs diff mine.sqlite:run1 theirs.sqlite:run7 --json
    """
    from turnwise.evals.data import locate
    from turnwise.evals.rundiff import run_diff
    from turnwise.trajectories.store import Store

    records = []
    for path, run in locate([a, b], store):
        with Store.open(path) as opened:
            records.append(opened.run(run))
    found = run_diff(*records)
    if json:
        options.print_json(found.document())
        return
    if not found.differences:
        console().print("Nothing that was written down differs.")
        return
    made = table("", "what", safe(found.a, 40), safe(found.b, 40))
    for one in found.differences:
        made.add_row(one.kind, safe(one.field, 60), _shown(one.a), _shown(one.b))
    console().print(made)


def _shown(value: object) -> str:
    return "–" if value is None else safe(value if isinstance(value, str) else plain.dumps(value), 80)
