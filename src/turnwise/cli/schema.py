"""``turnwise schema``: the JSON Schemas of the records and of every ``--json`` document."""

import json
from importlib import import_module, resources
from pathlib import Path
from typing import Annotated, Any

import typer

from turnwise.cli import options
from turnwise.errors import StoreError, UnknownNameError

SCHEMAS: dict[str, str] = {
    "trajectory": "turnwise.trajectories.records:Trajectory",
    "run": "turnwise.trajectories.runs:RunRecord",
    "credit": "turnwise.trajectories.tables:CreditRow",
    "metric": "turnwise.trajectories.tables:MetricRow",
    "export-line": "turnwise.trajectories.lines:Line",
    "task": "turnwise.tasks.base:Task",
    "snapshot": "turnwise.envs.types:Snapshot",
    "eval": "turnwise.evals.metrics:EvalReport",
    "runs": "turnwise.cli.documents:Runs",
    "show": "turnwise.cli.documents:Show",
    "evals": "turnwise.cli.documents:Evals",
    "compare": "turnwise.evals.compare:Comparison",
    "leaderboard": "turnwise.evals.leaderboard:Leaderboard",
    "runs-diff": "turnwise.evals.rundiff:RunDiff",
    "rescore": "turnwise.cli.documents:Rescored",
    "credit-result": "turnwise.cli.creditdocs:CreditDocument",
    "credit-methods": "turnwise.cli.creditdocs:Methods",
    "envs": "turnwise.cli.worlddocs:Envs",
    "envs-show": "turnwise.cli.worlddocs:EnvShown",
    "check": "turnwise.cli.worlddocs:Check",
    "tasks-list": "turnwise.cli.worlddocs:TaskSources",
    "tasks-show": "turnwise.cli.worlddocs:PanelShown",
    "tasks-prove": "turnwise.cli.worlddocs:Proof",
    "lab": "turnwise.trainers.lab.curves:LabResult",
}
"""Schema name → ``module:Model``."""


def schema(
    name: Annotated[str | None, typer.Argument(help="One schema; without it, the names are listed.")] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Write every schema into this directory.")] = None,
) -> None:
    """Print the JSON Schema of a record or of a --json document.

    Examples:
        turnwise schema

        turnwise schema trajectory > trajectory.schema.json
    """
    if out is not None:
        _write(out)
    elif name is None:
        typer.echo("\n".join(SCHEMAS))
    elif name not in SCHEMAS:
        raise UnknownNameError.of("schema", name, SCHEMAS)
    else:
        options.print_json(shipped(name))


def shipped(name: str) -> Any:
    """Return a schema as it ships in the package."""
    return json.loads(resources.files("turnwise.cli").joinpath("data", "schemas", f"{name}.json").read_text("utf-8"))


def derived(name: str) -> dict[str, Any]:
    """Derive a schema from the code; a test compares it with the one that ships."""
    module, _, attribute = SCHEMAS[name].partition(":")
    model = getattr(import_module(module), attribute)
    made: dict[str, Any] = model.model_json_schema(mode="serialization", by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _write(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in SCHEMAS:
            text = json.dumps(derived(name), indent=1, ensure_ascii=False) + "\n"
            (directory / f"{name}.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write schemas to {directory}: {error.strerror or error}") from error
