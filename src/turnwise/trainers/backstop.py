"""Wall-clock backstops of training: what does not answer in time is a failure of its kind, and is left behind.

A blocked thread cannot be cancelled, so what runs out of time is told to stop, given a moment, and abandoned: the
trainer's group never waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from turnwise.envs import Action, Observation, StepInfo, StepResult, StopReason
from turnwise.envs.base import Env
from turnwise.envs.wrappers.base import Wrapper
from turnwise.errors import EnvError, TurnwiseError
from turnwise.tasks import Task

T = TypeVar("T")

GRACE_S = 2.0
"""Seconds that what was told to stop has for it."""

_ABANDONED: set["asyncio.Future[Any]"] = set()


async def within(
    seconds: float, work: Awaitable[T], late: Callable[[str], TurnwiseError], what: str, *, grace_s: float = GRACE_S
) -> T:
    """Await something for so long at most.

    Args:
        seconds: The bound.
        work: What is awaited.
        late: Makes the error of running out of time.
        what: What is awaited, for the error's message.
        grace_s: Seconds between telling it to stop and leaving it behind.

    Raises:
        TurnwiseError: Made by ``late``; the work is cancelled, and abandoned where it does not stop.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _stop(task, grace_s)
        raise
    if not done:
        await _stop(task, grace_s)
        raise late(f"{what} did not end within {seconds:g} s")
    return task.result()


async def _stop(task: "asyncio.Future[T]", grace_s: float) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=grace_s)
    if not task.done():
        _ABANDONED.add(task)
        task.add_done_callback(_forget)
    elif not task.cancelled():
        task.exception()


def _forget(task: "asyncio.Future[T]") -> None:
    _ABANDONED.discard(task)
    if not task.cancelled():
        task.exception()


class Backstop(Wrapper):
    """An environment whose every call ends within a bound, or is a failure of the environment.

    Args:
        env: What is wrapped.
        seconds: The bound of one call.
    """

    kind = "backstop"

    def __init__(self, env: Env, *, seconds: float, grace_s: float = GRACE_S) -> None:
        super().__init__(env)
        self._seconds, self._grace_s = seconds, grace_s
        self.hung = False

    @property
    def wrappers(self) -> tuple[str, ...]:
        """The inner environment's alone: a bound that never decides an observation changes no result."""
        return self.env.wrappers

    @property
    def config_digest(self) -> str:
        """The inner environment's."""
        return self.env.config_digest

    async def reset(self, task: Task, *, seed: int) -> tuple[Observation, StepInfo]:
        """Begin an episode."""
        return await self._bounded(super().reset(task, seed=seed), "reset")

    async def take(self, action: Action) -> StepResult:
        """Take one turn."""
        called = ", ".join(call.name for call in action.calls) or "a message without a call"
        return await self._bounded(self.env.step(action), f"step ({called})")

    async def truncate(self, reason: StopReason) -> StepResult:
        """End the episode and grade what there is."""
        return await self._bounded(super().truncate(reason), f"truncate ({reason})")

    async def close(self) -> None:
        """Free what the instance holds; what hung is given up, so that nobody waits for it."""
        try:
            await self._bounded(self.env.close(), "close")
        except EnvError:
            if not self.hung:
                raise

    async def _bounded(self, work: Awaitable[T], what: str) -> T:
        try:
            return await within(self._seconds, work, EnvError, f"{self.name}: {what}", grace_s=self._grace_s)
        except EnvError as error:
            self.hung = self.hung or "did not end within" in str(error)
            raise
