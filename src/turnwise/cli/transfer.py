"""``turnwise export`` and ``turnwise import``: episodes out of a store and into one."""

from pathlib import Path
from typing import Annotated

import typer

from turnwise.cli import options
from turnwise.trajectories.store import Store


def export(
    run: Annotated[str, typer.Argument(help="The run; 'all' for the whole store.")],
    out: Annotated[Path, typer.Argument(help="File to write: .jsonl or .parquet; no suffix: a datasets directory.")],
    *,
    store: options.StorePath = options.DEFAULT_STORE,
    attempts: Annotated[bool, typer.Option("--attempts", help="Also failed attempts that were tried again.")] = False,
) -> None:
    """Write a run's episodes to a file.

    Examples:
        turnwise export baseline baseline.jsonl

        turnwise export all everything.parquet --store results.sqlite
    """
    from turnwise.trajectories.export import export as write

    with Store.open(store) as opened:
        count = write(opened, None if run == "all" else run, out, attempts=attempts)
    typer.echo(f"{count:,} episodes written to {out}")


def import_(
    file: Annotated[Path, typer.Argument(help="A .jsonl file that 'turnwise export' wrote.")],
    *,
    store: options.StorePath = options.DEFAULT_STORE,
) -> None:
    """Add the episodes of an exported file to a store; what it has already stays as it is.

    Examples:
        turnwise import baseline.jsonl --store results.sqlite
    """
    from turnwise.trajectories.export import check_file, import_file

    check_file(file)
    with Store.open(store, "a") as opened:
        before = opened.count()
        counts = import_file(opened, file)
        added = opened.count() - before
    typer.echo(f"{added:,} of {counts.get('Trajectory', 0):,} episodes added to {store}")
