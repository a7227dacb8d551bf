"""The contract suite: what an environment must keep so that everything else can rely on it.

from turnwise.envs.check import check_env

report = check_env("sql")
assert report.ok, report
"""

import importlib.util
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio

from turnwise.envs.base import Env
from turnwise.envs.check import actions, grading, state
from turnwise.envs.check.episodes import Subject
from turnwise.envs.check.report import CheckFailed, CheckReport, CheckResult, CheckSkipped, Outcome
from turnwise.envs.registry import env_class
from turnwise.errors import ConfigError, MissingExtraError, SandboxUnavailableError
from turnwise.tasks.base import Task, TaskSet
from turnwise.tasks.panels import load_panel

__all__ = ["CHECKS", "CheckReport", "CheckResult", "check_env", "check_env_async"]

Check = Callable[[Subject], Awaitable[None]]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        state.resets_alike,
        state.instruction_shown,
        state.deterministic_across_processes,
        state.snapshot_continues,
        state.foreign_snapshots_refused,
        state.forks_independent,
        actions.invalid_never_raises,
        actions.unknown_tool_explained,
        actions.several_calls,
        actions.no_calls,
        actions.step_after_end_raises,
        actions.truncation_grades,
        actions.loop_not_blocked,
        actions.closes_twice,
        grading.gold_solves,
        grading.gold_does_not_leak,
        grading.null_stays_low,
        grading.random_stays_low,
        grading.reward_is_sum_of_parts,
    )
}
"""The checks by name, in the order they run."""


def check_env(env: str | type[Env], tasks: Iterable[Task] | None = None, **options: Any) -> CheckReport:
    """Run the contract suite over an environment; the options are those of ``check_env_async``."""

    async def run() -> CheckReport:
        return await check_env_async(env, tasks, **options)

    return anyio.run(run)


async def check_env_async(
    env: str | type[Env],
    tasks: Iterable[Task] | None = None,
    *,
    config: dict[str, Any] | None = None,
    wrap: Iterable[str] = (),
    checks: Iterable[str] | None = None,
    n: int = 3,
    pool: int = 20,
    seed: int = 0,
    turns: int = 8,
    max_success: float | None = None,
    max_score: float | None = None,
    lag_s: float = 0.1,
) -> CheckReport:
    """Run the contract suite over an environment.

    Args:
        env: A registered name, ``module:Class``, or a class.
        tasks: What to check it on; by default a sample of its default panel's test split.
        config: The environment's settings.
        wrap: Wrappers to put around it, as ``turnwise.envs.wrappers.wrap`` takes them.
        checks: Names of the checks to run; by default all.
        n: How many tasks episodes are compared on.
        pool: How many tasks gold, null and random are run on.
        seed: Of the sample and of the episodes.
        turns: Longest episode that is compared.
        max_success: What null and random may reach on average; by default 0.05, and for random the environment's luck.
        max_score: What null and random may reach on average; by default 0.1 more.
        lag_s: Seconds a step may hold up the event loop.

    Raises:
        UnknownNameError: There is no such environment.
        ConfigError: A setting is wrong, or there are no tasks to check it on.
    """
    cls = env_class(env) if isinstance(env, str) else env
    chosen = _tasks(cls, tasks, pool, seed)
    subject = Subject(
        cls=cls,
        target=env if isinstance(env, str) else _target(cls),
        config=config or {},
        wrap=tuple(wrap),
        tasks=chosen[:n],
        pool=chosen,
        seed=seed,
        turns=turns,
        max_success=0.05 if max_success is None else max_success,
        max_score=max_score,
        luck=cls.luck if max_success is None else max_success,
        lag_s=lag_s,
    )
    return CheckReport(
        env=cls.name,
        version=cls.version,
        config_digest=subject.make().config_digest,
        tasks=tuple(task.id for task in chosen),
        results=tuple([await _run(CHECKS[name], subject) for name in checks or CHECKS]),
    )


def _tasks(cls: type[Env], tasks: Iterable[Task] | None, pool: int, seed: int) -> tuple[Task, ...]:
    if tasks is not None:
        given = tuple(tasks)[:pool]
    elif cls.default_panel is None:
        raise ConfigError(f"environment {cls.name!r} names no default panel; give the tasks to check it on (--panel)")
    else:
        panel = load_panel(cls.default_panel)
        panel = panel.split("test") if "test" in panel.splits else panel
        given = _spread(panel, pool, seed)
    if not given:
        raise ConfigError(f"environment {cls.name!r}: there is no task to check it on")
    return given


def _spread(panel: TaskSet, pool: int, seed: int) -> tuple[Task, ...]:
    """Sample tasks, one of each difficulty first."""
    sample = panel.sample(min(pool, len(panel)), seed).tasks
    first = {task.difficulty: task for task in reversed(sample)}.values()
    ids = {task.id for task in first}
    return (*reversed(first), *(task for task in sample if task.id not in ids))


def _target(cls: type[Env]) -> str | None:
    if "<locals>" in cls.__qualname__ or cls.__module__ == "__main__" or not _importable(cls.__module__):
        return None
    return f"{cls.__module__}:{cls.__qualname__}"


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


async def _run(check: Check, subject: Subject) -> CheckResult:
    def result(outcome: Outcome, why: str = "") -> CheckResult:
        asks = " ".join((check.__doc__ or "").split())
        return CheckResult(name=check.__name__, asks=asks, outcome=outcome, why=why)

    try:
        await check(subject)
    except Exception as error:  # noqa: BLE001 - whatever an environment raises here breaks the contract
        inner = _innermost(error)
        if isinstance(inner, CheckFailed):
            return result("failed", str(inner))
        if isinstance(inner, CheckSkipped | SandboxUnavailableError | MissingExtraError):
            return result("skipped", str(inner))
        return result("failed", f"{type(inner).__name__}: {inner}")
    return result("passed")


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
