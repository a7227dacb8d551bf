"""``turnwise credit``: who deserves what, from a file of rows or from stored episodes."""

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from turnwise.cli import options
from turnwise.cli.options import print_json
from turnwise.errors import CreditError

if TYPE_CHECKING:
    from turnwise.trainers.credit import Credit, CreditBatch, Pipeline
    from turnwise.trainers.credit.recredit import Recredited


def credit(
    run: Annotated[str | None, typer.Argument(help="A stored run.")] = None,
    *,
    store: options.StorePath = options.DEFAULT_STORE,
    methods: Annotated[bool, typer.Option("--methods", help="List methods, parameters and required fields.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of --input's rows.")] = False,
    source: Annotated[Path | None, typer.Option("--input", help="JSONL file of rows or of exported episodes.")] = None,
    method: Annotated[str, typer.Option(help="A method's name, or module:Class.")] = "turn_rloo",
    params: Annotated[str | None, typer.Option(help="The method's parameters, a JSON object.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="A whole pipeline, a JSON object; instead of --method.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights of reward components, a JSON object.")] = None,
    vs: Annotated[str | None, typer.Option(help="Another method to compare with.")] = None,
    vs_params: Annotated[str | None, typer.Option(help="Its parameters, a JSON object.")] = None,
    save: Annotated[bool, typer.Option(help="Add the results to the store, beside the episodes.")] = True,
    limit: Annotated[int, typer.Option(min=0, help="Turns to show, the largest differences first.")] = 20,
    json: options.Json = False,
) -> None:
    """Assign credit to every turn, without a model.

    Examples:
        turnwise credit --methods

        turnwise credit --input rows.jsonl --method gigpo --params '{"mode": "mean_std_norm"}' --json

        turnwise credit first --method gigpo --vs grpo
    """
    if methods:
        _methods(json)
        return
    if schema:
        from turnwise.trainers.credit.rows import schema as of_rows

        print_json(of_rows())
        return
    if (run is None) == (source is None):
        raise CreditError("give either a run or --input FILE.jsonl; --methods lists the methods")
    named = {method if pipeline is None else "pipeline": _pipeline(method, params, pipeline, weights)}
    pairs = [*named.items(), *([(vs, _pipeline(vs, vs_params, None, weights))] if vs is not None else [])]
    job = _Job(labels=[name for name, _ in pairs], pipelines=[made for _, made in pairs], limit=limit, json=json)
    _from_file(source, job) if source is not None else _from_store(store, str(run), job, save=save)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What to compute and how to show it; the second pipeline is compared with the first."""

    labels: list[str]
    pipelines: "list[Pipeline]"
    limit: int
    json: bool


def _object(text: str | None, option: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = jsonlib.loads(text)
    except ValueError as error:
        raise CreditError(f"{option} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CreditError(f"{option} must be a JSON object, got {text!r}")
    return value


def _pipeline(method: str, params: str | None, pipeline: str | None, weights: str | None) -> "Pipeline":
    from turnwise.trainers.credit import Pipeline
    from turnwise.trainers.credit.pipeline import single

    config = _object(pipeline, "--pipeline") if pipeline is not None else single(method, _object(params, "--params"))
    if pipeline is not None and params is not None:
        raise CreditError("--params belongs to --method; a pipeline's stages carry their own")
    if weights is not None:
        config["reward_weights"] = _object(weights, "--weights")
    return Pipeline.of(config)


def _methods(json: bool) -> None:
    from turnwise.trainers.credit import FIELDS, describe

    listed = describe.methods()
    if json:
        fields = {name: {"level": field.level, "doc": field.doc} for name, field in FIELDS.items()}
        print_json({"schema": 1, "methods": listed, "fields": fields})
        return
    table = Table("method", "level", "needs", "parameters", box=None, header_style="bold")
    for row in listed:
        settings = ", ".join(f"{p['name']}={jsonlib.dumps(p.get('default', '?'))}" for p in row["parameters"])
        table.add_row(row["name"], row["level"], ", ".join(row["required_fields"]), settings)
    Console().print(table)


def _from_file(source: Path, job: _Job) -> None:
    from turnwise.trainers.credit import CreditBatch
    from turnwise.trainers.credit.rows import read_jsonl, unequal_outcomes

    batch = CreditBatch.from_rows(read_jsonl(source))
    differing = unequal_outcomes(batch)
    if differing:
        said = f"note: in {differing} of {len(batch)} trajectories the turn rewards do not add up to the outcome"
        typer.echo(f"{said}; turn- and token-level methods read the turn rewards", err=True)
    _show(batch, [pipeline.run(batch) for pipeline in job.pipelines], job)


def _from_store(path: Path, run: str, job: _Job, *, save: bool) -> None:
    from turnwise.trainers.credit.recredit import recredit
    from turnwise.trajectories import Store

    with Store.open(path) as store:
        store.run(run)
        episodes = list(store.episodes(run))
    done = recredit(episodes, job.pipelines)
    if save:
        _save(path, done, job)
    _show(done.batch, list(done.credits), job, lacking=done.lacking)


def _save(path: Path, done: "Recredited", job: _Job) -> None:
    from turnwise.trainers.credit import describe
    from turnwise.trainers.credit.recredit import per_episode
    from turnwise.trajectories import CreditRow, Store

    rows = [
        CreditRow(
            run=trajectory.run,
            episode_id=trajectory.episode_id,
            attempt=trajectory.attempt,
            method=label,
            params=describe.plain(pipeline),
            **numbers,
        )
        for label, pipeline, result in zip(job.labels, job.pipelines, done.credits, strict=True)
        for trajectory, numbers in zip(done.trajectories, per_episode(done.batch, result), strict=True)
    ]
    with Store.open(path, "a") as store:
        store.put_credit(rows)


def _show(
    batch: "CreditBatch", results: "list[Credit]", job: _Job, *, lacking: tuple[tuple[str, str], ...] = ()
) -> None:
    from turnwise.trainers.credit import describe
    from turnwise.trainers.credit.recredit import compare, summary

    difference = compare(batch, *results) if len(results) == 2 else None
    if job.json:
        left_out = [{"episode": episode, "why": why} for episode, why in lacking]
        document = {"schema": 1, "method": job.labels[0]} | describe.result(batch, results[0])
        if difference is not None:
            document |= {"vs": {"method": job.labels[1]} | describe.result(batch, results[1])}
            document |= {"difference": difference}
        print_json(document | ({"lacking": left_out} if left_out else {}))
        return
    console = Console()
    console.print(_summary_table(job.labels, [summary(batch, result) for result in results]))
    console.print(_turn_table(batch, results, job.labels, job.limit))
    for episode, why in lacking:
        console.print(f"left out: {episode}: {why}", style="yellow", markup=False, highlight=False)
    if difference is not None:
        correlation = difference["correlation"]
        said = "no correlation (one is constant)" if correlation is None else f"correlation {correlation:.3f}"
        console.print(f"{said}, sign differs on {difference['sign_differs']:.1%} of turns", highlight=False)


def _summary_table(labels: list[str], rows: list[dict[str, Any]]) -> Table:
    table = Table(
        "method", "trajectories", "groups", "turns", "mean", "std", "positive", "zero", box=None, header_style="bold"
    )
    for label, row in zip(labels, rows, strict=False):
        numbers = [f"{row['mean']:.4f}", f"{row['std']:.4f}", f"{row['positive']:.1%}", f"{row['zero']:.1%}"]
        table.add_row(label, str(row["trajectories"]), str(row["groups"]), str(row["turns"]), *numbers)
    return table


def _turn_table(batch: "CreditBatch", results: "list[Credit]", labels: list[str], limit: int) -> Table:
    import numpy as np

    shown = [result.advantages for result in results]
    size = np.abs(shown[0] - shown[1]) if len(shown) > 1 else np.abs(shown[0])
    heads = [label for label, _ in zip(labels, results, strict=False)]
    table = Table("trajectory", "turn", "reward", *heads, box=None, header_style="bold")
    for k in np.argsort(-size, kind="stable")[:limit]:
        numbers = [f"{values[k]:+.4f}" for values in shown]
        uid = batch.uid(int(batch.traj_of_turn[k]))
        table.add_row(uid, str(batch.turn_index[k]), f"{batch.reward[k]:.4f}", *numbers)
    return table
