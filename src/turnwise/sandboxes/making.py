"""What the providers share: checks before anything is made, restoring, keeping count, leaving nothing behind."""

import atexit
import os
import weakref
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import anyio

from turnwise.errors import SandboxClosedError, SandboxCreateError, SandboxTimeoutError, SandboxUnavailableError
from turnwise.sandboxes.base import Sandbox, SandboxSnapshot, SandboxSpec, missing
from turnwise.sandboxes.resident import ResidentSandbox


class ResidentProvider(ABC):
    """A `SandboxProvider` of sandboxes with a resident supervisor."""

    name: str

    def __init__(self) -> None:
        self._live: set[ResidentSandbox] = set()
        self._closed = False
        self._preparing = anyio.Lock()
        self._prepared: set[tuple[str | None, tuple[str, ...]]] = set()
        _providers.add(self)

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[str]:
        """What holds on this machine, found by trying."""

    @abstractmethod
    async def _create(self, spec: SandboxSpec) -> ResidentSandbox:
        """Make a sandbox that is ready; leave nothing behind on an error."""

    @abstractmethod
    def advice(self, capability: str) -> str:
        """Say what to do to get a capability that is missing."""

    @abstractmethod
    async def cleanup(self, *, older_than_s: float = 0) -> int:
        """Remove what dead owners left on this machine and return how many things that were."""

    @abstractmethod
    def kill_now(self, sandbox: ResidentSandbox) -> None:
        """Destroy a sandbox without an event loop, at the end of the process."""

    def _check(self, spec: SandboxSpec) -> None:
        if self._closed:
            raise SandboxClosedError(f"the sandbox provider {self.name!r} is closed")
        lacking = missing(spec.require, self.capabilities)
        if lacking:
            advice = "; ".join(self.advice(capability) for capability in lacking)
            accept = ", ".join(map(repr, lacking))
            raise SandboxUnavailableError(
                f"{self.name} cannot give {', '.join(lacking)} here: {advice}. To do without, create with "
                f"spec.accept({accept})"
            )

    def _make_image(self, spec: SandboxSpec) -> None:  # noqa: B027 - not every provider has images
        """Make a spec's image, in a thread."""

    async def prepare(self, spec: SandboxSpec) -> None:
        """Make a spec's image once, however many ask; its time does not count as that of a sandbox.

        The first call also removes what dead owners left.
        """
        async with self._preparing:
            if not self._prepared:
                await self.cleanup()
            key = (spec.image, spec.packages)
            if key not in self._prepared:
                await anyio.to_thread.run_sync(self._make_image, spec)
                self._prepared.add(key)

    async def create(self, spec: SandboxSpec | None = None) -> Sandbox:
        """Make a sandbox and wait until it is ready; see `SandboxProvider.create`."""
        spec = spec or SandboxSpec()
        self._check(spec)
        await self.prepare(spec)
        try:
            with anyio.fail_after(spec.ready_timeout_s):
                sandbox = await self._create(spec)
        except TimeoutError as error:
            raise SandboxTimeoutError(f"{self.name}: no sandbox within {spec.ready_timeout_s:g} s") from error
        self._live.add(sandbox)
        try:
            await sandbox.place_files()
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    async def restore(self, snapshot: SandboxSnapshot, spec: SandboxSpec | None = None) -> Sandbox:
        """Make a sandbox in the state of a snapshot; see `SandboxProvider.restore`."""
        sandbox = await self.create(spec)
        if not isinstance(sandbox, ResidentSandbox):
            raise SandboxCreateError(f"{self.name} cannot restore a snapshot into {type(sandbox).__name__}")
        try:
            await sandbox.load(snapshot)
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    def forget(self, sandbox: ResidentSandbox) -> None:
        """Note that a sandbox is gone."""
        self._live.discard(sandbox)

    async def aclose(self) -> None:
        """Close every sandbox made here."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for sandbox in list(self._live):
                    group.start_soon(sandbox.close)

    async def __aenter__(self) -> Self:
        """Return the provider itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()


_providers: "weakref.WeakSet[ResidentProvider]" = weakref.WeakSet()
_process = os.getpid()


def _at_exit() -> None:
    """Destroy what is still there; a process that dies without this is followed by its sandboxes' end of input."""
    if os.getpid() != _process:
        return
    for provider in list(_providers):
        for sandbox in list(provider._live):
            provider.kill_now(sandbox)


atexit.register(_at_exit)
