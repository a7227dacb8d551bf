"""A child process on this machine and the ways to be rid of it: shared by `local` and `unsafe_local`."""

import itertools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import anyio

from turnwise.errors import SandboxCreateError
from turnwise.sandboxes.channel import Channel

UID_BASE, UID_COUNT = 61_000, 100
STDERR_SHOWN = 500
_INNER_PID = re.compile(rb'"child-pid":\s*(\d+)\D')
_slots = itertools.count()


def next_uid() -> int | None:
    """Return the user a sandbox runs as when root starts it, a different one for each of a hundred in turn."""
    return UID_BASE + next(_slots) % UID_COUNT if os.geteuid() == 0 else None


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")


def as_user(command: Sequence[str], uid: int | None) -> tuple[list[str], dict[str, Any]]:
    """Return the command line and the Popen arguments that run ``command`` as ``uid``.

    Through setpriv where there is one: Popen's own ``user`` would make it fork a copy of this process's page tables,
    which is slow in a trainer that holds many gigabytes.
    """
    if uid is None:
        return list(command), {}
    if setpriv := _setpriv():
        return [setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *command], {}
    return list(command), {"user": uid, "group": uid, "extra_groups": []}


@dataclass
class Child:
    """A started process with its channel; ``inner`` is process 1 of its namespace where it has one."""

    process: "subprocess.Popen[bytes]"
    channel: Channel
    pidfd: int
    inner: int | None = None
    inner_pidfd: int = -1
    said: str = ""
    """What it wrote to stderr, known once it was collected."""

    def kill(self) -> None:
        """Kill the inner process 1, which takes its namespace with it; its parent ends by itself."""
        target = self.inner_pidfd if self.inner_pidfd != -1 else self.pidfd
        try:
            signal.pidfd_send_signal(target, signal.SIGKILL)
        except ProcessLookupError:
            return

    async def wait(self) -> None:
        """Wait for the end of the started process and collect it."""
        if self.pidfd == -1:
            return
        await anyio.wait_readable(self.pidfd)
        self.reap()

    def reap(self) -> None:
        """Collect the process, which must have ended or been killed, and close what was open."""
        self.process.wait()
        for fd in {self.pidfd, self.inner_pidfd} - {-1}:
            os.close(fd)
        self.pidfd = self.inner_pidfd = -1
        if self.process.stderr:
            self.said = self._complaint()
            self.process.stderr.close()

    def _complaint(self) -> str:
        stream = self.process.stderr
        if stream is None or not select.select([stream], [], [], 0)[0]:
            return ""
        return os.read(stream.fileno(), 1 << 16).decode("utf-8", "replace").strip()[-STDERR_SHOWN:]


def start(command: Sequence[str], uid: int | None, pass_fds: Sequence[int] = ()) -> Child:
    """Start a process whose standard input and output are one channel to it.

    Raises:
        SandboxCreateError: It could not be started.
    """
    ours, theirs = socket.socketpair()
    argv, user = as_user(command, uid)
    try:
        process = subprocess.Popen(
            argv,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            pass_fds=pass_fds,
            cwd="/",
            start_new_session=True,
            **user,
        )
    except OSError as error:
        ours.close()
        raise SandboxCreateError(f"{argv[0]} could not be started: {error.strerror}") from error
    finally:
        theirs.close()
    return Child(process, Channel(ours), os.pidfd_open(process.pid))


async def read_inner_pid(child: Child, fd: int) -> None:
    """Learn from bubblewrap's ``--info-fd``, which it writes piece by piece, which process is number 1 inside."""
    text = b""
    while not (found := _INNER_PID.search(text)):
        await anyio.wait_readable(fd)
        piece = os.read(fd, 4096)
        if not piece:
            return
        text += piece
    child.inner = int(found[1])
    child.inner_pidfd = os.pidfd_open(child.inner)
