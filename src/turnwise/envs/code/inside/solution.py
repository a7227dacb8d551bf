"""Holds a solution in its own process and calls it as asked; all it can tell anyone is what was returned."""

import io
import json
import os
import sys
import types
from typing import Any

from turnwise.envs.code.inside.wire import NotPlain, decode, encode

MARK = "\x1eTURNWISE "


class Host:
    """A loaded solution and the objects of it that callers hold."""

    def __init__(self) -> None:
        self.module = types.ModuleType("solution")
        self.kept: list[Any] = []
        self.code: types.CodeType | None = None

    def compile(self, source: str) -> None:
        """Compile the solution; nothing of it has run when this answers."""

        def work() -> Any:
            self.code = compile(source, "solution.py", "exec", dont_inherit=True)
            return None

        self._answer(work)

    def load(self) -> None:
        """Run the solution's top level, as an import would, and tell its public names."""

        def work() -> Any:
            sys.modules["solution"] = self.module
            exec(self.code or "", self.module.__dict__)  # noqa: S102 - what this process is for
            return [name for name in self.module.__dict__ if not name.startswith("__")][:10_000]

        self._answer(work)

    def call(self, request: str) -> None:
        """Call a function or method, given as JSON: ``target``, ``path``, ``args`` and ``kwargs``."""

        def work() -> Any:
            asked = json.loads(request)
            function = self._target(asked)
            args = [decode(item, self._found) for item in asked["args"]]
            kwargs = {name: decode(item, self._found) for name, item in asked["kwargs"].items()}
            return function(*args, **kwargs)

        self._answer(work)

    def get(self, request: str) -> None:
        """Read a name or an attribute."""
        self._answer(lambda: self._target(json.loads(request)))

    def set(self, request: str) -> None:
        """Set an attribute to the one argument."""

        def work() -> Any:
            asked = json.loads(request)
            *path, name = asked["path"]
            setattr(self._target({**asked, "path": path}), name, decode(asked["args"][0], self._found))
            return None

        self._answer(work)

    def _target(self, asked: dict[str, Any]) -> Any:
        value = self.module if asked["target"] is None else self._found(asked["target"])
        for name in asked["path"]:
            value = getattr(value, name)
        return value

    def _found(self, number: int) -> Any:
        return self.kept[number]

    def _keep(self, value: Any) -> int:
        self.kept.append(value)
        return len(self.kept) - 1

    def _answer(self, work: Any) -> None:
        streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = io.TextIOWrapper(io.FileIO(os.devnull, "w"), write_through=True)
        try:
            reply = self._reply(work)
        finally:
            sys.stdout, sys.stderr = streams
        text = ("\n" + MARK + reply + "\n").encode("utf-8", "backslashreplace")
        while text:
            text = text[os.write(1, text) :]

    def _reply(self, work: Any) -> str:
        try:
            return json.dumps({"value": encode(work(), self._keep)})
        except NotPlain as error:
            return json.dumps({"error": ["NotPlain"], "message": f"returned {error}"})
        except BaseException as error:  # noqa: BLE001 - whatever the solution raises is its result
            names = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
            return json.dumps({"error": names, "message": _words(error)})


def _words(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:  # noqa: BLE001 - its __str__ is the solution's too
        return ""
