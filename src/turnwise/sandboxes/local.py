"""Sandboxes without a daemon: bubblewrap for namespaces, an own seccomp filter, resource limits, a cgroup."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import anyio

from turnwise.errors import SandboxCreateError, SandboxError, SandboxUnavailableError
from turnwise.sandboxes import boot, cgroups, seccomp, spawn
from turnwise.sandboxes.base import Sandbox, SandboxSnapshot, SandboxSpec, Status
from turnwise.sandboxes.channel import ChannelClosed
from turnwise.sandboxes.image import SandboxImage, image_of
from turnwise.sandboxes.making import ResidentProvider
from turnwise.sandboxes.owner import Owner, is_left_over
from turnwise.sandboxes.resident import ResidentSandbox

DEVICES = ("null", "zero", "full", "random", "urandom")
OWN_FOLDERS = frozenset({"proc", "sys", "dev", "tmp", "run", "root", "workspace"})
SCRATCH_MIB, SCRATCH_FILES = 16, 4096
INNER_UID = 1000
NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
# The supervisor needs these to finish its own confinement; it drops them before any foreign code runs.
BOOT_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETPCAP")
ALWAYS = frozenset(
    {"network_off", "pid_limit", "disk_limit", "inode_limit", "seccomp", "isolation", "snapshot", "fork"}
)


@cache
def bubblewrap() -> str:
    """Return bubblewrap's path, once it has been seen to work.

    Raises:
        SandboxUnavailableError: It is missing or may make no namespaces here; the message says what to do.
    """
    path = shutil.which("bwrap")
    if path is None:
        raise SandboxUnavailableError("local sandboxes need bubblewrap: apt-get install bubblewrap")
    flags = [f"--unshare-{name}" for name in NAMESPACES]
    command, user = spawn.as_user([path, *flags, "--ro-bind", "/", "/", "--proc", "/proc", "true"], spawn.next_uid())
    trial = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **user)
    if trial.returncode:
        raise SandboxUnavailableError(
            f"bubblewrap may make no namespaces here ({trial.stderr.strip()[-200:]}). On Ubuntu 24.04 and later: "
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap. In a "
            "container: allow user namespaces in its seccomp profile, and leave /proc unmasked"
        )
    return path


def _folders(image: SandboxImage) -> list[str]:
    """Return the arguments that put the image's top level in place, read-only."""
    args: list[str] = []
    for name in sorted(os.listdir(image.path)):
        path = os.path.join(image.path, name)
        if os.path.islink(path):
            args += ["--symlink", os.readlink(path), f"/{name}"]
        elif os.path.isdir(path) and name not in OWN_FOLDERS:
            args += ["--ro-bind", path, f"/{name}"]
    return args


def _tmpfs(path: str, mib: int) -> list[str]:
    return ["--size", str(mib << 20), "--tmpfs", path]


def command_line(spec: SandboxSpec, image: SandboxImage, sandbox_id: str, info_fd: int) -> list[str]:
    """Return the bubblewrap command for a sandbox.

    Without ``--dev``, which would add a second user namespace that the supervisor's remounts could not reach; without
    ``--die-with-parent``, which follows the thread that started it: the end of the channel ends the sandbox instead.
    """
    args = [bubblewrap(), *(f"--unshare-{name}" for name in NAMESPACES), "--as-pid-1", "--new-session", "--clearenv"]
    args += [*_folders(image), "--proc", "/proc", "--tmpfs", "/dev"]
    for device in DEVICES:
        args += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        args += ["--symlink", target, f"/dev/{name}"]
    args += _tmpfs("/dev/shm", SCRATCH_MIB) + _tmpfs("/tmp", SCRATCH_MIB)  # noqa: S108 - inside
    args += _tmpfs(spec.workdir, spec.resources.disk_mib)
    args += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--hostname", "sandbox"]
    for capability in BOOT_CAPABILITIES:
        args += ["--cap-add", capability]
    args += ["--uid", str(INNER_UID), "--gid", str(INNER_UID), "--info-fd", str(info_fd), "--"]
    return [*args, image.python, "-s", "-S", "-B", "-X", "utf8", "-c", boot.LOADER, sandbox_id]


def _mounts(spec: SandboxSpec) -> list[list[str]]:
    scratch = f"size={SCRATCH_MIB}m,nr_inodes={SCRATCH_FILES}"
    work = f"size={spec.resources.disk_mib}m,nr_inodes={spec.resources.max_files}"
    return [["/tmp", scratch], ["/dev/shm", scratch], [spec.workdir, work]]  # noqa: S108 - inside


@dataclass
class Started:
    """What was started for one sandbox."""

    child: spawn.Child
    group: cgroups.Cgroup | None


class LocalSandbox(ResidentSandbox):
    """A sandbox of `LocalProvider`."""

    def __init__(
        self, sandbox_id: str, spec: SandboxSpec, digest: str, started: Started, maker: "LocalProvider"
    ) -> None:
        super().__init__(sandbox_id, spec, started.child.channel, digest)
        self.child, self.group, self._maker = started.child, started.group, maker
        self._oom_kills = 0

    def _new_oom_kill(self) -> bool:
        before = self._oom_kills
        self._oom_kills = self.group.oom_kills() if self.group else 0
        return self._oom_kills > before

    def _died(self) -> Status | None:
        return "memory_limit" if self._new_oom_kill() else None

    def _refine(self, status: Status) -> Status:
        return "memory_limit" if self._new_oom_kill() and status == "killed" else status

    async def read_limits(self) -> dict[str, Any]:
        """Read back the limits that hold inside, and those of the cgroup, which is not visible there."""
        return {**await super().read_limits(), **(self.group.limits() if self.group else {})}

    async def _destroy(self) -> None:
        self.child.kill()
        try:
            with anyio.move_on_after(cgroups.REMOVE_WAIT_S):
                await self.child.wait()
            if self.group and not await self.group.remove_soon():
                raise SandboxError(f"the cgroup {self.group.name} cannot be removed: its processes do not die")
        finally:
            self._maker.forget(self)

    async def _restore(self, snapshot: SandboxSnapshot) -> Sandbox:
        return await self._maker.restore(snapshot, self.spec)


class LocalProvider(ResidentProvider):
    """Makes sandboxes with bubblewrap, as root or as a plain user.

    Args:
        cgroups: Bound the sum of memory, processes and CPU by a cgroup where one can be made. Without, those
            capabilities are absent.

    Raises:
        SandboxUnavailableError: bubblewrap is missing or does not work here.
    """

    name = "local"

    def __init__(self, *, cgroups: bool = True) -> None:
        bubblewrap()
        super().__init__()
        self._want_cgroups = cgroups

    @cached_property
    def _hierarchy(self) -> cgroups.Hierarchy | None:
        return cgroups.hierarchy() if self._want_cgroups else None

    @property
    def capabilities(self) -> frozenset[str]:
        """What holds on this machine; the protections of `ALWAYS` are verified again in every sandbox."""
        found = self._hierarchy.controllers if self._hierarchy else frozenset()
        extra = {"memory": "memory_sum", "cpu": "cpu_limit"}
        return ALWAYS | {extra[name] for name in found if name in extra}

    def advice(self, capability: str) -> str:
        """Say what to do to get a capability that is missing."""
        if capability in ("memory_sum", "cpu_limit"):
            return cgroups.why_none() if self._want_cgroups else "this provider was made with cgroups=False"
        return "use the provider 'docker' with runtime='runsc'" if capability == "kernel_isolation" else "unknown here"

    def _make_image(self, spec: SandboxSpec) -> None:
        image_of(spec)

    async def _create(self, spec: SandboxSpec) -> ResidentSandbox:
        if spec.network != "none":
            raise SandboxUnavailableError("local sandboxes have no network: use the provider 'docker'")
        image = image_of(spec)
        sandbox_id = Owner.current().new_id()
        group = cgroups.Cgroup(sandbox_id, self._hierarchy) if self._hierarchy else None
        if group:
            group.create(spec.resources)
        try:
            child = await self._start(spec, image, sandbox_id, group)
        except BaseException:
            if group:
                with anyio.CancelScope(shield=True):
                    await group.remove_soon()
            raise
        return LocalSandbox(sandbox_id, spec, image.digest, Started(child, group), self)

    async def _start(
        self, spec: SandboxSpec, image: SandboxImage, sandbox_id: str, group: cgroups.Cgroup | None
    ) -> spawn.Child:
        """Start bubblewrap, put its process 1 into the group, then let it boot."""
        info_read, info_write = os.pipe()
        try:
            child = spawn.start(command_line(spec, image, sandbox_id, info_write), spawn.next_uid(), [info_write])
        finally:
            os.close(info_write)
        try:
            await spawn.read_inner_pid(child, info_read)
            if group and child.inner:
                group.add(child.inner)
            await self._boot(child, spec, image)
        except BaseException as error:
            await _abandon(child)
            if isinstance(error, ChannelClosed | OSError):
                raise SandboxCreateError(f"the sandbox did not start: {child.said or error}") from error
            raise
        finally:
            os.close(info_read)
        return child

    async def _boot(self, child: spawn.Child, spec: SandboxSpec, image: SandboxImage) -> None:
        memory_sum = "memory_sum" in self.capabilities
        limits = boot.worker_limits(spec.resources, memory_sum=memory_sum, own_uid=True)
        paths = ["/opt/packages"] if image.packages else []
        config = boot.configuration(spec, limits=limits, mounts=_mounts(spec), confine=True, verify=True, paths=paths)
        await boot.boot(child.channel, image.magic, config, seccomp.bpf())

    async def cleanup(self, *, older_than_s: float = 0) -> int:
        """Kill the processes and remove the cgroups whose owner is dead."""
        return await anyio.to_thread.run_sync(self._cleanup, older_than_s)

    def _cleanup(self, older_than_s: float) -> int:
        removed = (
            sum(group.remove() for group in cgroups.left_over(self._hierarchy, older_than_s)) if self._hierarchy else 0
        )
        for pid in left_over_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
            removed += 1
        return removed

    def kill_now(self, sandbox: ResidentSandbox) -> None:
        """Destroy a sandbox without an event loop."""
        if isinstance(sandbox, LocalSandbox):
            sandbox.child.kill()
            sandbox.child.process.wait()
            if sandbox.group:
                sandbox.group.remove()


async def _abandon(child: spawn.Child) -> None:
    """Be rid of a sandbox that did not come up, keeping what it said."""
    child.channel.close()
    with anyio.CancelScope(shield=True), anyio.move_on_after(cgroups.REMOVE_WAIT_S):
        if child.inner is None:
            child.process.terminate()
        child.kill()
        await child.wait()


def left_over_processes() -> list[int]:
    """Return the processes that carry a dead owner's label as their last argument."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            last = (entry / "cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2]
        except OSError:
            continue
        if is_left_over(last.decode("ascii", "replace")):
            found.append(int(entry.name))
    return found
