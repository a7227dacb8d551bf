"""A few worker processes in which every statement runs, and the way to ask them without blocking the event loop.

A worker serves one request at a time and is not bound to an event loop; one that hangs, dies or is cancelled costs
its own request and is replaced.
"""

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

import turnwise
from turnwise.envs.sql.worker.frames import HEADER, MAX_FRAME, pack, receive, unpack
from turnwise.errors import EnvError

BACKSTOP_S = 120.0
"""Wall-clock seconds after which a worker counts as hung; its firing is a failure, never an observation."""
PROCESSES = max(2, min(8, os.cpu_count() or 2))

# Packages are entered without their __init__, so that a worker loads the standard library and our own few files only.
_BOOT = """
import sys, types
root, sys.path[:] = sys.argv[1], sys.argv[2:]
for name in ("turnwise", "turnwise.envs", "turnwise.envs.sql"):
    package = types.ModuleType(name)
    package.__path__ = [root + name.replace(".", "/")]
    sys.modules[name] = package
from turnwise.envs.sql.worker.main import main
main()
"""


class WorkerLost(EnvError):  # noqa: N818 - says what happened
    """A worker died or hung over one request; the run goes on."""


class Worker:
    """One process and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        root = str(Path(turnwise.__file__).parent.parent) + "/"
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-I", "-S", "-c", _BOOT, root, *filter(None, sys.path)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env={},
            close_fds=True,
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(0)
        self._socket = ours
        self.pid = self._process.pid
        self.owner = os.getpid()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        await self._send(pack(request))
        size = HEADER.unpack(await self._receive(HEADER.size))[0]
        if size > MAX_FRAME:
            raise WorkerLost("an SQL worker answered with something that is no frame")
        return unpack(await self._receive(size))

    def ask_now(self, request: dict[str, Any], backstop_s: float) -> dict[str, Any]:
        """Send a request and block until its reply."""
        self._socket.settimeout(backstop_s)
        try:
            self._socket.sendall(pack(request))
            reply = receive(self._socket)
        except OSError as error:
            raise WorkerLost(f"an SQL worker died or hung over one request: {error}") from error
        finally:
            self._socket.settimeout(0)
        if reply is None:
            raise WorkerLost("an SQL worker died in the middle of a request")
        return reply

    def end(self) -> None:
        """Kill the process and collect it."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise WorkerLost(f"an SQL worker is gone: {error}") from error

    async def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                chunk = self._socket.recv(min(count - len(data), 1 << 20))
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                continue
            except OSError as error:
                raise WorkerLost(f"an SQL worker is gone: {error}") from error
            if not chunk:
                raise WorkerLost("an SQL worker died in the middle of a request")
            data += chunk
        return bytes(data)


_idle: list[Worker] = []
_guard = threading.Lock()
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("turnwise_sql_limiter")


def _turnstile() -> anyio.CapacityLimiter:
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(PROCESSES)
        _limiter.set(limiter)
    return limiter


@contextlib.contextmanager
def _returned(worker: Worker) -> Iterator[Worker]:
    """Put a worker back when its request is answered; end it when anything went wrong."""
    healthy = False
    try:
        yield worker
        healthy = True
    finally:
        if healthy:
            with _guard:
                _idle.append(worker)
        else:
            worker.end()


def _waiting() -> Worker | None:
    with _guard:
        return _idle.pop() if _idle else None


async def ask(request: dict[str, Any], *, backstop_s: float = BACKSTOP_S) -> dict[str, Any]:
    """Have a worker answer a request.

    Raises:
        EnvError: The worker died or hung, or the request itself is broken.
    """
    async with _turnstile():
        worker = _waiting()
        if worker is None:
            worker = await anyio.to_thread.run_sync(Worker)
        with _returned(worker):
            try:
                with anyio.fail_after(backstop_s):
                    reply = await worker.ask(request)
            except TimeoutError as error:
                raise WorkerLost(f"an SQL worker gave no answer within {backstop_s:g} s and was ended") from error
    return _checked(request, reply)


def ask_now(request: dict[str, Any], *, backstop_s: float = 600.0) -> dict[str, Any]:
    """Have a worker answer a request, blocking: for generators, importers and builders, never within ``step``.

    Raises:
        EnvError: The worker died or hung, or the request itself is broken.
    """
    with _returned(_waiting() or Worker()) as worker:
        reply = worker.ask_now(request, backstop_s)
    return _checked(request, reply)


def _checked(request: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    if "broken" in reply:
        raise EnvError(f"an SQL worker could not serve {request['op']!r}: {reply['broken']}")
    return reply


def shut_down() -> None:
    """End all idle workers; the next request starts new ones."""
    with _guard:
        while _idle:
            _idle.pop().end()


def _after_fork() -> None:
    """A forked child must not share sockets with its parent; the workers stay the parent's."""
    _idle.clear()


atexit.register(shut_down)
os.register_at_fork(after_in_child=_after_fork)
