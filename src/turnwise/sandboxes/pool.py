"""Warm sandboxes: made ahead in the background, used once, replaced."""

import os
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from turnwise.errors import ConfigError, SandboxClosedError, SandboxError, SandboxTimeoutError
from turnwise.sandboxes.base import ExecResult, Language, Sandbox, SandboxProvider, SandboxSpec

RETRY_FIRST_S, RETRY_MOST_S = 0.05, 5.0
SAMPLES = 10_000
_COUNTED = {"timeout": "timeouts", "output_limit": "output_limits", "memory_limit": "memory_kills"}


@dataclass
class PoolMetrics:
    """What a pool did so far; times in seconds."""

    created: int = 0
    used: int = 0
    closed: int = 0
    create_failures: int = 0
    runs: int = 0
    timeouts: int = 0
    output_limits: int = 0
    memory_kills: int = 0
    sandbox_errors: int = 0
    leaked_found: int = 0
    """What dead owners had left, found when the pool began."""
    idle: int = 0
    in_use: int = 0
    create_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    acquire_wait_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    queue_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    exec_s: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def summary(self) -> dict[str, float]:
        """Return the counts, and median and 95th percentile of every time."""
        numbers: dict[str, float] = {}
        for name, value in vars(self).items():
            if not isinstance(value, deque):
                numbers[name] = value
            elif value:
                ordered = sorted(value)
                numbers[f"{name}_p50"] = statistics.median(ordered)
                numbers[f"{name}_p95"] = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return numbers


@dataclass
class _Idle:
    sandbox: Sandbox
    since: float
    uses: int = 0


class SandboxPool:
    """Keeps sandboxes of one spec ready; use as ``async with``.

    Args:
        provider: Makes them; it is not closed by the pool.
        spec: What they are.
        size: How many exist at most, idle and in use.
        min_idle: How many are kept ready as long as ``size`` allows; all of them by default.
        max_uses: Uses of one sandbox, with `Sandbox.reset` between them. 1 is safest: a fresh one costs little.
        max_age_s: Idle ones older than this are replaced; half the spec's time to live by default.
        create_concurrency: Creations at once; two per core by default.
        exec_concurrency: Runs at once through `run_code` and `exec`; one per core by default, since with more the
            wall clock measures the load instead of the program.
    """

    def __init__(
        self,
        provider: SandboxProvider,
        spec: SandboxSpec | None = None,
        *,
        size: int,
        min_idle: int | None = None,
        max_uses: int = 1,
        max_age_s: float | None = None,
        create_concurrency: int | None = None,
        exec_concurrency: int | None = None,
    ) -> None:
        self.provider, self.spec, self.size = provider, spec or SandboxSpec(), size
        self.min_idle = size if min_idle is None else min_idle
        if size < 1 or not 0 <= self.min_idle <= size or max_uses < 1:
            raise ConfigError(f"a pool needs size >= 1, 0 <= min_idle <= size, max_uses >= 1; got {size}, {min_idle}")
        self.max_uses = max_uses
        self.max_age_s = self.spec.ttl_s / 2 if max_age_s is None else max_age_s
        self.metrics = PoolMetrics()
        cores = os.cpu_count() or 1
        self._creating = anyio.CapacityLimiter(create_concurrency or 2 * cores)
        self._executing = anyio.CapacityLimiter(exec_concurrency or cores)
        self._idle: deque[_Idle] = deque()
        self._held: dict[str, _Idle] = {}
        self._pending = self._waiting = 0
        self._changed = anyio.Event()
        self._group: TaskGroup | None = None
        self._failure: SandboxError | None = None

    async def __aenter__(self) -> Self:
        """Remove what dead owners left, and begin to fill."""
        self.metrics.leaked_found = await self.provider.cleanup()
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._keep_filled)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all sandboxes of the pool."""
        group, self._group = self._group, None
        assert group is not None
        group.cancel_scope.cancel()
        try:
            await group.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as closing:
                    for entry in [*self._idle, *self._held.values()]:
                        closing.start_soon(self._close, entry.sandbox)
            self._idle.clear()
            self._held.clear()
            self._count()

    # Filling

    @property
    def _exist(self) -> int:
        return len(self._idle) + len(self._held) + self._pending

    def _count(self) -> None:
        self.metrics.idle, self.metrics.in_use = len(self._idle), len(self._held)
        self._changed.set()
        self._changed = anyio.Event()

    async def _keep_filled(self) -> None:
        """Start as many creations as are missing, whenever something changed; replace what is too old."""
        pause = RETRY_FIRST_S
        while self._group is not None:
            self._retire_old()
            if self._failure:
                await anyio.sleep(pause)
                pause = min(2 * pause, RETRY_MOST_S)
            else:
                pause = RETRY_FIRST_S
            wanted = max(self.min_idle, self._waiting) - len(self._idle) - self._pending
            for _ in range(min(wanted, self.size - self._exist)):
                self._pending += 1
                self._group.start_soon(self._create)
            with anyio.move_on_after(max(0.05, self.max_age_s / 10)):
                await self._changed.wait()

    def _retire_old(self) -> None:
        oldest = time.monotonic() - self.max_age_s
        while self._idle and self._idle[0].since < oldest and self._group:
            self._group.start_soon(self._close, self._idle.popleft().sandbox)

    async def _create(self) -> None:
        try:
            async with self._creating:
                began = time.monotonic()
                sandbox = await self.provider.create(self.spec)
            self.metrics.created += 1
            self.metrics.create_s.append(time.monotonic() - began)
            self._idle.append(_Idle(sandbox, time.monotonic()))
            self._failure = None
        except SandboxError as error:
            self.metrics.create_failures += 1
            self._failure = error
        finally:
            self._pending -= 1
            self._count()

    async def _close(self, sandbox: Sandbox) -> None:
        self.metrics.closed += 1
        try:
            await sandbox.close()
        except SandboxError:
            self.metrics.sandbox_errors += 1

    # Using

    async def acquire(self, *, timeout_s: float = 60) -> Sandbox:
        """Take a ready sandbox, waiting for one if need be; give it back with `release`.

        Raises:
            SandboxTimeoutError: None came free in time.
            SandboxError: None can be made; this is the reason.
        """
        if self._group is None:
            raise SandboxClosedError("the pool is not open: use it as `async with`")
        began = time.monotonic()
        self._waiting += 1
        self._count()
        try:
            with anyio.fail_after(timeout_s):
                entry = await self._next_idle()
        except TimeoutError as error:
            raise SandboxTimeoutError(
                f"no sandbox came free within {timeout_s:g} s: {len(self._held)} of {self.size} are in use"
            ) from self._failure or error
        finally:
            self._waiting -= 1
        entry.uses += 1
        self.metrics.used += 1
        self.metrics.acquire_wait_s.append(time.monotonic() - began)
        self._count()
        return entry.sandbox

    async def _next_idle(self) -> _Idle:
        """Return the first idle sandbox that is alive, already counted as held."""
        failures = self.metrics.create_failures
        while True:
            while self._idle:
                entry = self._idle.popleft()
                self._held[entry.sandbox.id] = entry
                if await self._alive(entry.sandbox):
                    return entry
                self._held.pop(entry.sandbox.id, None)
                self._count()
            if self._failure and self._exist == 0 and self.metrics.create_failures > failures:
                raise self._failure
            await self._changed.wait()

    async def _alive(self, sandbox: Sandbox) -> bool:
        try:
            if await sandbox.is_alive():
                return True
        except BaseException:
            self._held.pop(sandbox.id, None)
            with anyio.CancelScope(shield=True):
                await self._close(sandbox)
            raise
        await self._close(sandbox)
        return False

    async def release(self, sandbox: Sandbox) -> None:
        """Give a sandbox back: it is closed, or reset for its next use where ``max_uses`` allows."""
        entry = self._held.pop(sandbox.id, None)
        if entry is None:
            raise SandboxError(f"sandbox {sandbox.id} was not taken from this pool, or was given back already")
        with anyio.CancelScope(shield=True):
            if entry.uses < self.max_uses and await self._made_new(sandbox):
                self._idle.append(entry)
            else:
                await self._close(sandbox)
        self._count()

    async def _made_new(self, sandbox: Sandbox) -> bool:
        try:
            await sandbox.reset()
        except SandboxError:
            return False
        return True

    @asynccontextmanager
    async def sandbox(self, *, timeout_s: float = 60) -> AsyncIterator[Sandbox]:
        """Take a sandbox for the time of a ``with`` block."""
        sandbox = await self.acquire(timeout_s=timeout_s)
        try:
            yield sandbox
        finally:
            await self.release(sandbox)

    async def run_code(
        self,
        sandbox: Sandbox,
        code: str,
        *,
        language: Language = "python",
        session: str | None = None,
        timeout_s: float = 30,
    ) -> ExecResult:
        """Run code when it is its turn: the time limit counts from then; `ExecResult.queue_s` is the wait before."""
        asked = time.monotonic()
        async with self._executing:
            queued = time.monotonic() - asked
            result = await sandbox.run_code(code, language=language, session=session, timeout_s=timeout_s)
        return self._note(result, queued)

    async def exec(self, sandbox: Sandbox, command: str | list[str], *, timeout_s: float = 30) -> ExecResult:
        """Run a command when it is its turn, as `run_code` does."""
        asked = time.monotonic()
        async with self._executing:
            queued = time.monotonic() - asked
            result = await sandbox.exec(command, timeout_s=timeout_s)
        return self._note(result, queued)

    def _note(self, result: ExecResult, queued: float) -> ExecResult:
        metrics = self.metrics
        metrics.runs += 1
        metrics.queue_s.append(queued + result.queue_s)
        metrics.exec_s.append(result.duration_s)
        if name := _COUNTED.get(result.status):
            setattr(metrics, name, getattr(metrics, name) + 1)
        metrics.sandbox_errors += result.status == "sandbox_error"
        return replace(result, queue_s=queued + result.queue_s)
