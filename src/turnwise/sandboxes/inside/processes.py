"""Processes of one sandbox as its supervisor sees them: start, watch with limits, kill with all descendants."""

from __future__ import annotations

import errno
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
    from typing import Literal

    from turnwise.sandboxes.inside.frames import Control

    Ending = Literal["exit", "done", "timeout", "flood"]
else:
    import _signal as signal  # without enum, which would be loaded for `signal`

CHUNK = 1 << 16
INTERRUPT_GRACE_S = 0.5
KILL_WAIT_S = 5.0
WORKER_BROKE = 70


class Stream:
    """One output of a worker: what is kept of it, and how much there was."""

    def __init__(self, fd: int, keep: int) -> None:
        self.fd, self.keep = fd, keep
        self.kept, self.seen = bytearray(), 0

    def drain_once(self) -> bool:
        """Read what is there; returns False at the end of the stream."""
        try:
            chunk = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return True
        self.seen += len(chunk)
        if len(self.kept) < self.keep:
            self.kept += chunk[: self.keep - len(self.kept)]
        return bool(chunk)

    def drain_rest(self, most: int) -> None:
        """Read on without blocking until nothing is left, or ``most`` bytes have been seen."""
        before = -1
        while before != self.seen and self.seen < most:
            before = self.seen
            self.drain_once()

    def take(self) -> tuple[bytes, bool]:
        """Return what was kept and whether something was cut, and start afresh."""
        kept, cut = bytes(self.kept), self.seen > len(self.kept)
        self.kept, self.seen = bytearray(), 0
        return kept, cut


class Worker:
    """A process that runs foreign code; ``feed`` is its input, ``done`` is set for sessions only."""

    def __init__(self, pid: int, out: Stream, err: Stream, feed: int) -> None:
        self.pid, self.out, self.err, self.feed = pid, out, err, feed
        self.pidfd = os.pidfd_open(pid)
        self.done = -1
        self.status: int | None = None
        self.cpu_s = 0.0

    def close(self) -> None:
        """Close every descriptor of the worker."""
        for fd in {self.pidfd, self.out.fd, self.err.fd, self.feed, self.done} - {-1}:
            os.close(fd)
        self.pidfd = self.feed = self.done = -1

    def reap(self) -> bool:
        """Collect the exit status if the process has ended."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.status, self.cpu_s = status, usage.ru_utime + usage.ru_stime
        return self.status is not None

    def cpu_now(self) -> float:
        """Return the CPU seconds of the process so far, its children not counted."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0


def start(body: Callable[[], int], *, keep: int, stdin: bool, inherit: tuple[int, ...] = ()) -> Worker:
    """Fork a worker that runs ``body`` and ends with the exit code it returns.

    Args:
        body: Runs in the child, which holds descriptors 0, 1, 2 and ``inherit`` only.
        keep: Bytes kept of each output.
        stdin: Give the child a pipe as standard input; it is at its end otherwise.
        inherit: Descriptors that the child needs beside the standard ones.

    Raises:
        OSError: The process limit of the sandbox is reached.
    """
    in_read, in_write = os.pipe() if stdin else (os.open("/dev/null", os.O_RDONLY), -1)
    (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe()
    try:
        pid = os.fork()
    except OSError:
        for fd in {in_read, in_write, out_read, out_write, err_read, err_write} - {-1}:
            os.close(fd)
        raise
    if pid == 0:
        _become_child(body, (in_read, out_write, err_write), inherit)
    for fd in (in_read, out_write, err_write):
        os.close(fd)
    for fd in {in_write, out_read, err_read} - {-1}:
        os.set_blocking(fd, False)
    return Worker(pid, Stream(out_read, keep), Stream(err_read, keep), in_write)


def _become_child(body: Callable[[], int], standard: tuple[int, int, int], inherit: tuple[int, ...]) -> None:
    status = WORKER_BROKE
    try:
        for target, fd in enumerate(standard):
            os.dup2(fd, target)
        _close_all_but({0, 1, 2, *inherit})
        status = body()
    except BaseException as error:  # noqa: BLE001 - a worker must never return into the supervisor's code
        os.write(2, f"sandbox worker: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _close_all_but(keep: set[int]) -> None:
    low = 0
    for fd in [*sorted(keep), 1 << 16]:
        # An empty range would close everything: its end goes to the kernel as the largest unsigned number.
        if low < fd:
            os.closerange(low, fd)
        low = fd + 1


class Watch:
    """Feeds and drains one worker until it ends, says it is done, runs out of time, or floods; may be used again."""

    def __init__(self, control: Control, worker: Worker, *, drain: int) -> None:
        self._control, self._worker, self._drain = control, worker, drain
        self._poll = select.poll()
        self._poll.register(control.reader, select.POLLRDHUP)
        self._streams = {worker.out.fd: worker.out, worker.err.fd: worker.err}
        for fd in (worker.pidfd, worker.done, *self._streams):
            if fd != -1:
                self._poll.register(fd, select.POLLIN)

    def until(self, deadline: float, *, data: bytes = b"", close: bool = False, token: bytes = b"") -> Ending:
        """Watch until the first ending.

        Args:
            deadline: On the monotonic clock, in seconds.
            data: Bytes for the worker's input.
            close: Close the input after them.
            token: What the worker writes, with one byte after it, when a cell is done.
        """
        self._token, self._said, self._rest, self._close = token, bytearray(), memoryview(data), close
        self.code = 0
        if self._worker.feed != -1:
            self._feed()
        while True:
            now = time.monotonic()
            if now >= self._control.expires:
                self._control.leave()
            if now >= deadline:
                return "timeout"
            events = self._poll.poll(max(1, int((min(deadline, self._control.expires) - now) * 1000)))
            if ending := self._handle(dict(events)):
                return ending

    def _handle(self, events: dict[int, int]) -> Ending | None:
        worker = self._worker
        if self._control.reader in events:
            self._control.leave()
        if worker.feed in events:
            self._feed()
        for fd in [fd for fd in events if fd in self._streams]:
            if not self._streams[fd].drain_once():
                self._poll.unregister(self._streams.pop(fd).fd)
        if worker.out.seen + worker.err.seen > self._drain:
            return "flood"
        ending: Ending | None = None
        if worker.done in events and self._listen():
            ending = "done"
        elif worker.pidfd in events and worker.reap():
            ending = "exit"
        if ending:
            worker.out.drain_rest(self._drain)
            worker.err.drain_rest(self._drain)
        return ending

    def _feed(self) -> None:
        """Write what fits of the input; watch for room if something is left."""
        worker = self._worker
        try:
            while self._rest:
                self._rest = self._rest[os.write(worker.feed, self._rest[: 1 << 20]) :]
        except BlockingIOError:
            self._poll.register(worker.feed, select.POLLOUT)
            return
        except BrokenPipeError:
            self._rest = memoryview(b"")
        try:  # noqa: SIM105 - contextlib would be loaded for it
            self._poll.unregister(worker.feed)
        except KeyError:
            pass
        if self._close:
            os.close(worker.feed)
            worker.feed = -1

    def _listen(self) -> bool:
        """Read the done channel, which foreign code can write too: only the token counts, the rest is noise."""
        try:
            said = os.read(self._worker.done, 4096)
        except BlockingIOError:
            return False
        if not said:
            self._poll.unregister(self._worker.done)
        self._said = (self._said + said)[-4096:]
        at = self._said.find(self._token)
        if not self._token or at < 0 or len(self._said) <= at + len(self._token):
            return False
        self.code = self._said[at + len(self._token)]
        return True


def _numbers(path: str) -> list[int]:
    fd, text = os.open(path, os.O_RDONLY | os.O_CLOEXEC), b""
    try:
        while chunk := os.read(fd, CHUNK):
            text += chunk
    finally:
        os.close(fd)
    return [int(number) for number in text.split()]


def children(pid: int) -> list[int]:
    """Return the direct children of a process, those of all its threads."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += _numbers(f"/proc/{pid}/task/{thread}/children")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    stack = [pid]
    while stack:
        current = stack.pop()
        yield current
        stack += children(current)


def _kill(pid: int) -> None:
    try:  # noqa: SIM105 - contextlib would be loaded for it
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_tree(pid: int) -> None:
    """Stop, then kill a process and all below it; what detaches meanwhile becomes the supervisor's own child."""
    seen: set[int] = set()
    while fresh := [found for found in descendants(pid) if found not in seen]:
        for found in fresh:
            try:  # noqa: SIM105 - contextlib would be loaded for it
                os.kill(found, signal.SIGSTOP)
            except ProcessLookupError:
                pass
        seen.update(fresh)
    for found in seen:
        _kill(found)


def sweep(known: dict[int, Worker]) -> bool:
    """Kill and reap everything that belongs to none of the ``known`` workers.

    Returns:
        False if processes were still there after five seconds of trying.
    """
    me = os.getpid()
    deadline = time.monotonic() + KILL_WAIT_S
    # The supervisor has one thread, so one file names all its children.
    while orphans := [pid for pid in _numbers(f"/proc/{me}/task/{me}/children") if pid not in known]:
        if time.monotonic() > deadline:
            return False
        if me == 1 and not known:
            os.kill(-1, signal.SIGKILL)
        for pid in orphans:
            kill_tree(pid)
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    time.sleep(0.0005)
            except ChildProcessError:
                pass
    return True
