"""A provider that isolates nothing: for debugging the rest, by name only, with a warning."""

import os
import shutil
import tempfile
import warnings
from pathlib import Path

import anyio

from turnwise.errors import SandboxCreateError, SandboxUnavailableError
from turnwise.sandboxes import boot, spawn
from turnwise.sandboxes.base import Sandbox, SandboxSnapshot, SandboxSpec
from turnwise.sandboxes.channel import ChannelClosed
from turnwise.sandboxes.image import interpreter
from turnwise.sandboxes.making import ResidentProvider
from turnwise.sandboxes.owner import Owner, is_left_over
from turnwise.sandboxes.resident import ResidentSandbox


class UnsafeSandboxWarning(UserWarning):
    """Code runs with this machine's files, network and processes in reach."""


class UnsafeLocalSandbox(ResidentSandbox):
    """A sandbox of `UnsafeLocalProvider`: a directory and a process."""

    def __init__(
        self, sandbox_id: str, spec: SandboxSpec, child: spawn.Child, folder: Path, maker: "UnsafeLocalProvider"
    ) -> None:
        super().__init__(sandbox_id, spec, child.channel, image_digest="")
        self.child, self.folder, self._maker = child, folder, maker

    async def _destroy(self) -> None:
        # Its supervisor kills its workers and removes its folder when the channel ends.
        with anyio.move_on_after(10):
            await self.child.wait()
        if self.child.pidfd != -1:
            self.child.kill()
            await self.child.wait()
        await anyio.to_thread.run_sync(_remove, self.folder)
        self._maker.forget(self)

    async def _restore(self, snapshot: SandboxSnapshot) -> Sandbox:
        return await self._maker.restore(snapshot, self.spec)


def _make(sandbox_id: str, uid: int | None) -> Path:
    folder = Path(tempfile.gettempdir(), sandbox_id)
    folder.mkdir(mode=0o700)
    if uid is not None:
        os.chown(folder, uid, uid)
    return folder


def _left_over() -> list[Path]:
    return [path for path in Path(tempfile.gettempdir()).glob("turnwise-*") if is_left_over(path.name)]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


class UnsafeLocalProvider(ResidentProvider):
    """Makes "sandboxes" that are plain processes with resource limits.

    Started by root, the code runs as another user; nothing else keeps it from this machine.
    """

    name = "unsafe_local"

    def __init__(self) -> None:
        super().__init__()
        warnings.warn(
            "unsafe_local isolates nothing: code can read this user's files, use the network and signal processes. "
            "Use it for debugging only, never for code that a model wrote",
            UnsafeSandboxWarning,
            stacklevel=4,
        )

    @property
    def capabilities(self) -> frozenset[str]:
        """Nothing that protects."""
        return frozenset({"fork", "snapshot"})

    def advice(self, capability: str) -> str:
        """Say what to do to get a capability that is missing."""
        return f"unsafe_local never has {capability}; use 'local' or 'docker'"

    async def _create(self, spec: SandboxSpec) -> ResidentSandbox:
        if spec.image is not None or spec.packages:
            raise SandboxUnavailableError("unsafe_local has no images: it runs this machine's interpreter")
        sandbox_id, uid = Owner.current().new_id(), spawn.next_uid()
        folder = _make(sandbox_id, uid)
        spec_here = SandboxSpec(**{**vars(spec), "workdir": str(folder)})
        python = interpreter()
        command = [python.executable, "-s", "-S", "-B", "-X", "utf8", "-c", boot.LOADER, sandbox_id]
        child = spawn.start(command, uid)
        limits = boot.worker_limits(spec.resources, memory_sum=False, own_uid=False)
        config = boot.configuration(spec_here, limits=limits, confine=False, verify=False, remove=str(folder))
        try:
            await boot.boot(child.channel, python.magic, config)
        except BaseException as error:
            child.channel.close()
            child.kill()
            with anyio.CancelScope(shield=True):
                await child.wait()
            _remove(folder)
            if isinstance(error, ChannelClosed):
                raise SandboxCreateError(f"the supervisor did not start: {child.said or error}") from error
            raise
        return UnsafeLocalSandbox(sandbox_id, spec_here, child, folder, self)

    async def cleanup(self, *, older_than_s: float = 0) -> int:
        """Remove the folders of dead owners; their processes end by themselves."""
        left = _left_over()
        for path in left:
            await anyio.to_thread.run_sync(_remove, path)
        return len(left)

    def kill_now(self, sandbox: ResidentSandbox) -> None:
        """Destroy a sandbox without an event loop."""
        if isinstance(sandbox, UnsafeLocalSandbox):
            sandbox.child.channel.close()
            sandbox.child.process.wait()
            _remove(sandbox.folder)
