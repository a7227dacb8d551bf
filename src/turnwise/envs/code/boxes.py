"""Sandboxes for this environment: one provider and one set of limiters per event loop, and the time spent waiting."""

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
from anyio.lowlevel import RunVar

from turnwise.envs.code.settings import CodeConfig
from turnwise.errors import SandboxError
from turnwise.sandboxes.base import ExecResult, Sandbox, SandboxProvider, SandboxResources, SandboxSnapshot, SandboxSpec
from turnwise.sandboxes.registry import provider

_providers: RunVar[dict[str, SandboxProvider]] = RunVar("turnwise_code_providers")
_limiters: RunVar[dict[str, anyio.CapacityLimiter]] = RunVar("turnwise_code_limiters")
REPLY_KIB = 1100


def _provider(name: str) -> SandboxProvider:
    held = _providers.get({})
    _providers.set(held)
    if name not in held:
        held[name] = provider(name)
    return held[name]


def _limiter(name: str, per_core: int) -> anyio.CapacityLimiter:
    held = _limiters.get({})
    _limiters.set(held)
    if name not in held:
        held[name] = anyio.CapacityLimiter(per_core * (os.cpu_count() or 1))
    return held[name]


class Boxes:
    """Makes sandboxes and runs things in them when it is their turn; ``waited`` counts the seconds before."""

    def __init__(self, config: CodeConfig) -> None:
        self.config = config
        self.waited = 0.0

    def check(self) -> None:
        """Find the backend.

        Raises:
            SandboxUnavailableError: It is missing; the message says what to install.
        """
        _provider(self.config.provider)

    async def workspace(self, files: dict[str, str], snapshot: bytes | None = None) -> Sandbox:
        """Make the sandbox an agent works in, with its files or in the state of a snapshot."""
        spec = self._spec(64, {path: text.encode() for path, text in files.items()})
        return await self._make(replace(spec, look=True), snapshot)

    async def grading(self, files: dict[str, bytes] | None = None) -> Sandbox:
        """Make a fresh sandbox to grade in."""
        return await self._make(self._spec(REPLY_KIB, files or {}), None)

    def _spec(self, output_kib: int, files: dict[str, bytes]) -> SandboxSpec:
        config = self.config
        resources = SandboxResources(memory_mib=config.memory_mib, pids=config.pids, output_kib=output_kib)
        return SandboxSpec(packages=config.packages, resources=resources, files=files).accept(*config.accept)

    async def _make(self, spec: SandboxSpec, snapshot: bytes | None) -> Sandbox:
        asked = time.perf_counter()
        maker = _provider(self.config.provider)
        async with _limiter("create", 2):
            if snapshot is None:
                box = await maker.create(spec)
            else:
                box = await maker.restore(SandboxSnapshot.from_bytes(snapshot), spec)
        self.waited += time.perf_counter() - asked
        return box

    async def run(self, work: Callable[[], Awaitable[ExecResult]]) -> ExecResult:
        """Run something when it is its turn, so that its time limit counts no other's work.

        Raises:
            SandboxError: The sandbox's answer made no sense; nobody may be scored by it.
        """
        asked = time.perf_counter()
        async with _limiter("run", 1):
            self.waited += time.perf_counter() - asked
            result = await work()
        self.waited += result.queue_s
        if result.status == "sandbox_error":
            raise SandboxError(f"the sandbox's answer made no sense: {result.stderr[:200]}")
        return result
