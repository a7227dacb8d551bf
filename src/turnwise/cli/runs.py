"""``turnwise runs`` and ``turnwise show``: what the store holds, down to one turn."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from turnwise.cli import options
from turnwise.cli.output import console, number, percent, safe, table
from turnwise.cli.transcript import print_transcript
from turnwise.errors import StoreError
from turnwise.evals.metrics import report
from turnwise.trajectories.records import Trajectory
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import EpisodeRow

LISTED = 50


def runs(store: options.StorePath = options.DEFAULT_STORE, *, json: options.Json = False) -> None:
    """List the runs of a store, newest last.

    Examples:
        turnwise runs

        turnwise runs --store results.sqlite --json
    """
    with Store.open(store) as opened:
        reports = [(record, report(opened, record.run)) for record in opened.runs()]
    if json:
        listed = [
            {
                "run": record.run,
                "kind": record.kind,
                "env": record.env,
                "agent": record.agent,
                "model": record.model,
                "created_at": record.created_at,
                "episodes": record.episodes,
                **{key: shown.document()[key] for key in ("n", "scored", "success", "reward", "failures")},
            }
            for record, shown in reports
        ]
        options.print_json({"schema": 1, "runs": listed})
        return
    made = table("run", "environment", "agent", ">episodes", ">success", ">reward", ">failed", "begun")
    for record, shown in reports:
        begun = time.strftime("%m-%d %H:%M", time.localtime(record.created_at)) if record.created_at else ""
        of = f"{shown.n:,}" + (f"/{record.episodes:,}" if record.episodes and record.episodes != shown.n else "")
        numbers = (of, percent(shown.success.mean), number(shown.reward.mean), str(sum(shown.failures.values()) or ""))
        who = f"{record.agent} · {record.model}" if record.model else record.agent
        names = (safe(record.run), safe(record.env), safe(who))
        made.add_row(*names, *numbers, begun)
    console().print(made)


def show(
    run: Annotated[str, typer.Argument(help="The run.")],
    episode: Annotated[
        str | None, typer.Argument(help="Beginning of an episode's id, or a task's id (task#2: its sample 2).")
    ] = None,
    *,
    store: options.StorePath = options.DEFAULT_STORE,
    attempt: Annotated[int | None, typer.Option(help="An earlier attempt of an episode that failed.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Do not cut long texts or lists.")] = False,
    json: options.Json = False,
) -> None:
    """Show a run's numbers and episodes, or one episode turn by turn.

    Examples:
        turnwise show baseline

        turnwise show baseline 3fa9 --full

        turnwise show baseline chinook-17#2
    """
    with Store.open(store) as opened:
        opened.run(run)
        if episode is None:
            _show_run(opened, run, store, full=full, json=json)
            return
        found = _find(opened, run, episode, attempt)
    if json:
        options.print_json(found.model_dump(mode="json"))
    else:
        print_transcript(found, full=full)


def _find(store: Store, run: str, wanted: str, attempt: int | None) -> Trajectory:
    task, _, sample = wanted.partition("#")
    rows = store.rows(run)
    by_task = [row for row in rows if row.task_id == task and (not sample or str(row.sample) == sample)]
    found = by_task or [row for row in rows if row.episode_id.startswith(wanted)]
    if not found:
        raise StoreError(f"run {run!r} has no episode or task {wanted!r}: 'turnwise show {run}' lists them")
    if not by_task and len(found) > 1:
        raise StoreError(f"{len(found)} episodes of run {run!r} begin with {wanted!r}; give more of the id")
    return store.episode(found[0].episode_id, attempt)


def _show_run(store: Store, run: str, path: Path, *, full: bool, json: bool) -> None:
    rows = store.rows(run)
    if json:
        listed = [_row(row) for row in rows]
        options.print_json({"schema": 1, "run": store.run(run).model_dump(mode="json"), "episodes": listed})
        return
    from turnwise.cli.evaluate import show_report

    show_report(report(store, run), path)
    made = table("episode", "task", ">sample", "ended", ">score", ">reward", ">turns", "failure")
    shown = rows if full else rows[:LISTED]
    for row in shown:
        score = "[green]1.000[/]" if row.success else number(row.score)
        first = (row.episode_id[:8], safe(row.task_id, 40), str(row.sample), row.stop_reason)
        made.add_row(*first, score, number(row.reward), str(row.n_turns), safe(row.failure or "", 60))
    console().print(made)
    if len(rows) > len(shown):
        console().print(f"[dim]{len(rows) - len(shown):,} more: --full shows all[/]")


def _row(row: EpisodeRow) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row)
