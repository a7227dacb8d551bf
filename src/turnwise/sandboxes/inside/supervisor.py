"""Process 1 of a sandbox: takes requests from the host, runs each in a worker, and reports what the kernel says of it.

Foreign code never runs in this process and never holds its channel. Exit codes come from ``wait4``, time from this
process's clock; what a worker prints is bytes of a pipe. Verdicts and rewards have no place in these frames.
"""

from __future__ import annotations

import fcntl
import gc
import os
import sys
import time

from turnwise.sandboxes.inside import files, kernel, python, shell, sql
from turnwise.sandboxes.inside.frames import Control
from turnwise.sandboxes.inside.processes import (
    INTERRUPT_GRACE_S,
    Stream,
    Watch,
    Worker,
    children,
    kill_tree,
    start,
    sweep,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from turnwise.sandboxes.inside.frames import Header
    from turnwise.sandboxes.inside.processes import Ending

    Reply = tuple[Header, bytes]
else:
    import _signal as signal  # without enum, which would be loaded for `signal`

BRANCH_S = 5.0
RUNS = ("run", "exec", "cell")
_OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def _cells(language: str, workdir: str) -> Callable[[str], int]:
    return sql.sql_cells(workdir) if language == "sql" else python.python_cells(workdir)


def _exec(argv: list[str], env: dict[str, str]) -> int:
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    return 127


class Supervisor:
    """Answers requests one at a time; the host sends the next one when it has the answer."""

    def __init__(self, control: Control, config: Header) -> None:
        self.control = control
        self.workdir: str = config["workdir"]
        self.limits: dict[str, int] = config["limits"]
        self.keep: int = config["keep"]
        self.drain: int = config["drain"]
        self.max_sessions: int = config["max_sessions"]
        self.look: int = config["look"]
        self.sessions: dict[str, Worker] = {}
        self.watches: dict[str, Watch] = {}
        self._oom_files = [path for path in _OOM_COUNTERS if os.access(path, os.R_OK)]

    # Running

    def _body(self, request: Header, cwd: str) -> Callable[[], int]:
        """Return what the forked worker of a stateless request does."""
        language, code = request.get("language"), request.get("code", "")
        env = {**os.environ, **request.get("env", {})}

        def body() -> int:
            kernel.release_worker(self.limits)
            os.chdir(cwd)
            if request["op"] == "exec":
                return _exec(request["argv"], env)
            if language == "bash":
                return _exec(shell.one_shot(code), env)
            if language == "sql":
                return python.flushed(_cells("sql", self.workdir)(code))
            return python.script(code, self.workdir)

        return body

    def run(self, request: Header, body: bytes) -> Reply:
        """Run a program, command or script once, in a worker of its own."""
        cwd = os.path.join(self.workdir, request.get("cwd") or "")
        began = time.monotonic()
        ooms = self._ooms()
        try:
            worker = start(self._body(request, cwd), keep=self.keep, stdin=bool(body))
        except OSError as error:
            return self._no_process(error)
        watch = Watch(self.control, worker, drain=self.drain)
        ending = watch.until(began + request["timeout"], data=body, close=True)
        if ending != "exit":
            kill_tree(worker.pid)
            self._wait(worker)
        seconds = time.monotonic() - began
        worker.close()
        clean = sweep(self._known())
        return self._result(worker, ending, seconds, worker.cpu_s, self._ooms() > ooms, clean=clean)

    def cell(self, request: Header, body: bytes) -> Reply:
        """Run one cell in a session, which begins with its first cell."""
        name, language = request["session"], request["language"]
        key = f"{language}:{name}"
        began = time.monotonic()
        ooms = self._ooms()
        if key not in self.sessions:
            if len(self.sessions) >= self.max_sessions:
                return {"status": "error", "message": f"more than {self.max_sessions} sessions"}, b""
            try:
                self.sessions[key] = self._open_session(language)
                self.watches[key] = Watch(self.control, self.sessions[key], drain=self.drain)
            except OSError as error:
                return self._no_process(error)
        worker = self.sessions[key]
        before = worker.cpu_now()
        token = os.urandom(python.TOKEN_BYTES // 2).hex().encode()
        watch = self.watches[key]
        frame = _cell_frame(language, token, body)
        ending = watch.until(began + request["timeout"], data=frame, token=token)
        lost = ending == "exit"
        if ending == "timeout":
            lost = not self._interrupt(worker, watch, token)
        elif ending == "flood":
            lost = True
        cpu = worker.cpu_now() - before
        if lost:
            self._end(key)
            cpu = max(cpu, worker.cpu_s - before)
        clean = sweep(self._known())
        seconds = time.monotonic() - began
        reply = self._result(worker, ending, seconds, cpu, self._ooms() > ooms, clean=clean, code=watch.code)
        reply[0]["state_lost"] = lost
        return reply

    def _open_session(self, language: str) -> Worker:
        request_read, request_write = _channel_pair()
        done_read, done_write = os.pipe()

        def body() -> int:
            kernel.release_worker(self.limits)
            os.chdir(self.workdir)
            if language == "bash":
                for fd in (request_read, done_write):
                    fcntl.fcntl(fd, fcntl.F_SETFD, 0)
                return _exec(shell.session_command(request_read, done_write), dict(os.environ))
            return python.serve_session(request_read, done_write, _cells(language, self.workdir))

        try:
            worker = start(body, keep=self.keep, stdin=False, inherit=(request_read, done_write))
        except OSError:
            os.close(request_write)
            os.close(done_read)
            raise
        finally:
            os.close(request_read)
            os.close(done_write)
        for fd in (request_write, done_read):
            os.set_blocking(fd, False)
        worker.feed, worker.done = request_write, done_read
        return worker

    def branch(self, request: Header, _body: bytes) -> Reply:
        """Copy the process of a session into a new session, which goes on in another folder of the workspace."""
        import _socket
        import array

        language = request["language"]
        origin, key = self.sessions[f"{language}:{request['session']}"], f"{language}:{request['new']}"
        request_read, request_write = _channel_pair()
        done_read, done_write = os.pipe()
        (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe()
        token = os.urandom(python.TOKEN_BYTES // 2).hex().encode()
        os.write(origin.feed, token + python.BRANCH.to_bytes(4, "big"))
        channel = _socket.socket(fileno=origin.feed)
        passed = array.array("i", [request_read, done_write, out_write, err_write]).tobytes()
        folder = os.path.join(self.workdir, request["folder"]).encode()
        channel.sendmsg([folder], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
        channel.detach()
        ending = self.watches[f"{language}:{request['session']}"].until(time.monotonic() + BRANCH_S, token=token)
        for fd in (request_read, done_write, out_write, err_write):
            os.close(fd)
        # The kernel says which process is new here; the session itself is not believed.
        fresh = [pid for pid in children(os.getpid()) if pid not in self._known()]
        if ending != "done" or len(fresh) != 1:
            for fd in (request_write, done_read, out_read, err_read):
                os.close(fd)
            sweep(self._known())
            return {"refused": "the session could not be copied"}, b""
        for fd in (request_write, done_read, out_read, err_read):
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | fcntl.fcntl(fd, fcntl.F_GETFL))
        worker = Worker(fresh[0], Stream(out_read, self.keep), Stream(err_read, self.keep), request_write)
        worker.done = done_read
        self.sessions[key], self.watches[key] = worker, Watch(self.control, worker, drain=self.drain)
        return {}, b""

    def _interrupt(self, worker: Worker, watch: Watch, token: bytes) -> bool:
        """Interrupt the cell as Ctrl-C would; says whether the session survived."""
        try:
            os.killpg(worker.pid, signal.SIGINT)
        except ProcessLookupError:
            return False
        return watch.until(time.monotonic() + INTERRUPT_GRACE_S, token=token) == "done"

    def _end(self, key: str) -> None:
        worker = self.sessions.pop(key)
        del self.watches[key]
        kill_tree(worker.pid)
        self._wait(worker)
        worker.close()

    def _wait(self, worker: Worker) -> None:
        """Wait for a killed worker and take what it had written."""
        deadline = time.monotonic() + 5
        while not worker.reap() and time.monotonic() < deadline:
            time.sleep(0.0005)
        for stream in (worker.out, worker.err):
            stream.drain_rest(self.drain)

    def _known(self) -> dict[int, Worker]:
        return {worker.pid: worker for worker in self.sessions.values()}

    def _ooms(self) -> int:
        count = 0
        for path in self._oom_files:
            with open(path, encoding="ascii") as file:
                count += sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
        return count

    def _no_process(self, error: OSError) -> Reply:
        sweep(self._known())
        return {"status": "error", "message": f"no process could be started in the sandbox: {error.strerror}"}, b""

    def _result(
        self, worker: Worker, ending: Ending, seconds: float, cpu: float, oom: bool, *, clean: bool, code: int = 0
    ) -> Reply:
        """Put together the answer from what the kernel said."""
        (out, out_cut), (err, err_cut) = worker.out.take(), worker.err.take()
        exit_code = code if worker.status is None else os.waitstatus_to_exitcode(worker.status)
        header: Header = {
            "status": _status(ending, exit_code, oom=oom) if clean else "sandbox_error",
            "exit_code": exit_code if ending in ("exit", "done") else None,
            "stdout": len(out),
            "truncated": out_cut or err_cut,
            "duration_s": seconds,
            "cpu_s": cpu,
            "state_lost": False,
        }
        return header, out + err

    def _files(self) -> str | None:
        try:
            return files.digest(self.workdir, self.look)
        except (files.Refused, OverflowError, OSError):
            return None

    # Sessions and files

    def close_session(self, request: Header, _body: bytes) -> Reply:
        """End a session and everything it started."""
        key = f"{request['language']}:{request['session']}"
        if key in self.sessions:
            self._end(key)
            sweep(self._known())
        return {}, b""

    def read(self, request: Header, _body: bytes) -> Reply:
        """Send a file in chunks, each a frame with ``more``."""
        for chunk in files.read(request["path"], self.workdir, request["most"]):
            self.control.send({"more": True}, chunk)
        return {}, b""

    def write(self, request: Header, body: bytes) -> Reply:
        """Write a chunk of a file."""
        files.write(request["path"], self.workdir, body, request["mode"], append=request["append"])
        return {}, b""

    def place(self, request: Header, _body: bytes) -> Reply:
        """Make a directory or a link of a restored workspace."""
        files.place(request["path"], self.workdir, request["kind"], request["target"])
        return {}, b""

    def change_mode(self, request: Header, _body: bytes) -> Reply:
        """Give an entry of a restored workspace its mode, once all its content is there."""
        files.change_mode(request["path"], self.workdir, request["mode"])
        return {}, b""

    def pack(self, request: Header, _body: bytes) -> Reply:
        """Send a directory: one frame per entry, then the chunks of its content."""
        left = request["most"]
        for entry, folder in files.walk(request["path"], self.workdir):
            self.control.send({"more": True, "entry": entry})
            if entry["kind"] == "file":
                for chunk in files.content(entry, folder, left):
                    left -= len(chunk)
                    self.control.send({"more": True}, chunk)
        return {}, b""

    def digest(self, request: Header, _body: bytes) -> Reply:
        """Hash the workspace."""
        return {"digest": files.digest(self.workdir, request["most"])}, b""

    def clear(self, _request: Header, _body: bytes) -> Reply:
        """Empty the workspace."""
        files.clear(self.workdir)
        return {}, b""

    def reset(self, _request: Header, _body: bytes) -> Reply:
        """End all sessions and processes and empty the workspace."""
        for key in list(self.sessions):
            self._end(key)
        clean = sweep({})
        files.clear(self.workdir)
        return ({}, b"") if clean else ({"status": "sandbox_error"}, b"")

    def limits_inside(self, _request: Header, _body: bytes) -> Reply:
        """Read back, in a worker, the limits that hold there."""

        def body() -> int:
            kernel.release_worker(self.limits)
            import json

            os.write(1, json.dumps({**kernel.read_limits(self.workdir), **kernel.standing()}).encode())
            return 0

        worker = start(body, keep=self.keep, stdin=False)
        ending = Watch(self.control, worker, drain=self.drain).until(time.monotonic() + 5)
        worker.close()
        return self._result(worker, ending, 0.0, 0.0, oom=False, clean=True)

    # Serving

    def serve(self) -> None:
        """Answer requests until the host is gone."""
        operations: dict[str, Callable[[Header, bytes], Reply]] = {
            "run": self.run,
            "exec": self.run,
            "cell": self.cell,
            "branch": self.branch,
            "close_session": self.close_session,
            "read": self.read,
            "write": self.write,
            "place": self.place,
            "change_mode": self.change_mode,
            "pack": self.pack,
            "digest": self.digest,
            "clear": self.clear,
            "reset": self.reset,
            "limits": self.limits_inside,
        }
        while True:
            request, body = self.control.receive()
            if request["op"] in ("run",) and body:
                request["code"], body = body.decode("utf-8", "replace"), b""
            try:
                header, payload = operations[request["op"]](request, body)
                if self.look and request["op"] in RUNS:
                    header["files"] = self._files()
            except files.Refused as refusal:
                header, payload = {"refused": files.reason(refusal)}, b""
            except OverflowError as error:
                header, payload = {"too_large": str(error)}, b""
            except OSError as error:
                header, payload = {"refused": files.reason(error)}, b""
            self.control.send(header, payload)


def _channel_pair() -> tuple[int, int]:
    """Return the two ends of a channel that can carry descriptors."""
    import _socket

    worker, ours = _socket.socketpair()
    return worker.detach(), ours.detach()


def _cell_frame(language: str, token: bytes, code: bytes) -> bytes:
    if language == "bash":
        return token + b"\0" + code.replace(b"\0", b"") + b"\0"
    return token + len(code).to_bytes(4, "big") + code


def _status(ending: Ending, exit_code: int, *, oom: bool) -> str:
    if ending == "timeout":
        return "timeout"
    if ending == "flood":
        return "output_limit"
    if exit_code == 0:
        return "ok"
    if exit_code == -signal.SIGKILL and oom:
        return "memory_limit"
    return "killed" if exit_code < 0 else "error"


def _take_channel() -> tuple[int, int]:
    """Move the channel away from the standard descriptors, which workers will use."""
    reader, writer = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return reader, writer


def _leaver(supervisor: Supervisor, remove: str) -> Callable[[], None]:
    """What to do at the end where the kernel does not do it: kill the workers, remove the workspace."""

    def leave() -> None:
        for worker in supervisor.sessions.values():
            kill_tree(worker.pid)
        sweep({})
        if remove:
            import shutil

            shutil.rmtree(remove, ignore_errors=True)

    return leave


def main() -> None:
    """Serve one sandbox: the first frame is its configuration, with the seccomp filter as the body."""
    signal.signal(signal.SIGINT, signal.SIG_DFL if os.getpid() == 1 else signal.SIG_IGN)
    control = Control(*_take_channel())
    config, program = control.receive_configuration()
    control.expires = time.monotonic() + config["ttl"]
    os.environ.clear()
    os.environ.update(config["env"])
    try:
        kernel.confine(config, program)
        os.chdir(config["workdir"])
    except OSError as error:
        control.send({"failed": str(error)})
        control.leave()
    python.prepare(config["paths"])
    supervisor = Supervisor(control, config)
    if os.getpid() != 1:
        control.on_leave = _leaver(supervisor, config["remove"])
    control.send_raw(b'{"ready": true, "python": "%d.%d.%d"}' % sys.version_info[:3])
    python.warm()
    # Workers are forks: what the collector never visits stays shared with them.
    gc.collect()
    gc.freeze()
    supervisor.serve()
