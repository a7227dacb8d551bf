"""Checks of the grader: gold solves and stays hidden, doing nothing or anything earns little, rewards add up."""

import math
from statistics import fmean

from turnwise.envs.check.episodes import Moment, Subject, begin, outcome, play, walks
from turnwise.envs.check.report import CheckFailed, CheckSkipped
from turnwise.envs.prove import prove
from turnwise.envs.types import StepResult
from turnwise.tasks.base import Task


async def gold_solves(subject: Subject) -> None:
    """The gold solution of every task reaches success."""
    report = await prove(subject.make, subject.pool, seed=subject.seed)
    if report.unsolved and all(entry.reason == "no_gold" for entry in report.unsolved) and not report.solved:
        raise CheckSkipped("the tasks have no gold solution to run")
    if not report.ok:
        first = report.unsolved[0]
        raise CheckFailed(f"{len(report.unsolved)} of {report.tasks} tasks; {first.task}: {first.reason}: {first.why}")


async def gold_does_not_leak(subject: Subject) -> None:
    """With another task's gold, every observation, tool list and state key before the end is byte-identical."""
    pairs = [(task, other) for task in subject.tasks if (other := _with_other_gold(task, subject.pool))]
    if not pairs:
        raise CheckSkipped("this needs two tasks of different gold")
    async with subject.env() as env, subject.env() as twin:
        for task, impostor in pairs:
            for walk in await walks(env, task, subject):
                mine = [await begin(env, task, subject.seed)]
                theirs = [await begin(twin, impostor, subject.seed)]
                if env.tools != twin.tools:
                    raise CheckFailed(f"task {task.id!r}: the tools depend on the gold")
                mine += await play(env, walk)
                theirs += await play(twin, walk)
                _require_alike(task, mine, theirs)


def _with_other_gold(task: Task, pool: tuple[Task, ...]) -> Task | None:
    gold = next((other.gold for other in pool if other.gold != task.gold), None)
    return None if gold is None else task.model_copy(update={"gold": gold})


def _require_alike(task: Task, mine: list[Moment], theirs: list[Moment]) -> None:
    for turn, (one, other) in enumerate(zip(mine, theirs, strict=False)):
        if one.over or other.over:
            return
        if one.observation != other.observation:
            raise CheckFailed(
                f"task {task.id!r}, turn {turn}: the observation depends on the gold: "
                f"{one.text!r} against {other.text!r}"
            )
        if one.state_key != other.state_key:
            raise CheckFailed(f"task {task.id!r}, turn {turn}: the state key depends on the gold")


async def null_stays_low(subject: Subject) -> None:
    """Doing nothing earns next to nothing."""
    await _stays_low(subject, act=False)


async def random_stays_low(subject: Subject) -> None:
    """Random legal actions earn next to nothing."""
    await _stays_low(subject, act=True)


async def _stays_low(subject: Subject, *, act: bool) -> None:
    async with subject.env() as env:
        results = [await outcome(env, task, subject, act=act) for task in subject.pool]
    success, score = fmean(s for _, s in results), fmean(s for s, _ in results)
    limit = subject.luck if act else subject.max_success
    most = round(limit + 0.1, 3) if subject.max_score is None else subject.max_score
    if success > limit or score > most:
        raise CheckFailed(
            f"success {success:.3f} (limit {limit}) and mean score {score:.3f} (limit {most}) over {len(results)} tasks"
        )


async def reward_is_sum_of_parts(subject: Subject) -> None:
    """Every step's reward is the sum of weight times value over its parts, and all of it is finite."""
    async with subject.env() as env:
        for task in subject.tasks:
            for walk in await walks(env, task, subject):
                await env.reset(task, seed=subject.seed)
                for turn, action in enumerate(walk, start=1):
                    result = await env.step(action)
                    _require_sum(result, f"task {task.id!r}, turn {turn}")
                    if result.terminated or result.truncated:
                        break


def _require_sum(result: StepResult, where: str) -> None:
    total = sum(part.amount for part in result.info.reward_parts)
    if not math.isfinite(result.reward) or not math.isclose(total, result.reward, abs_tol=1e-9):
        raise CheckFailed(f"{where}: the reward is {result.reward!r}, its parts sum to {total!r}")
    if not (result.terminated or result.truncated) and result.info.score is not None:
        raise CheckFailed(f"{where}: a score before the end of the episode")
