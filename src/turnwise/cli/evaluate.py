"""``turnwise eval``: agents act in an environment; the episodes are stored, the numbers shown."""

import shlex
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from turnwise.agents.progress import Bar, Progress, Silent
from turnwise.cli import options
from turnwise.cli.output import console, number, percent, safe, table
from turnwise.cli.serving import endpoint_of, guarded, serving_of, shown
from turnwise.errors import ConfigError
from turnwise.evals.metrics import Estimate, EvalReport
from turnwise.evals.run import Evaluation, Prepared, measured
from turnwise.evals.statistics import caveats
from turnwise.evals.stopping import Budget
from turnwise.models.serve import Server


def evaluate(
    env: options.EnvName,
    *,
    agent: Annotated[
        str | None, typer.Option(help="Who acts: chat, oracle, random, null, replay, or module:Class.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model of the chat agent; repeatable: a run for each, then a comparison.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint of the chat agent.")] = None,
    serve: options.Serve = None,
    serve_set: options.ServeSettings = None,
    serve_python: options.ServePython = None,
    serve_wait: options.ServeWait = 3600.0,
    agent_set: Annotated[
        list[str] | None, typer.Option("--agent-set", metavar="KEY=VALUE", help="Setting of the agent; repeatable.")
    ] = None,
    env_set: options.EnvSettings = None,
    wrap: options.Wrappers = None,
    panel: options.Panel = None,
    split: Annotated[str, typer.Option(help="Split of the panel.")] = "test",
    n: Annotated[int | None, typer.Option(help="Tasks to draw from the split; default: all.")] = None,
    samples: Annotated[int, typer.Option(help="Episodes of each task.")] = 1,
    concurrency: Annotated[int, typer.Option(help="Episodes under way at once.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the draw, the environments and the agents.")] = 0,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="turns, calls, tokens, context, wall_s or cost; repeatable."),
    ] = None,
    retries: Annotated[int, typer.Option(help="Further attempts of an episode that failed.")] = 2,
    store: options.StorePath = options.DEFAULT_STORE,
    run: Annotated[str | None, typer.Option(help="Name of the run; default: made up.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run: --run, or the newest alike.")] = False,
    until: Annotated[
        str | None, typer.Option(metavar="ci<X", help="Stop once success is known to ±X, by an anytime-valid interval.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Begin no episode once the run has cost so many dollars.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="The same for tokens.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="The same for seconds.")] = None,
    replay: Annotated[str | None, typer.Option(metavar="RUN", help="Run that the agent replay plays again.")] = None,
    json: options.Json = False,
) -> None:
    """Let an agent act on a panel of tasks, store every episode, and show what it reached.

    Examples:
        turnwise eval sql --agent oracle --n 20

        turnwise eval sql --model qwen3-8b --base-url http://localhost:8000/v1 --samples 4

        turnwise eval sql --agent null --run baseline --resume --json

        turnwise eval sql --model small --model large --base-url http://localhost:8000/v1 --until 'ci<0.05' --max-cost 5

        turnwise eval sql --serve runs/demo/model --serve-set max-model-len=4096
    """
    serving = serving_of(
        serve,
        names=model or [],
        settings=serve_set,
        python=serve_python,
        wait_s=serve_wait,
        store=store,
        others={"base-url": base_url, "agent": None if agent == "chat" else agent},
    )
    wanted = Evaluation(
        env=env,
        agent="chat" if serving else _agent(agent, model),
        agent_settings=_agent_settings(agent_set, base_url) | (endpoint_of(serving) if serving else {}),
        env_settings=options.settings(env_set),
        wrappers=tuple(wrap or ()),
        panel=panel,
        split=split,
        n=n,
        samples=samples,
        concurrency=concurrency,
        seed=seed,
        limits=options.settings(limit),
        retries=retries,
        run=run,
        resume=resume,
        until=until,
        budget=Budget(cost=max_cost, tokens=max_tokens, seconds=max_seconds),
        replay=replay,
    )
    # All are checked before the first begins.
    prepared = [Prepared(one) for one in _each_model(wanted, [] if serving else model or [])]
    several = wanted.run if len(prepared) > 1 else ""
    with shown(serving, quiet=json) if serving else nullcontext() as server:
        reports = [_run(one, store, quiet=json, several=several, server=server) for one in prepared]
    if json:
        documents = [report.document() for report in reports]
        options.print_json(documents[0] if len(documents) == 1 else {"schema": 1, "evals": documents})
    else:
        _show(reports, store)
    for report in reports:
        _require_scored(report, store)


def _each_model(wanted: Evaluation, models: list[str]) -> list[Evaluation]:
    """Return the evaluation of each model; the runs of several carry the models' names."""
    if not models:
        return [wanted]
    repeated = next((name for name in models if models.count(name) > 1), None)
    if repeated:
        raise ConfigError(f"--model {repeated!r} is named twice: compare its own samples by --samples")
    named = wanted.run if len(models) == 1 else None
    return [
        replace(
            wanted,
            agent_settings=wanted.agent_settings | {"model": name},
            run=named or (f"{wanted.run}-{name}" if wanted.run else None),
        )
        for name in models
    ]


def _show(reports: list[EvalReport], store: Path) -> None:
    for report in reports:
        show_report(report, store)
    if len(reports) > 1:
        from turnwise.cli.comparing import show_leaderboard
        from turnwise.evals.data import load_all
        from turnwise.evals.leaderboard import leaderboard

        show_leaderboard(leaderboard(reports[0].env, load_all([report.run for report in reports], store)))


def _require_scored(report: EvalReport, store: Path) -> None:
    if report.n and not report.scored:
        failures = ", ".join(f"{count} {kind}" for kind, count in report.failures.items())
        raise ConfigError(f"no episode was scored ({failures}): see 'turnwise show {report.run} --store {store}'")


def _agent(agent: str | None, model: list[str] | None) -> str:
    if agent is None and not model:
        raise ConfigError(
            "say who acts: --model NAME or --serve NAME for a chat model, or --agent oracle|random|null|replay"
        )
    return agent or "chat"


def _agent_settings(pairs: list[str] | None, base_url: str | None) -> dict[str, Any]:
    return options.settings(pairs) | ({} if base_url is None else {"base_url": base_url})


def _run(
    prepared: Prepared, store: Path, *, quiet: bool, several: str | None = "", server: Server | None = None
) -> EvalReport:
    """Run one evaluation; ``several`` is the name that the runs of several models share, "" where there is one."""
    progress: Progress = Silent() if quiet else Bar(safe(f"{prepared.env.name} · {prepared.agent.name}"))
    with measured(prepared, store) as opened:
        try:
            work = partial(prepared.collect, opened.store, opened.run, progress)
            collected = anyio.run(guarded, work, server)
        except KeyboardInterrupt:
            _interrupted(opened.run if several == "" else several, opened.store.count(opened.run), store)
        if collected.stopped:
            typer.echo(f"stopped: {collected.stopped}", err=True)
        return opened.report()


def _interrupted(run: str | None, stored: int, store: Path) -> None:
    again = f"go on with the same command and --run {shlex.quote(run or '')} --store {shlex.quote(str(store))} --resume"
    if run is None:
        again = "go on with --resume, one --model at a time; name the runs by --run to resume all at once"
    typer.echo(f"stopped: {stored} episodes are stored; {again}", err=True)
    raise SystemExit(130)


def show_report(report: EvalReport, store: Path) -> None:
    """Print a run's numbers as a table, and where to look next."""
    out = console()
    shown = table("", ">mean", "95 % interval", title=safe(f"{report.env} · {report.run}"))
    for name, estimate, style in (
        ("success", report.success, percent),
        ("score", report.score, number),
        ("reward", report.reward, number),
    ):
        shown.add_row(name, style(estimate.mean), _interval(estimate, style))
    out.print(shown)
    for label, text in _lines(report):
        out.print(f"[dim]{label:>14}[/]  {text}")
    for text in _caveats(report):
        out.print(f"[yellow]{'note':>14}[/]  {text}")
    out.print(f"\n[dim]episodes:[/] turnwise show {safe(report.run)} --store {safe(str(store))}")


def _caveats(report: EvalReport) -> list[str]:
    """Say where the intervals above hold less than they say."""
    samples = max(map(int, report.pass_at_k), default=1)
    return caveats(round(report.scored / samples), samples, report.success.mean) if report.scored else []


def _interval(estimate: Estimate, style: Any) -> str:
    return "–" if estimate.low is None else f"{style(estimate.low)} … {style(estimate.high)}"


def _lines(report: EvalReport) -> list[tuple[str, str]]:
    per = f"{report.scored:,} scored of {report.n:,}"
    largest = max(report.pass_at_k, key=int, default=None)
    lines = [("episodes", per)]
    if largest and largest != "1":
        at, hat = report.pass_at_k[largest], report.pass_hat_k[largest]
        lines.append((f"k = {largest}", f"pass@k {percent(at)} · pass^k {percent(hat)}"))
    tokens = f"{report.tokens.prompt:,} prompt + {report.tokens.completion:,} sampled"
    lines += [
        ("turns", f"{number(report.turns.per_episode, 1)} an episode · {percent(report.invalid.rate)} invalid"),
        ("tokens", tokens if report.tokens.prompt else "–"),
        ("cost", "–" if report.cost.total is None else f"${report.cost.total:,.4f}"),
        ("seconds", f"{number(report.seconds.per_episode, 2)} an episode"),
        ("ended by", _counts(report.stop_reasons)),
    ]
    return lines + ([("failed", f"[red]{_counts(report.failures)}[/]")] if report.failures else [])


def _counts(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return " · ".join(f"{safe(name)} {count:,}" for name, count in ordered) or "–"
