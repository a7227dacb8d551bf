"""The contract of a place where untrusted code runs: what is asked for, what comes back, what a provider must do.

What a program does to itself (an error, a time-out, death by memory) is an `ExecResult`. What is not its doing raises
a `SandboxError` and must never be scored.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

from turnwise.errors import ConfigError

Language = Literal["python", "bash", "sql"]
Status = Literal["ok", "error", "timeout", "output_limit", "memory_limit", "killed", "sandbox_error"]
WORKDIR = "/workspace"


@dataclass(frozen=True, kw_only=True)
class SandboxResources:
    """Limits of one sandbox. All are upper bounds that hold for everything in it together, unless said otherwise."""

    cpu: float = 1.0
    """CPU cores, as a share over time (needs a cgroup)."""
    memory_mib: int = 256
    """Memory of the processes: of each one always, of their sum where a cgroup can be written."""
    disk_mib: int = 64
    """Size of the workspace; /tmp and /dev/shm have 16 MiB each beside it."""
    pids: int = 64
    """Processes and threads."""
    nofile: int = 256
    """Open files of one process."""
    max_files: int = 16384
    """Files and directories of the workspace."""
    output_kib: int = 64
    """Bytes kept of each of stdout and stderr; the rest is read and dropped."""
    drain_mib: int = 100
    """Output after which the program is killed."""
    sessions: int = 8
    """Sessions open at once."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ConfigError(f"SandboxResources.{name} must be positive, got {value!r}")

    @property
    def total_mib(self) -> int:
        """What a cgroup allows in all: processes, workspace, /tmp and /dev/shm, whose files are memory too."""
        return self.memory_mib + self.disk_mib + 32


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """What a sandbox must be. Two sandboxes of equal specs are alike."""

    image: str | None = None
    """None: the system's interpreter. A directory: a root file system. Else the name of a Docker image."""
    packages: tuple[str, ...] = ()
    """Distributions that the code may import, taken from this environment with what they require."""
    resources: SandboxResources = field(default_factory=SandboxResources)
    network: Literal["none", "bridge"] = "none"
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = WORKDIR
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files of the workspace at the start, by path below it."""
    require: frozenset[str] = frozenset({"memory_sum"})
    """Capabilities without which `create` refuses; leaving one out accepts the miss."""
    ttl_s: float = 3600
    """Time to live: the sandbox ends itself after it, whoever still holds it."""
    ready_timeout_s: float = 30
    metadata: Mapping[str, str] = field(default_factory=dict)
    look: bool = False
    """Hash the workspace after every run, into `ExecResult.files`, without a round trip for `Sandbox.files_digest`."""

    def __post_init__(self) -> None:
        if not self.workdir.startswith("/") or self.workdir.rstrip("/") in ("", "/tmp"):  # noqa: S108 - refused
            raise ConfigError(f"SandboxSpec.workdir must be an absolute directory of its own, got {self.workdir!r}")
        if self.ttl_s <= 0 or self.ready_timeout_s <= 0:
            raise ConfigError("SandboxSpec.ttl_s and ready_timeout_s must be positive")

    def accept(self, *misses: str) -> "SandboxSpec":
        """Return this spec without requiring the capabilities named, as a caller who knows the miss."""
        return replace(self, require=self.require - set(misses))


@dataclass(frozen=True, kw_only=True)
class ExecResult:
    """What became of a command or a cell. Its text is data of the program: parse nothing from it that must be true."""

    stdout: str
    stderr: str
    exit_code: int | None
    """None when it did not end by itself; minus the signal's number when a signal killed it."""
    status: Status
    duration_s: float
    """Wall-clock seconds in the sandbox, time in queues not counted."""
    truncated: bool = False
    state_lost: bool = False
    """The session (or the whole sandbox) is gone; the next cell begins a new one."""
    cpu_s: float = 0.0
    """CPU seconds, less dependent on the machine's load than `duration_s`."""
    queue_s: float = 0.0
    """Seconds spent waiting for a turn before it began."""
    files: str | None = None
    """The digest of the workspace after it, where the spec says ``look`` and `Sandbox.files_digest` would not raise."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.status == "ok"


@dataclass(frozen=True)
class RecordedRequest:
    """One request of a sandbox's history: its header as JSON, its body, and the digest of what it answered."""

    header: str
    body: bytes
    outcome: str


@dataclass(frozen=True, kw_only=True)
class SandboxSnapshot:
    """A sandbox's state as plain data: the workspace as a tar, and the requests that rebuild its sessions.

    It can be restored by any provider. Files are exact. Sessions are replayed and checked, so they are the same only
    where the code used no clock, thread, process id or randomness.
    """

    tar: bytes
    history: tuple[RecordedRequest, ...] = ()
    image_digest: str = ""
    files: str = ""
    """The digest of the workspace, as `Sandbox.files_digest` gives it."""

    @property
    def digest(self) -> str:
        """The sha256 of the content: equal states of equal histories have equal digests."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Encode as JSON."""
        history = [[item.header, _text(item.body), item.outcome] for item in self.history]
        digests = {"image_digest": self.image_digest, "files": self.files}
        data = {"version": 1, "tar": _text(self.tar), "history": history, **digests}
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "SandboxSnapshot":
        """Decode what `to_bytes` gave.

        Raises:
            ConfigError: This is no snapshot.
        """
        try:
            content: dict[str, Any] = json.loads(data)
            history = tuple(
                RecordedRequest(str(header), base64.b64decode(body), str(outcome))
                for header, body, outcome in content["history"]
            )
            digests = {"image_digest": str(content["image_digest"]), "files": str(content["files"])}
            return cls(tar=base64.b64decode(content["tar"]), history=history, **digests)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"this is no sandbox snapshot: {error}") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@runtime_checkable
class Sandbox(Protocol):
    """One sandbox; usable as ``async with``. Calls on the same sandbox wait for one another."""

    id: str
    spec: SandboxSpec
    image_digest: str

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 30,
    ) -> ExecResult:
        """Run a command: a string by bash, a sequence as it is. Nothing of it is left when this returns."""
        ...

    async def run_code(
        self, code: str, *, language: Language = "python", session: str | None = None, timeout_s: float = 30
    ) -> ExecResult:
        """Run code: once in a fresh process, or as the next cell of the session named."""
        ...

    async def read_file(self, path: str, *, max_bytes: int = 10 << 20) -> bytes:
        """Read a regular file of the workspace.

        Raises:
            SandboxFileError: Missing, a link, not a regular file, or not below the workspace.
            OutputLimitExceededError: Larger than ``max_bytes``.
        """
        ...

    async def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file of the workspace, making directories above it. Raises as `read_file`."""
        ...

    async def upload(self, source: Path, target: str) -> None:
        """Copy a file or directory of the host into the workspace; links in it are left out."""
        ...

    async def download(self, source: str, target: Path) -> None:
        """Copy a file or directory of the workspace to the host; links in it are left out."""
        ...

    async def close_session(self, session: str, *, language: Language = "python") -> None:
        """End a session; a later cell of that name begins a new one."""
        ...

    async def files_digest(self) -> str:
        """Hash names, modes, links and contents of the workspace: 64 hex digits, the same for the same on any machine.

        Raises:
            SandboxFileError: Too many directories deep.
            OutputLimitExceededError: The files, holes counted, are larger than the workspace.
        """
        ...

    async def snapshot(self) -> SandboxSnapshot:
        """Copy the state as plain data."""
        ...

    async def fork(self, count: int = 1) -> list["Sandbox"]:
        """Return ``count`` new sandboxes in the present state; all or none."""
        ...

    async def is_alive(self) -> bool:
        """Whether the sandbox still answers."""
        ...

    async def reset(self) -> None:
        """End all sessions and bring the workspace back to the spec's files."""
        ...

    async def close(self) -> None:
        """Destroy the sandbox: idempotent, and not stopped half-way by a cancellation."""
        ...

    async def __aenter__(self) -> Self:
        """Return the sandbox itself."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...


@runtime_checkable
class SandboxProvider(Protocol):
    """Makes sandboxes of one kind; usable as ``async with``."""

    name: str

    @property
    def capabilities(self) -> frozenset[str]:
        """What holds on this machine, found by trying.

        Of: ``network_off``, ``memory_sum``, ``cpu_limit``, ``pid_limit``, ``disk_limit``, ``inode_limit``, ``seccomp``,
        ``isolation``, ``fork``, ``snapshot``, ``kernel_isolation``.
        """
        ...

    async def create(self, spec: SandboxSpec | None = None) -> Sandbox:
        """Make a sandbox and wait until it is ready.

        Raises:
            SandboxUnavailableError: The backend is missing, or lacks a capability that the spec requires.
            SandboxCreateError: The sandbox did not come up.
            SandboxTimeoutError: It did not in time.
        """
        ...

    async def restore(self, snapshot: SandboxSnapshot, spec: SandboxSpec | None = None) -> Sandbox:
        """Make a sandbox in the state of a snapshot.

        Raises:
            ReplayDiverged: A replayed cell answered otherwise than it had.
        """
        ...

    async def cleanup(self, *, older_than_s: float = 0) -> int:
        """Remove what dead owners left on this machine and return how many things that were."""
        ...

    async def aclose(self) -> None:
        """Close every sandbox made here."""
        ...

    async def __aenter__(self) -> Self:
        """Return the provider itself."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...


def missing(require: Iterable[str], capabilities: frozenset[str]) -> list[str]:
    """Return the required capabilities that are not there, sorted."""
    return sorted(set(require) - capabilities)
