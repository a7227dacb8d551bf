"""Proof of tasks: each one's gold solution is run and must succeed."""

from collections.abc import Callable, Iterable
from typing import Literal

import anyio
from pydantic import BaseModel, ConfigDict

from turnwise.envs.base import Env
from turnwise.envs.types import StepResult
from turnwise.errors import EnvError, TaskError
from turnwise.tasks.base import Task

MAX_TURNS = 200
"""A gold solution that is longer is taken for one that never ends."""


class Unsolved(BaseModel):
    """A task whose gold solution does not reach success, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    reason: Literal["no_gold", "unsolved", "never_ends", "error"]
    why: str


class ProofReport(BaseModel):
    """What running every gold solution gave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str
    version: str
    tasks: int
    solved: int
    turns: int
    """Turns of all solutions together."""
    unsolved: tuple[Unsolved, ...]

    @property
    def ok(self) -> bool:
        """Whether every gold solution succeeded."""
        return not self.unsolved

    def __str__(self) -> str:
        lines = [f"{self.env}: the gold solutions of {self.solved} of {self.tasks} tasks succeed"]
        return "\n".join([*lines, *(f"  {u.task}: {u.reason}: {u.why}" for u in self.unsolved)])


async def prove(make: Callable[[], Env], tasks: Iterable[Task], *, seed: int = 0) -> ProofReport:
    """Run each task's gold solution and list those that do not reach success.

    Args:
        make: Makes an environment; one serves all tasks, one after another.
        tasks: What to prove.
        seed: The episodes' seed.

    Returns:
        The report; a broken task is an entry in it, not an error.
    """
    env = make()
    unsolved: list[Unsolved] = []
    count = turns = 0
    try:
        for task in tasks:
            count += 1
            try:
                turns += await _solve(env, task, seed)
            except _NotSolved as error:
                unsolved.append(Unsolved(task=task.id, reason=error.reason, why=str(error)))
            except (EnvError, TaskError) as error:
                unsolved.append(Unsolved(task=task.id, reason="error", why=str(error)))
    finally:
        with anyio.CancelScope(shield=True):
            await env.close()
    return ProofReport(
        env=env.name,
        version=env.version,
        tasks=count,
        solved=count - len(unsolved),
        turns=turns,
        unsolved=tuple(unsolved),
    )


class _NotSolved(Exception):  # noqa: N818 - an entry of the report, not an error
    def __init__(self, reason: Literal["no_gold", "unsolved", "never_ends"], why: str) -> None:
        super().__init__(why)
        self.reason = reason


async def _solve(env: Env, task: Task, seed: int) -> int:
    await env.reset(task, seed=seed)
    for turn in range(1, MAX_TURNS + 1):
        try:
            action = await env.gold_action()
        except EnvError as error:
            raise _NotSolved("no_gold", str(error)) from error
        result = await env.step(action)
        if result.terminated or result.truncated:
            _require_success(result, turn)
            return turn
    raise _NotSolved("never_ends", f"the episode had not ended after {MAX_TURNS} gold actions")


def _require_success(result: StepResult, turn: int) -> None:
    if not result.info.success:
        shown = " ".join(result.observation.text.split())[:200]
        raise _NotSolved("unsolved", f"score {result.info.score} at turn {turn}; the last observation was: {shown}")
