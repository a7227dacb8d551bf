"""Checks of determinism: the same again, in other processes, from snapshots and in forks."""

import os
import sys
from typing import Any

import anyio

from turnwise.envs.check.episodes import Moment, Subject, begin, play, walks
from turnwise.envs.check.report import CheckFailed, CheckSkipped
from turnwise.envs.check.worker import describe, moments
from turnwise.envs.fork import fork
from turnwise.envs.types import Action, Snapshot
from turnwise.errors import EnvError
from turnwise.tasks.base import Task

_WORKER_S = 120


def same(expected: list[Moment], got: list[Moment], where: str) -> None:
    """Compare two courses of an episode."""
    for turn, (one, other) in enumerate(zip(expected, got, strict=False)):
        if difference := one.difference(other):
            raise CheckFailed(f"{where}, turn {turn}: {difference}")
    if len(expected) != len(got):
        raise CheckFailed(f"{where}: {len(expected)} turns against {len(got)}")


async def resets_alike(subject: Subject) -> None:
    """The same task, seed and actions give the same again, in the same instance; the instruction is shown."""
    async with subject.env() as env:
        for task in subject.tasks:
            for walk in await walks(env, task, subject):
                courses = []
                for _ in range(2):
                    first = await begin(env, task, subject.seed)
                    tools = env.tools
                    courses.append([first, *await play(env, walk)])
                    if env.tools != tools:
                        raise CheckFailed(f"task {task.id!r}: the tools changed during the episode")
                same(courses[0], courses[1], f"task {task.id!r}, played twice")


async def instruction_shown(subject: Subject) -> None:
    """The first observation is the whole first user message: it contains the task's instruction."""
    async with subject.env() as env:
        for task in subject.tasks:
            observation, _ = await env.reset(task, seed=subject.seed)
            if " ".join(task.instruction.split()) not in " ".join(observation.text.split()):
                raise CheckFailed(f"task {task.id!r}: the first observation does not contain its instruction")


async def deterministic_across_processes(subject: Subject) -> None:
    """Two processes with different PYTHONHASHSEED see the same tools, observations, rewards and state keys."""
    if subject.target is None:
        raise CheckSkipped("another process cannot import this class; put it at the top level of a module")
    here = await moments(subject)
    found: dict[str, Any] = {}

    async def ask(hash_seed: str) -> None:
        found[hash_seed] = await _elsewhere(subject, hash_seed)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "1")
        group.start_soon(ask, "2")
    for hash_seed in ("1", "2"):
        _compare_processes(here, found[hash_seed], hash_seed)


async def _elsewhere(subject: Subject, hash_seed: str) -> Any:
    import json

    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    command = [sys.executable, "-m", "turnwise.envs.check.worker"]
    with anyio.fail_after(_WORKER_S):
        done = await anyio.run_process(command, input=describe(subject).encode(), env=environment, check=False)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise CheckFailed(f"a second process could not play the episodes: {' '.join(last)}")
    return json.loads(done.stdout)


def _compare_processes(here: list[Any], there: list[Any], hash_seed: str) -> None:
    where = f"with PYTHONHASHSEED={hash_seed}"
    if len(here) != len(there):
        raise CheckFailed(f"{where}: {len(there)} episodes instead of {len(here)}")
    for mine, theirs in zip(here, there, strict=True):
        for what in ("tools", "actions"):
            if mine[what] != theirs[what]:
                raise CheckFailed(f"{where}: the {what} differ")
        same([Moment(*m) for m in mine["moments"]], [Moment(*m) for m in theirs["moments"]], where)


async def snapshot_continues(subject: Subject) -> None:
    """A snapshot of every turn, sent through JSON into a fresh instance, continues identically."""
    async with subject.env() as env:
        for task in subject.tasks:
            for walk in await walks(env, task, subject):
                snapshots, course = await _course(subject, task, walk)
                for turn, snapshot in enumerate(snapshots):
                    got = await _continued(subject, task, snapshot, walk[turn:])
                    same(course[turn + 1 :], got, f"task {task.id!r}, restored after turn {turn}")


async def _course(subject: Subject, task: Task, walk: list[Action]) -> tuple[list[str], list[Moment]]:
    async with subject.env() as env:
        course = [await begin(env, task, subject.seed)]
        snapshots = []
        for action in walk:
            snapshots.append((await env.snapshot()).model_dump_json())
            course.append(Moment.of(await env.step(action)))
            if course[-1].over:
                break
        return snapshots, course


async def _continued(subject: Subject, task: Task, snapshot: str, walk: list[Action]) -> list[Moment]:
    async with subject.env() as env:
        await env.restore(Snapshot.model_validate_json(snapshot), task)
        return await play(env, walk)


async def foreign_snapshots_refused(subject: Subject) -> None:
    """A snapshot of another environment, version, configuration or task raises EnvError."""
    task = subject.tasks[0]
    async with subject.env() as env:
        await env.reset(task, seed=subject.seed)
        snapshot = await env.snapshot()
        for field in ("env", "version", "config_digest", "task_key"):
            try:
                await env.restore(snapshot.model_copy(update={field: "another"}), task)
            except EnvError:
                continue
            raise CheckFailed(f"a snapshot whose {field} is another was restored")


async def forks_independent(subject: Subject) -> None:
    """What is done in one fork, closing it included, changes nothing in another."""
    for task in subject.tasks:
        async with subject.env() as env:
            walk = (await walks(env, task, subject))[-1]
            half = len(walk) // 2
            await env.reset(task, seed=subject.seed)
            await play(env, walk[:half])
            snapshot = await env.snapshot()
            expected = await play(env, walk[half:])
        async with fork(subject.make, task, snapshot, 3) as (one, two, three):
            key = await two.state_key()
            same(expected, await play(one, walk[half:]), f"task {task.id!r}, first fork")
            await one.close()
            if await two.state_key() != key:
                raise CheckFailed(f"task {task.id!r}: acting in one fork changed the state of another")
            await play(two, walk[:1])
            same(expected, await play(three, walk[half:]), f"task {task.id!r}, third fork")
