"""Runs a program in a process of its own and leaves nothing of it behind.

A server starts workers, and those outlive a server that was killed. Every process that descends from ours carries a
token in its environment, by which the rest are found and ended.
"""

import contextlib
import ctypes
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

TOKEN = "TURNWISE_PROCESS_TOKEN"
_PR_SET_PDEATHSIG = 1
GRACE_S = 10.0
"""Seconds between asking a process to end and ending it."""


_RAISED = re.compile(r"\b[\w.]*(?:Error|Exception): .+")


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    trace: Path | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command until the block ends; then it and all its descendants end.

    A request to end us (SIGTERM) becomes ``SystemExit`` meanwhile. When we are killed the command is killed with us;
    what of its descendants outlives even that is ended by the next call with the same ``trace``.

    Args:
        command: The command.
        environment: Added to our own.
        log: Gets all output, after what it holds.
        cwd: Where it runs.
        trace: Remembers the token while the command runs.
    """
    token = secrets.token_hex(16)
    if trace is not None:
        end_left_behind(trace)
        trace.write_text(token, encoding="utf-8")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            list(command),
            env={**os.environ, **environment, TOKEN: token},
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one system call, ready before the fork
        )
        try:
            with _terminable():
                yield process
        finally:
            end(process.pid, token)
            process.wait()
            if trace is not None:
                trace.unlink(missing_ok=True)


def end_left_behind(trace: Path) -> None:
    """End what a killed call with this trace has left running."""
    with contextlib.suppress(OSError):
        token = trace.read_text(encoding="utf-8").strip()
        for pid in carriers(token) if token else ():
            end(pid, token)
        trace.unlink()


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes a new process ask the kernel to kill it when the thread that started it ends."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)

    return ask


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Make a request to end us an exception, so that what we started ends first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end(pid: int, token: str) -> None:
    """End a process and all that carry its token."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        left = [pid for pid in {pid, *carriers(token)} if _signal(pid, kind)]
        until = time.monotonic() + GRACE_S
        while left and time.monotonic() < until:
            left = [pid for pid in left if _running(pid)]
            time.sleep(0.05)
        if not left and not carriers(token):
            return


def carriers(token: str) -> list[int]:
    """Return the processes whose environment holds the token."""
    needle = f"{TOKEN}={token}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if needle in (folder / "environ").read_bytes() and _running(int(folder.name)):
                found.append(int(folder.name))
    return found


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _signal(pid: int, kind: signal.Signals) -> bool:
    try:
        os.kill(pid, kind)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def last_error(log: Path, start: int = 0, *, generic: Sequence[str] = ()) -> str:
    """Return the last line of a log that names an exception, else its last line.

    Args:
        log: The log.
        start: Byte to read from.
        generic: Parts of lines that only point at another error; such a line is taken where there is no other.
    """
    with log.open("rb") as stream:
        stream.seek(start)
        lines = [line.strip() for line in stream.read().decode("utf-8", "replace").splitlines()[-400:] if line.strip()]
    raised = [found.group() for line in lines if (found := _RAISED.search(line))]
    telling = [line for line in raised if not any(part in line for part in generic)]
    return (telling or raised or [line for line in lines if "Error" in line] or lines or ["no output"])[-1][:400]
