"""Control groups, version 1 or 2: the only bound on the sum of what a sandbox's processes take together.

A group is made per sandbox below this process's own (or below ``TURNWISE_CGROUP``), so an outer limit goes on holding.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anyio

from turnwise.errors import SandboxCreateError
from turnwise.sandboxes.base import SandboxResources
from turnwise.sandboxes.owner import Owner, is_left_over

MOUNT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
CONTROLLERS = ("memory", "pids", "cpu")
SUPERVISOR_PIDS = 2
REMOVE_WAIT_S = 5.0


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made: one parent for version 2, one per controller for version 1."""

    version: int
    parents: dict[str, Path]

    @property
    def controllers(self) -> frozenset[str]:
        """What can be limited."""
        return frozenset(self.parents)


def _own_paths() -> dict[str, str]:
    """Map each controller ("" for version 2) to this process's group."""
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _writable(parent: Path) -> bool:
    """Try what `create` does; asking for permissions is not enough on a read-only mount."""
    trial = parent / Owner.current().new_id()
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError:
        return False
    return True


def _version_2(own: dict[str, str]) -> Hierarchy | None:
    chosen = os.environ.get("TURNWISE_CGROUP")
    parent = Path(chosen) if chosen else MOUNT / own.get("", "/").lstrip("/")
    try:
        enabled = set((parent / "cgroup.subtree_control").read_text(encoding="ascii").split())
    except OSError:
        return None
    if not set(CONTROLLERS) <= enabled or not _writable(parent):
        return None
    return Hierarchy(2, dict.fromkeys(CONTROLLERS, parent))


def _version_1(own: dict[str, str]) -> Hierarchy | None:
    parents = {name: MOUNT / name / own[name].lstrip("/") for name in CONTROLLERS if name in own}
    usable = {name: path for name, path in parents.items() if path.is_dir() and _writable(path)}
    return Hierarchy(1, usable) if "memory" in usable else None


@cache
def hierarchy() -> Hierarchy | None:
    """Return where groups can be made on this machine, None if nowhere."""
    try:
        own = _own_paths()
    except OSError:
        return None
    return _version_2(own) or _version_1(own)


def why_none() -> str:
    """Say what to do where no group can be made."""
    return (
        "no memory cgroup can be made by this process: run as root, or in a delegated group (for example "
        "`systemd-run --user --scope -p Delegate=yes`, with its processes moved into a child) named in TURNWISE_CGROUP"
    )


class Cgroup:
    """The group of one sandbox."""

    def __init__(self, name: str, where: Hierarchy) -> None:
        self.name, self._where, self._oom_file = name, where, -1
        self._folders = sorted({parent / name for parent in where.parents.values()})

    def _folder(self, controller: str) -> Path | None:
        parent = self._where.parents.get(controller)
        return parent / self.name if parent else None

    def create(self, resources: SandboxResources) -> None:
        """Make the group and write its limits.

        Raises:
            SandboxCreateError: The kernel refused one.
        """
        try:
            for folder in self._folders:
                folder.mkdir()
            for controller, file, value in _limits(self._where.version, resources):
                folder_of = self._folder(controller)
                if folder_of and (folder_of / file).exists():
                    (folder_of / file).write_text(str(value), encoding="ascii")
            if memory := self._folder("memory"):
                file = "memory.events" if self._where.version == 2 else "memory.oom_control"
                self._oom_file = os.open(memory / file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self.remove()
            raise SandboxCreateError(f"the cgroup {self.name} could not be set up: {error}") from error

    def add(self, pid: int) -> None:
        """Move a process in; what it forks from then on is in it too."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed at the memory limit."""
        if self._oom_file == -1:
            return 0
        # Read after every run, so the file stays open.
        lines = os.pread(self._oom_file, 4096, 0).splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(b"oom_kill "))

    def limits(self) -> dict[str, int]:
        """Read back what the kernel says it enforces, as `kernel.read_limits` names it."""
        files = {
            "group_memory": ("memory", "memory.limit_in_bytes", "memory.max"),
            "group_pids": ("pids", *2 * ["pids.max"]),
        }
        found = {}
        for name, (controller, *by_version) in files.items():
            folder = self._folder(controller)
            if folder:
                found[name] = int((folder / by_version[self._where.version - 1]).read_text(encoding="ascii"))
        return found

    def pids(self) -> Iterator[int]:
        """Yield the processes in the group."""
        for folder in self._folders:
            try:
                yield from map(int, (folder / "cgroup.procs").read_text(encoding="ascii").split())
            except OSError:
                continue

    def kill(self) -> None:
        """Send SIGKILL to everything in the group."""
        for pid in set(self.pids()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def remove(self) -> bool:
        """Remove the group, once it is empty; returns False if it did not become so in five seconds."""
        deadline = time.monotonic() + REMOVE_WAIT_S
        while time.monotonic() < deadline:
            if self._remove_once():
                return True
            self.kill()
            time.sleep(0.002)
        return False

    async def remove_soon(self) -> bool:
        """Remove the group as `remove` does, without blocking the event loop."""
        with anyio.move_on_after(REMOVE_WAIT_S):
            while not self._remove_once():
                self.kill()
                await anyio.sleep(0.002)
            return True
        return False

    def _remove_once(self) -> bool:
        if self._oom_file != -1:
            os.close(self._oom_file)
            self._oom_file = -1
        try:
            for folder in self._folders:
                if folder.exists():
                    folder.rmdir()
        except OSError:
            return False
        return True


def _limits(version: int, resources: SandboxResources) -> list[tuple[str, str, int | str]]:
    total = resources.total_mib << 20
    quota = max(1000, int(resources.cpu * PERIOD_US))
    pids = resources.pids + SUPERVISOR_PIDS
    if version == 2:
        return [
            ("memory", "memory.max", total),
            ("memory", "memory.swap.max", 0),
            ("pids", "pids.max", pids),
            ("cpu", "cpu.max", f"{quota} {PERIOD_US}"),
        ]
    return [
        ("memory", "memory.limit_in_bytes", total),
        ("memory", "memory.memsw.limit_in_bytes", total),
        ("pids", "pids.max", pids),
        ("cpu", "cpu.cfs_period_us", PERIOD_US),
        ("cpu", "cpu.cfs_quota_us", quota),
    ]


def left_over(where: Hierarchy, older_than_s: float) -> list[Cgroup]:
    """Return the groups of dead owners."""
    found: dict[str, Cgroup] = {}
    oldest = time.time() - older_than_s
    for parent in set(where.parents.values()):
        for folder in parent.glob("turnwise-*"):
            if is_left_over(folder.name) and folder.stat().st_mtime <= oldest:
                found[folder.name] = Cgroup(folder.name, where)
    return list(found.values())
