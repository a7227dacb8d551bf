"""Runs Python in a worker: a script once, or the cells of a session in one namespace."""

from __future__ import annotations

import _ast
import builtins
import os
import sys
from io import TextIOWrapper

from turnwise.sandboxes.inside import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
    from types import CodeType, FrameType, TracebackType
    from typing import Any

    Run = Callable[[str], int]
    Handler = Callable[[int, FrameType | None], Any] | int | None
else:
    import _signal as signal  # without enum, which would be loaded for `signal`

TOKEN_BYTES = 16
BRANCH = 0xFFFFFFFF


def prepare(paths: Iterable[str]) -> None:
    """Set up the interpreter once, in the supervisor, for all workers that will be forked from it."""
    sys.path = [path for path in sys.path if path] + list(paths)
    sys.dont_write_bytecode = True
    import _sitebuiltins

    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))


def warm() -> None:
    """Import what requests, and workers when something goes wrong, need: after the sandbox said that it is there."""
    import _blake2  # noqa: F401
    import ast  # noqa: F401 - a traceback loads it to place its carets
    import json  # noqa: F401
    import linecache  # noqa: F401
    import traceback  # noqa: F401


def _main_module(workdir: str, filename: str) -> dict[str, Any]:
    """Give the worker a fresh ``__main__``, standard streams and a search path that begins with the workspace."""
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    sys.argv = [filename]
    sys.path.insert(0, workdir)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape", line_buffering=stream is sys.stdout)
    return module.__dict__


def _remember(source: str, filename: str) -> None:
    """Let a traceback show the lines of a source that is in no file."""
    if "linecache" in sys.modules:
        sys.modules["linecache"].cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def _report(error: BaseException, source: str, filename: str) -> None:
    """Print the traceback as the interpreter would, without the frames of this file."""
    import traceback

    _remember(source, filename)
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def _exit_code(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    print(value, file=sys.stderr)  # noqa: T201 - what the interpreter does with sys.exit("text")
    return 1


def _guarded(run: Callable[[], None], source: str, filename: str) -> int:
    try:
        run()
    except SystemExit as error:
        return _exit_code(error.code)
    except BaseException as error:  # noqa: BLE001 - whatever the foreign code raises is its result
        _report(error, source, filename)
        return 1
    return 0


def flushed(code: int) -> int:
    """Write out what the standard streams still hold, and pass the exit code on."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib would be loaded for it
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    return code


def script(source: str, workdir: str) -> int:
    """Run a program to its end, as ``python main.py`` would, and return its exit code."""
    namespace = _main_module(workdir, "main.py")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = _guarded(lambda: exec(compile(source, "main.py", "exec", dont_inherit=True), namespace), source, "main.py")  # noqa: S102
    return flushed(max(code, _guarded(_finish, "", "main.py")))


def _finish() -> None:
    import atexit

    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()  # what the interpreter does at its end
    atexit._run_exitfuncs()


def _compile_cell(source: str, filename: str) -> list[CodeType]:
    """Compile a cell so that the value of a last expression is shown."""
    tree: Any = compile(source, filename, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    body: list[Any] = tree.body
    last = [body.pop()] if body and isinstance(body[-1], _ast.Expr) else []
    parts = [compile(tree, filename, "exec", dont_inherit=True)]
    if last:
        parts.append(compile(_ast.Interactive(body=last), filename, "single", dont_inherit=True))
    return parts


def python_cells(workdir: str) -> Run:
    """Return a function that runs one cell after another in the same namespace."""
    namespace = _main_module(workdir, "")
    count = 0

    def run(source: str) -> int:
        nonlocal count
        count += 1
        filename = f"<cell {count}>"

        def execute() -> None:
            for part in _compile_cell(source, filename):
                exec(part, namespace)  # noqa: S102
            _remember(source, filename)

        return _guarded(execute, source, filename)

    return run


def _read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = os.read(fd, count - len(data))
        if not chunk:
            os._exit(0)
        data += chunk
    return data


def serve_session(request: int, done: int, run: Run) -> int:
    """Run cells from ``request`` until it ends; after each write its token and exit code to ``done``.

    An interrupt is delivered only while a cell runs, so one that comes too late cannot end the session. A length of
    ``BRANCH`` asks for a copy of this process instead, which goes on with the descriptors that come with it.
    """
    handler: Handler = signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        token = _read_exactly(request, TOKEN_BYTES)
        length = int.from_bytes(_read_exactly(request, 4), "big")
        if length == BRANCH:
            request, done = _branch(request, done, token)
            continue
        source = _read_exactly(request, length)
        code = 1
        try:
            signal.signal(signal.SIGINT, handler)
            code = run(source.decode("utf-8", "replace"))
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(done, token + bytes([flushed(code)]))


def _branch(request: int, done: int, token: bytes) -> tuple[int, int]:
    """Fork; return this process's descriptors in the origin, the new ones in the copy, a child of the supervisor."""
    import _socket
    import array

    channel = _socket.socket(fileno=request)
    folder, ancillary, _, _ = channel.recvmsg(4096, _socket.CMSG_SPACE(16))
    channel.detach()
    fds = array.array("i", ancillary[0][2]).tolist()
    flushed(0)
    # The copy is an orphan at once, and goes to the nearest ancestor that collects orphans: not to this process.
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 0)
    middle = os.fork()
    if middle == 0:
        if os.fork() != 0:
            os._exit(0)
        return _become_copy(fds, folder)
    os.waitpid(middle, 0)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    for fd in fds:
        os.close(fd)
    os.write(done, token + b"\0")
    return request, done


def _become_copy(fds: list[int], folder: bytes) -> tuple[int, int]:
    request, done, out, err = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.setsid()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    os.chdir(folder)
    return request, done
