"""``turnwise play``: a person acts, turn by turn."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, Queue
from typing import Annotated

import anyio.to_thread
import typer
from anyio.from_thread import start_blocking_portal

from turnwise.agents.base import Conversation
from turnwise.agents.human import Human
from turnwise.agents.limits import Limits
from turnwise.agents.rollout import Place, rollout
from turnwise.cli import options
from turnwise.cli.output import console, number, safe
from turnwise.envs import registry
from turnwise.envs.base import Env
from turnwise.envs.types import Status, ToolSpec
from turnwise.errors import ConfigError
from turnwise.evals.run import select
from turnwise.tasks import plugins
from turnwise.tasks.base import Task, TaskSet
from turnwise.trajectories.records import Trajectory
from turnwise.trajectories.store import Store

Question = tuple[Conversation, Sequence[ToolSpec]]


def play(
    env: options.EnvName,
    *,
    task: Annotated[str | None, typer.Option(help="Task id; default: drawn by the seed.")] = None,
    panel: options.Panel = None,
    split: Annotated[str, typer.Option(help="Split of the panel.")] = "test",
    seed: Annotated[int, typer.Option(help="Of the draw and the environment.")] = 0,
    turns: Annotated[int, typer.Option(help="Turns until the episode is cut off.")] = 30,
    env_set: options.EnvSettings = None,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="Also record the episode here.")] = None,
    web: Annotated[bool, typer.Option("--web", help="Play in a browser, where the environment has a page.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0: any free one.")] = 0,
) -> None:
    """Act yourself: write tool[argument] or tool[{"name": "value"}]; an empty line or Ctrl-D gives up.

    Examples:
        turnwise play sql

        turnwise play sql --task chinook-17 --store mine.sqlite

        turnwise play webshop --web
    """
    made = registry.make(env, **options.settings(env_set))
    tasks = select(made, env, panel, split)
    if web:
        _serve(made, tasks.filter(lambda one: one.id == tasks[task].id) if task else tasks, seed, port, store)
        return
    chosen = tasks[task] if task else tasks.sample(1, seed).tasks[0]
    opened = Store.open(store, "a") if store else None
    try:
        episode = _played(made, chosen, seed, Limits(turns=turns))
        if opened:
            opened.append([episode])
    finally:
        if opened:
            opened.close()
    _verdict(episode)


def _serve(env: Env, tasks: TaskSet, seed: int, port: int, store: Path | None) -> None:
    if env.web is None:
        raise ConfigError(f"environment {env.name!r} has no web page; play it without --web")
    if store is not None:
        raise ConfigError("--store records what is played in the terminal; leave out --web, or --store")

    def ready(address: str) -> None:
        console().print(f"Open [bold]{safe(address)}[/] in a browser; Ctrl-C ends it.")

    plugins.load(env.web, kind="web page")(tasks, config=env.config, seed=seed, port=port, ready=ready)


def _played(env: Env, task: Task, seed: int, limits: Limits) -> Trajectory:
    """Run the episode in a thread of its own, so that Ctrl-C and input stay with this one."""
    questions: Queue[Question] = Queue()
    answers: Queue[str | None] = Queue()

    async def ask(conversation: Conversation, tools: Sequence[ToolSpec]) -> str | None:
        questions.put((conversation, tools))
        return await anyio.to_thread.run_sync(answers.get)

    async def episode() -> Trajectory:
        async with env:
            place = Place(run=f"play-{time.strftime('%Y%m%d-%H%M%S')}")
            return await rollout(env, Human(ask), task, seed, limits, place=place)

    with start_blocking_portal() as portal:
        future = portal.start_task_soon(episode)
        try:
            _converse(future, questions, answers.put)
        finally:
            answers.put(None)
        return future.result()


def _converse(future: "Future[Trajectory]", questions: "Queue[Question]", answer: Callable[[str | None], None]) -> None:
    shown = False
    while not future.done():
        try:
            conversation, tools = questions.get(timeout=0.05)
        except Empty:
            continue
        if not shown:
            _opening(conversation, tools)
            shown = True
        _last(conversation)
        answer(_read())


def _read() -> str | None:
    try:
        return input("> ").strip() or None
    except EOFError:
        return None


def _opening(conversation: Conversation, tools: Sequence[ToolSpec]) -> None:
    out = console()
    out.print(f"[blue]{safe(conversation.first.text)}[/]\n")
    for spec in tools:
        properties = spec.parameters.get("properties")
        names = ", ".join(properties) if isinstance(properties, dict) else ""
        summary = spec.description.split("\n")[0]
        out.print(f"  [bold]{safe(spec.name)}[/]\\[{safe(names)}]  [dim]{safe(summary, 90)}[/]")
    out.print()


def _last(conversation: Conversation) -> None:
    if conversation.turns:
        answer = conversation.turns[-1].observation
        wrong = any(result.status is Status.INVALID for result in answer.results)
        console().print(f"[{'red' if wrong else 'green'}]{safe(answer.text)}[/]")


def _verdict(episode: Trajectory) -> None:
    out = console()
    if episode.failure:
        out.print(f"[red]the environment failed[/]: {safe(episode.failure.message)}")
        return
    if episode.turns:
        out.print(safe(episode.turns[-1].observation.text))
    verdict = "[bold green]success[/]" if episode.success else "no success"
    out.print(
        f"{verdict} · {episode.stop_reason.value} · score {number(episode.score)} · reward {number(episode.reward)}"
    )
