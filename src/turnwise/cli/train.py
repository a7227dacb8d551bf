"""``turnwise train``: run, explain or check a recipe."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from turnwise.errors import MissingExtraError


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Change a key: a.b=c; may be repeated.")] = None,
    output: Annotated[Path | None, typer.Option(help="The run's folder; by default OUTPUT/NAME of the recipe.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print what verl is told; run nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say whether it can work here; train nothing.")] = False,
) -> None:
    """Train an agent by a recipe.

    The folder keeps recipe, tasks, episodes, metrics, logs and checkpoints; a run that was stopped goes on with
    --resume.

    Examples:
        turnwise train recipes/cpu-demo.yaml

        turnwise train recipes/cpu-demo.yaml --set rl.credit.method=gigpo --output runs/gigpo

        turnwise train recipes/cpu-demo.yaml --check
    """
    from turnwise.trainers.recipe import load_recipe

    loaded = load_recipe(recipe, tuple(overrides or ()))
    root = output or Path(loaded.output) / loaded.name
    console = Console(stderr=True)
    if explain:
        from turnwise.trainers.launch import explained

        print("\n".join(explained(loaded, root)))
        return
    if check:
        from turnwise.trainers.preflight import check_recipe

        findings = check_recipe(loaded)
        for finding in findings:
            console.print(f"[{_STYLES[finding.verdict]}]{finding.verdict:>5}[/] {finding.about}: {finding.told}")
        raise typer.Exit(1 if any(finding.verdict == "error" for finding in findings) else 0)
    _need_extra()
    from turnwise.trainers.launch import Training

    model = Training(loaded, root, lambda line: console.print(line, highlight=False)).run(resume=resume)
    console.print(f"the trained model: {model}", highlight=False, soft_wrap=True)
    console.print(
        f"its episodes: {root / 'episodes.db'} (turnwise runs --store {root / 'episodes.db'})", soft_wrap=True
    )


_STYLES = {"ok": "green", "warn": "yellow", "error": "bold red"}


def _need_extra() -> None:
    try:
        import verl  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError.of("train", "verl") from error
