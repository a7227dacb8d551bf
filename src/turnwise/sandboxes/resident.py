"""A sandbox whose supervisor sits at the other end of a channel: all that providers share."""

import hashlib
import json
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast, get_args

import anyio

from turnwise.errors import (
    ConfigError,
    OutputLimitExceededError,
    ReplayDiverged,
    SandboxClosedError,
    SandboxError,
    SandboxFileError,
    SandboxTimeoutError,
)
from turnwise.sandboxes.base import ExecResult, Language, RecordedRequest, Sandbox, SandboxSnapshot, SandboxSpec, Status
from turnwise.sandboxes.channel import Channel, ChannelClosed, Header, MalformedFrame
from turnwise.sandboxes.workspace import CHUNK, make_tar, tar_requests

MAX_CODE = 4 << 20
HISTORY_LIMIT = 32 << 20
SUPERVISOR_GRACE_S = 10.0
TRANSFER_S = 60.0
STATUSES: frozenset[str] = frozenset(get_args(Status))
LANGUAGES: frozenset[str] = frozenset(get_args(Language))
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass
class History:
    """Every request that changed the sandbox, while it is short enough to be replayed."""

    requests: list[tuple[Header, bytes, str]] = field(default_factory=list)
    size: int = 0

    def add(self, header: Header, body: bytes, outcome: str) -> None:
        """Record one request."""
        self.size += len(body) + 256
        if self.size <= HISTORY_LIMIT:
            self.requests.append((header, body, outcome))

    def recorded(self) -> tuple[RecordedRequest, ...]:
        """Return the requests as plain data."""
        return tuple(
            RecordedRequest(json.dumps(header, sort_keys=True), body, outcome)
            for header, body, outcome in self.requests
        )

    @property
    def complete(self) -> bool:
        """Whether nothing had to be left out."""
        return self.size <= HISTORY_LIMIT


def outcome_of(result: ExecResult) -> str:
    """Digest what a replay must answer again; addresses of objects differ from process to process."""
    text = _ADDRESS.sub("0x", f"{result.status} {result.exit_code}\n{result.stdout}\0{result.stderr}")
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


class ResidentSandbox(ABC):
    """A `Sandbox` on a channel. A provider adds how it is destroyed and how others like it are made."""

    def __init__(self, sandbox_id: str, spec: SandboxSpec, channel: Channel, image_digest: str) -> None:
        self.id, self.spec, self.image_digest = sandbox_id, spec, image_digest
        self.closed = False
        self._channel = channel
        self._lock = anyio.Lock(fast_acquire=True)
        self.sessions: set[tuple[Language, str]] = set()
        self._history = History()
        self._branches = 0
        self._close_lock = anyio.Lock()

    # What a provider adds

    @abstractmethod
    async def _destroy(self) -> None:
        """Kill and remove everything; called once."""

    @abstractmethod
    async def _restore(self, snapshot: SandboxSnapshot) -> Sandbox:
        """Make another sandbox of the same provider and spec in the state of ``snapshot``."""

    def _died(self) -> Status | None:
        """Say why the supervisor died, if that was the program's doing."""
        return None

    def _refine(self, status: Status) -> Status:
        """Correct a status by what only the host can see."""
        return status

    # Running

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
        argv = ["bash", "--norc", "--noprofile", "-c", command] if isinstance(command, str) else list(command)
        if not argv or any("\0" in part for part in argv) or len(stdin or b"") > MAX_CODE:
            raise ConfigError(f"a command is one or more strings without NUL and at most {MAX_CODE} bytes of input")
        header = {"op": "exec", "argv": argv, "cwd": cwd or "", "env": dict(env or {}), "timeout": timeout_s}
        return await self._execute(header, stdin or b"")

    async def run_code(
        self, code: str, *, language: Language = "python", session: str | None = None, timeout_s: float = 30
    ) -> ExecResult:
        """Run code: once in a fresh process, or as the next cell of the session named."""
        body = code.encode("utf-8", "surrogatepass")
        if language not in LANGUAGES:
            raise ConfigError(f"no language is named {language!r}; there are {', '.join(sorted(LANGUAGES))}")
        if len(body) > MAX_CODE:
            raise ConfigError(f"code has {len(body)} bytes, the limit is {MAX_CODE}")
        if session is None:
            return await self._execute({"op": "run", "language": language, "timeout": timeout_s}, body)
        header = {"op": "cell", "language": language, "session": session, "timeout": timeout_s}
        result = await self._execute(header, body)
        key = (language, session)
        (self.sessions.discard if result.state_lost else self.sessions.add)(key)
        return result

    async def _execute(self, header: Header, body: bytes) -> ExecResult:
        if not header["timeout"] > 0:
            raise ConfigError(f"timeout_s must be positive, got {header['timeout']!r}")
        asked = time.monotonic()
        async with self._lock:
            queued = time.monotonic() - asked
            result = await self._answer(header, body, queued)
        self._history.add(header, body, outcome_of(result))
        return result

    async def _answer(self, header: Header, body: bytes, queued: float) -> ExecResult:
        """Send one request that runs code; whatever breaks on the way ends the sandbox."""
        self._check_open()
        began = time.monotonic()
        try:
            with anyio.fail_after(header["timeout"] + SUPERVISOR_GRACE_S):
                await self._channel.send(header, body)
                reply, output = await self._channel.receive()
            result = self._result(reply, output, queued)
        except TimeoutError:
            await self.close()
            return _lost("timeout", "the sandbox did not answer in time and was destroyed", began, queued)
        except MalformedFrame as error:
            await self.close()
            return _lost("sandbox_error", str(error), began, queued)
        except ChannelClosed as error:
            status = self._died()
            await self.close()
            if status is None:
                raise SandboxError(f"sandbox {self.id} died while it ran code: {error}") from error
            return _lost(status, "the sandbox was killed at its memory limit", began, queued)
        except BaseException:
            # Cancelled half-way: what the sandbox would answer next is unknown.
            await self.close()
            raise
        if result.status == "sandbox_error":
            await self.close()
        return result

    def _result(self, reply: Header, output: bytes, queued: float) -> ExecResult:
        """Turn a reply into a result, believing nothing about its shape."""
        status, split = reply.get("status"), reply.get("stdout", 0)
        code, seconds, cpu = reply.get("exit_code"), reply.get("duration_s", 0.0), reply.get("cpu_s", 0.0)
        if status not in STATUSES or not isinstance(split, int) or not isinstance(code, int | None):
            raise MalformedFrame(f"an answer has no meaning: {str(reply)[:200]}")
        if not isinstance(seconds, int | float) or not isinstance(cpu, int | float):
            raise MalformedFrame(f"an answer has no meaning: {str(reply)[:200]}")
        message, files = reply.get("message"), reply.get("files")
        if files is not None and not _is_digest(files):
            raise MalformedFrame(f"an answer has no meaning: {str(reply)[:200]}")
        return ExecResult(
            stdout=output[:split].decode("utf-8", "replace"),
            stderr=str(message)[:500] if message else output[split:].decode("utf-8", "replace"),
            exit_code=code,
            status=self._refine(cast(Status, status)),
            duration_s=float(seconds),
            truncated=bool(reply.get("truncated")),
            state_lost=bool(reply.get("state_lost")),
            cpu_s=float(cpu),
            queue_s=queued,
            files=files,
        )

    # Files

    async def _call(self, header: Header, body: bytes = b"") -> list[tuple[Header, bytes]]:
        """Send one request that runs no code and return the frames of its answer."""
        async with self._lock:
            self._check_open()
            try:
                with anyio.fail_after(TRANSFER_S):
                    await self._channel.send(header, body)
                    frames = [frame async for frame in self._channel.replies()]
            except TimeoutError as error:
                await self.close()
                raise SandboxTimeoutError(f"sandbox {self.id} took over {TRANSFER_S:g} s for {header['op']}") from error
            except BaseException:
                await self.close()
                raise
        last = frames[-1][0]
        if "refused" in last:
            raise SandboxFileError(f"{header.get('path', header['op'])!r}: {last['refused']}")
        if "too_large" in last:
            raise OutputLimitExceededError(str(last["too_large"])[:500])
        if last.get("status") == "sandbox_error":
            await self.close()
            raise SandboxError(f"sandbox {self.id} could not end its processes")
        return frames

    async def read_file(self, path: str, *, max_bytes: int = 10 << 20) -> bytes:
        """Read a regular file of the workspace; see `Sandbox.read_file`."""
        frames = await self._call({"op": "read", "path": path, "most": max_bytes})
        data = b"".join(body for _, body in frames)
        if len(data) > max_bytes:
            raise OutputLimitExceededError(f"{path!r} gave {len(data)} bytes, the limit is {max_bytes}")
        return data

    async def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file of the workspace, making directories above it."""
        for start in range(0, max(len(data), 1), CHUNK):
            header = {"op": "write", "path": path, "mode": mode, "append": start > 0}
            chunk = data[start : start + CHUNK]
            await self._call(header, chunk)
            self._history.add(header, chunk, "")

    async def upload(self, source: Path, target: str) -> None:
        """Copy a file or directory of the host into the workspace; links in it are left out."""
        for path, name in await anyio.to_thread.run_sync(_regular_files, source):
            data = await anyio.Path(path).read_bytes()
            await self.write_file(f"{target}/{name}" if name else target, data, mode=os.stat(path).st_mode & 0o777)

    async def download(self, source: str, target: Path) -> None:
        """Copy a file or directory of the workspace to the host; links in it are left out."""
        try:
            data = await self.read_file(source, max_bytes=self._disk)
        except SandboxFileError as error:
            entries = await self._pack_if_directory(source, error)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            await anyio.Path(target).write_bytes(data)
            return
        for entry, content in entries:
            destination = _below(target, entry["path"])
            if entry["kind"] == "directory":
                destination.mkdir(parents=True, exist_ok=True)
            elif entry["kind"] == "file":
                destination.parent.mkdir(parents=True, exist_ok=True)
                destination.write_bytes(content)

    async def _pack_if_directory(self, path: str, refused: SandboxFileError) -> list[tuple[dict[str, Any], bytes]]:
        try:
            return await self._pack(path)
        except SandboxFileError:
            raise refused from None

    @property
    def _disk(self) -> int:
        return self.spec.resources.disk_mib << 20

    async def _pack(self, path: str = "") -> list[tuple[dict[str, Any], bytes]]:
        """Return the entries below a directory with their contents."""
        entries: list[tuple[dict[str, Any], bytearray]] = []
        total = 0
        for header, body in await self._call({"op": "pack", "path": path, "most": self._disk}):
            if "entry" in header:
                entries.append((_entry(header["entry"]), bytearray()))
            elif body and entries:
                total += len(body)
                if total > self._disk:
                    raise OutputLimitExceededError(f"the workspace gave more than {self._disk} bytes")
                entries[-1][1].extend(body)
        return [(entry, bytes(content)) for entry, content in entries]

    # State

    async def close_session(self, session: str, *, language: Language = "python") -> None:
        """End a session; a later cell of that name begins a new one."""
        header = {"op": "close_session", "session": session, "language": language}
        await self._call(header)
        self.sessions.discard((language, session))
        self._history.add(header, b"", "")

    def next_branch(self) -> int:
        """Return a number that no branch of this sandbox has had."""
        self._branches += 1
        return self._branches

    async def copy_session(self, language: Language, session: str, new: str, folder: str) -> None:
        """Copy the process of a session; the copy goes on in another folder of the workspace.

        Raises:
            SandboxFileError: The kernel refused, or the session's code was in the way.
        """
        header = {"op": "branch", "language": language, "session": session, "new": new, "folder": folder}
        await self._call(header)
        self.sessions.add((language, new))
        self._history.add(header, b"", "")

    async def snapshot(self) -> SandboxSnapshot:
        """Copy the state as plain data.

        Raises:
            SandboxError: A session is open and its history is too long to be replayed.
        """
        tar, files = make_tar(await self._pack()), await self.files_digest()
        if self.sessions and not self._history.complete:
            raise SandboxError(
                f"the history of sandbox {self.id} is too long to be replayed (over {HISTORY_LIMIT} bytes)"
            )
        history = self._history.recorded() if self.sessions else ()
        return SandboxSnapshot(tar=tar, history=history, image_digest=self.image_digest, files=files)

    async def files_digest(self) -> str:
        """Hash the workspace inside the sandbox, by its supervisor; see `Sandbox.files_digest`."""
        (reply, _), *_ = await self._call({"op": "digest", "most": self._disk})
        found = reply.get("digest")
        if not _is_digest(found):
            await self.close()
            raise MalformedFrame(f"an answer has no meaning: {str(reply)[:200]}")
        return str(found)

    async def load(self, snapshot: SandboxSnapshot) -> None:
        """Bring this fresh sandbox to the state of a snapshot.

        Raises:
            ReplayDiverged: A replayed cell answered otherwise than it had.
        """
        for number, item in enumerate(snapshot.history):
            await self._replay(number, item)
        # Files that the replay made are left alone: sessions may hold them open, or be in their directories.
        if not snapshot.history or await self.files_digest() != snapshot.files:
            await self._call({"op": "clear"})
            for header, body in tar_requests(snapshot.tar):
                await self._call(header, body)

    async def _replay(self, number: int, item: RecordedRequest) -> None:
        header = json.loads(item.header)
        if header.get("op") not in ("run", "cell", "exec"):
            await self._call(header, item.body)
            self._history.add(header, item.body, "")
            if header["op"] == "branch":
                self.sessions.add((header["language"], header["new"]))
            elif header["op"] == "close_session":
                self.sessions.discard((header["language"], header["session"]))
            return
        result = await self._execute(header, item.body)
        if header["op"] == "cell" and not result.state_lost:
            self.sessions.add((header["language"], header["session"]))
        if outcome_of(result) != item.outcome:
            raise ReplayDiverged(
                f"request {number} of the snapshot's history answered otherwise: {result.stdout[:200]!r}"
            )

    async def fork(self, count: int = 1) -> list[Sandbox]:
        """Return ``count`` new sandboxes in the present state; all or none."""
        snapshot = await self.snapshot()
        forks: list[Sandbox] = []
        try:
            async with anyio.create_task_group() as group:
                for _ in range(count):
                    group.start_soon(self._fork_one, snapshot, forks)
        except BaseException as error:
            for sandbox in forks:
                await sandbox.close()
            if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                raise error.exceptions[0] from None
            raise
        return forks

    async def _fork_one(self, snapshot: SandboxSnapshot, forks: list[Sandbox]) -> None:
        forks.append(await self._restore(snapshot))

    async def read_limits(self) -> dict[str, Any]:
        """Read back from a worker the limits and protections that hold for it."""
        (_, body), *_ = await self._call({"op": "limits"})
        limits: dict[str, Any] = json.loads(body)
        return limits

    async def place_files(self) -> None:
        """Write the spec's files."""
        for path, data in self.spec.files.items():
            await self.write_file(path, data)

    async def reset(self) -> None:
        """End all sessions and bring the workspace back to the spec's files."""
        await self._call({"op": "reset"})
        self.sessions.clear()
        self._history = History()
        await self.place_files()

    # Life

    def _check_open(self) -> None:
        if self.closed:
            raise SandboxClosedError(f"sandbox {self.id} is closed")

    async def is_alive(self) -> bool:
        """Whether the sandbox still answers."""
        try:
            await self._call({"op": "close_session", "session": "", "language": ""})
        except SandboxError:
            return False
        return True

    async def close(self) -> None:
        """Destroy the sandbox: idempotent, and not stopped half-way by a cancellation."""
        with anyio.CancelScope(shield=True):
            async with self._close_lock:
                if not self.closed:
                    self.closed = True
                    self._channel.close()
                    await self._destroy()

    async def __aenter__(self) -> Self:
        """Return the sandbox itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()


def _lost(status: Status, why: str, began: float, queued: float) -> ExecResult:
    seconds = time.monotonic() - began
    return ExecResult(
        stdout="", stderr=why, exit_code=None, status=status, duration_s=seconds, state_lost=True, queue_s=queued
    )


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _regular_files(source: Path) -> list[tuple[Path, str]]:
    """List a file, or the files below a folder with their names below it, sorted."""
    if not source.is_dir():
        return [(source, "")]
    paths = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    return [(path, path.relative_to(source).as_posix()) for path in paths]


def _entry(entry: Any) -> dict[str, Any]:
    """Check an entry of a packed directory, which names a path on its way to the host."""
    fields = {"path": str, "mode": int, "size": int, "kind": str}
    if not isinstance(entry, dict) or any(not isinstance(entry.get(name), kind) for name, kind in fields.items()):
        raise MalformedFrame(f"an entry has no meaning: {str(entry)[:200]}")
    return entry


def _below(folder: Path, path: str) -> Path:
    parts = path.split("/")
    if path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise SandboxFileError(f"{path!r} is not a path below the folder it is copied to")
    return folder.joinpath(*parts)
