"""Several live copies of one moment of an episode."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from turnwise.envs.base import Env
from turnwise.envs.types import Snapshot
from turnwise.errors import EnvError
from turnwise.tasks.base import Task


class Slots:
    """A limiter that grants several places at once, in the order asked.

    Two forks that took their places one by one could each hold half of them and wait for ever.

    Args:
        total: How many places there are.
    """

    def __init__(self, total: int) -> None:
        if total < 1:
            raise EnvError(f"a limiter needs at least one place, got {total}")
        self.total = total
        self.free = total
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    @asynccontextmanager
    async def take(self, n: int) -> AsyncIterator[None]:
        """Hold ``n`` places.

        Raises:
            EnvError: There are fewer than ``n`` places in all.
        """
        if not 0 < n <= self.total:
            raise EnvError(f"cannot take {n} places of a limiter that has {self.total}")
        await self._acquire(n)
        try:
            yield
        finally:
            self.free += n
            self._grant()

    async def _acquire(self, n: int) -> None:
        ticket = (n, anyio.Event())
        self._waiting.append(ticket)
        self._grant()
        try:
            await ticket[1].wait()
        except BaseException:
            if ticket[1].is_set():
                self.free += n
            else:
                self._waiting.remove(ticket)
            self._grant()
            raise

    def _grant(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            n, event = self._waiting.popleft()
            self.free -= n
            event.set()


@asynccontextmanager
async def fork(
    make: Callable[[], Env], task: Task, snapshot: Snapshot, n: int, *, limiter: Slots | None = None
) -> AsyncIterator[list[Env]]:
    """Restore a snapshot into ``n`` fresh environments that know nothing of each other.

    Args:
        make: Makes an environment like the one the snapshot was taken of.
        task: The snapshot's task.
        snapshot: The moment to continue from.
        n: How many copies.
        limiter: Bounds how many environments live at once; all ``n`` places are asked for together.

    Yields:
        The environments; all are closed at the end, and on any error.

    Raises:
        EnvError: The snapshot cannot be restored here, or the limiter has fewer than ``n`` places in all.
    """
    async with (limiter or Slots(n)).take(n):
        envs: list[Env] = []
        try:
            envs.extend(make() for _ in range(n))
            await _restore_all(envs, snapshot, task)
            yield envs
        finally:
            with anyio.CancelScope(shield=True):
                await close_all(envs)


async def _restore_all(envs: list[Env], snapshot: Snapshot, task: Task) -> None:
    errors: list[Exception] = []

    async def restore(env: Env) -> None:
        try:
            await env.restore(snapshot, task)
        except Exception as error:  # noqa: BLE001 - the first one is raised below, once all have stopped
            errors.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for env in envs:
            group.start_soon(restore, env)
    if errors:
        raise errors[0]


async def close_all(envs: list[Env]) -> None:
    """Close every environment, even where closing one fails; the first error is raised at the end."""
    errors: list[Exception] = []
    for env in envs:
        try:
            await env.close()
        except Exception as error:  # noqa: BLE001 - one that cannot be closed must not keep the others open
            errors.append(error)
    if errors:
        raise errors[0]
