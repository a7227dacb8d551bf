"""``turnwise tasks``: panels, generators and importers from the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from turnwise.cli.options import print_json, settings
from turnwise.cli.worlddocs import PanelShown, Proof, TaskSources
from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import (
    Task,
    TaskSet,
    generator_names,
    import_tasks,
    importer_names,
    load_panel,
    make_generator,
    panel_names,
    save_tasks,
)

app = typer.Typer(help="List, show, make, import and prove tasks.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Out = Annotated[Path, typer.Option(help="The file to write: .jsonl, or .parquet with the data extra.")]
Panel = Annotated[str, typer.Argument(help="name@version, or a .jsonl or .parquet file.", metavar="PANEL")]
Split = Annotated[str | None, typer.Option(help="This split only.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the panels, generators and importers that are installed.

    Examples:
        turnwise tasks list
    """
    found = {"panels": panel_names(), "generators": generator_names(), "importers": importer_names()}
    if json:
        print_json(TaskSources(**found).dump())
        return
    table = Table(box=None, header_style="bold")
    for title in found:
        table.add_column(title)
    table.add_row(*("\n".join(names) or "none" for names in found.values()))
    Console().print(table)


@app.command()
def show(
    panel: Panel,
    task: Annotated[str | None, typer.Argument(help="Show this task whole.")] = None,
    *,
    split: Split = None,
    n: Annotated[int, typer.Option(min=0, help="How many tasks to show.")] = 5,
    gold: Annotated[bool, typer.Option("--gold", help="Show the solution too.")] = False,
    json: Json = False,
) -> None:
    """Show a panel's digest, splits and first tasks, or one task.

    Examples:
        turnwise tasks show sql/chinook@1 --split test

        turnwise tasks show tasks.jsonl quiz-7 --gold
    """
    tasks = load_panel(panel, split)
    if task is not None:
        _show_task(tasks[task], gold=gold, json=json)
        return
    splits = {name: len(tasks.split(name)) for name in tasks.splits}
    about: dict[str, Any] = {"name": tasks.name, "version": tasks.version, "digest": tasks.digest, "splits": splits}
    if json:
        shown = [_plain(each, gold=gold) for each in tasks.tasks[:n]]
        print_json(PanelShown(**about, tasks=shown).dump())
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(tasks.name)}@{escape(tasks.version)}[/]  {tasks.digest}")
    console.print("  ".join(f"{escape(name)} {count}" for name, count in splits.items()))
    for each in tasks.tasks[:n]:
        console.print(f"[cyan]{escape(each.id)}[/] {escape(' '.join(each.instruction.split()))}")


def _plain(task: Task, *, gold: bool) -> dict[str, Any]:
    shown = task.model_dump(mode="json") if gold else task.public().model_dump(mode="json")
    return {"key": task.key, **shown}


def _show_task(task: Task, *, gold: bool, json: bool) -> None:
    plain = _plain(task, gold=gold)
    if json:
        print_json({"schema": 1, **plain})
        return
    console = Console(highlight=False, soft_wrap=True)
    for field, value in plain.items():
        console.print(f"[bold]{field}[/] {escape(str(value))}")


@app.command()
def make(
    generator: Annotated[str, typer.Argument(help="A registered generator or module:Class.", metavar="GENERATOR")],
    out: Out,
    *,
    size: Annotated[list[str] | None, typer.Option(help="Tasks per split: train=300; may be repeated.")] = None,
    n: Annotated[int | None, typer.Option(help="Tasks in all, over the generator's splits.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Where the tasks come from.")] = 0,
    db: Annotated[str | None, typer.Option(help="The knob db of generators that read a database.")] = None,
    knob: Annotated[list[str] | None, typer.Option("--set", help="A knob: key=value.")] = None,
    name: Annotated[str | None, typer.Option(help="The panel's name.")] = None,
) -> None:
    """Generate tasks from a seed.

    Examples:
        turnwise tasks make sql --out mine.jsonl --size train=300 --size test=100 --seed 7 --set joins=2

        turnwise tasks make sql --db my.sqlite --n 500 --seed 1 --out mine.jsonl
    """
    if size and n:
        raise ConfigError("--size and --n exclude each other: give the tasks of each split, or of all together")
    made = make_generator(generator, **settings(knob), **({"db": db} if db is not None else {}))
    sizes = settings(size) or (_shared_out(n, made.SPLITS) if n else {"train": 100})
    for split, count in sizes.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"--size {split}={count}: a size is a number of tasks, at least 1")
    _save(made.panel(sizes, seed=seed, name=name), out)


def _shared_out(n: int, shares: dict[str, int]) -> dict[str, int]:
    """Divide n tasks over the splits by their shares; the first takes what is left."""
    total = sum(shares.values())
    sizes = {split: n * share // total for split, share in shares.items()}
    sizes[next(iter(sizes))] += n - sum(sizes.values())
    return {split: size for split, size in sizes.items() if size}


@app.command("import")
def import_(
    importer: Annotated[str, typer.Argument(help="A registered importer or module:function.", metavar="IMPORTER")],
    path: Annotated[Path, typer.Argument(help="The file or directory to import.")],
    out: Out,
    *,
    option: Annotated[list[str] | None, typer.Option("--set", help="The importer's option: key=value.")] = None,
) -> None:
    """Turn a public data set's own files into a task file.

    Examples:
        turnwise tasks import spider ~/spider --out spider.jsonl --set split=dev
    """
    _save(import_tasks(importer, path, **settings(option)), out)


@app.command()
def prove(
    panel: Panel,
    *,
    split: Split = None,
    config: Annotated[list[str] | None, typer.Option("--set", help="Setting of the environment: key=value.")] = None,
    json: Json = False,
) -> None:
    """Run every gold solution; exit code 1 if one does not reach success.

    Examples:
        turnwise tasks prove mine.jsonl --split test
    """
    import anyio

    from turnwise.envs import make as make_env
    from turnwise.envs.prove import prove as run_proof

    tasks = load_panel(panel, split)
    names = sorted({task.env for task in tasks})
    if len(names) != 1:
        raise TaskError(f"panel {panel!r} holds tasks of several environments ({', '.join(names)}); filter it first")
    report = anyio.run(run_proof, lambda: make_env(names[0], **settings(config)), tasks)
    if json:
        print_json(Proof(ok=report.ok, **report.model_dump()).dump())
    else:
        typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


def _save(tasks: TaskSet, out: Path) -> None:
    save_tasks(tasks, out)
    counts = ", ".join(f"{len(tasks.split(name))} {name}" for name in tasks.splits)
    typer.echo(f"{out}: {counts}; digest {tasks.digest}", err=True)
