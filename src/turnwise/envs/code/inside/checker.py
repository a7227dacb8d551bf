"""Runs test code against a solution that lives elsewhere: each use of one of its names is asked of the harness.

The tests run in a thread of this session. A cell ends when they need an answer or are through; the next cell brings
the answer. So test code is ordinary code, and no channel leads from here to the solution but the harness.
"""

import ast
import builtins
import json
import os
import queue
import threading
from typing import Any

from turnwise.envs.code.inside.wire import NotPlain, decode, encode

MARK = "\x1eTURNWISE "


class RemoteError(Exception):
    """An exception of the solution that is none of Python's own."""


class Remote:
    """A function, class or object of the solution. It has no operators: equality is identity of the name."""

    __slots__ = ("_ask", "_path", "_target")

    def __init__(self, ask: Any, target: int | None, path: tuple[str, ...]) -> None:
        for name, value in (("_ask", ask), ("_target", target), ("_path", path)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        request = {
            "op": "call",
            "target": self._target,
            "path": list(self._path),
            "args": [encode(item, number_of) for item in args],
            "kwargs": {name: encode(item, number_of) for name, item in kwargs.items()},
        }
        return self._ask(request)

    def __getattr__(self, name: str) -> Any:
        """Read a method or attribute: one that is no plain value stays there."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask({"op": "get", "target": self._target, "path": [*self._path, name]})

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute there."""
        self._ask(
            {"op": "set", "target": self._target, "path": [*self._path, name], "args": [encode(value, number_of)]}
        )


def number_of(value: Any) -> int:
    """Name an object of the solution that a test passes back; anything else that is not plain cannot pass."""
    if isinstance(value, Remote) and value._target is not None and not value._path:
        return int(value._target)
    raise NotPlain(f"a test passes a value of type {type(value).__name__}, which is not plain data")


class Checker:
    """Runs tests one after another in a thread, in one namespace."""

    def __init__(self) -> None:
        self.out: queue.Queue[str] = queue.Queue()
        self.answers: queue.Queue[str] = queue.Queue()

    def begin(self, request: str) -> None:
        """Start the tests: ``setup``, ``tests`` and ``names``, the names that the solution defines."""
        work = json.loads(request)
        threading.Thread(target=self._run, args=(work,), daemon=True).start()
        self._tell()

    def answer(self, reply: str) -> None:
        """Hand the tests what they asked for, and run on."""
        self.answers.put(reply)
        self._tell()

    def _tell(self) -> None:
        text = ("\n" + MARK + self.out.get() + "\n").encode("utf-8", "backslashreplace")
        while text:
            text = text[os.write(1, text) :]

    def _ask(self, request: dict[str, Any]) -> Any:
        self.out.put(json.dumps(request))
        reply = json.loads(self.answers.get())
        if "error" in reply:
            raise _exception(reply["error"], reply["message"])
        return decode(reply["value"], lambda number: Remote(self._ask, number, ()))

    def _run(self, work: dict[str, Any]) -> None:
        space: dict[str, Any] = {"__name__": "__tests__"}
        parts = [work["setup"], *work["tests"]]
        for name in sorted({*work["names"], *(unknown for part in parts for unknown in _unknown(part))}):
            space[name] = Remote(self._ask, None, (name,))
        failure = _why(work["setup"], space)
        for test in work["tests"]:
            self.out.put(json.dumps({"op": "verdict", "why": failure or _why(test, space)}))
            self.answers.get()
        self.out.put(json.dumps({"op": "done"}))


def _exception(names: list[str], message: str) -> BaseException:
    for name in names:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(message)
            except TypeError:
                continue
    return RemoteError(f"{names[0] if names else 'error'}: {message}")


def _why(source: str, space: dict[str, Any]) -> str | None:
    """Run one test; return why it failed, None if it passed."""
    try:
        exec(compile(source, "test.py", "exec", dont_inherit=True), space)  # noqa: S102 - a test of the task
    except AssertionError as error:
        return f"assertion failed: {error}" if str(error) else "assertion failed"
    except BaseException as error:  # noqa: BLE001 - a test that raises has failed
        return f"{type(error).__name__}: {error}"[:500]
    return None


def _unknown(source: str) -> list[str]:
    """Return the names a text uses and neither defines nor finds among Python's own."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = {node.id: type(node.ctx) for node in nodes if isinstance(node, ast.Name)}
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    stored |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    stored |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored |= {alias.asname or alias.name.partition(".")[0] for node in nodes for alias in getattr(node, "names", ())
               if isinstance(alias, ast.alias)}  # fmt: skip
    return sorted(name for name in names if name not in stored and not hasattr(builtins, name))
