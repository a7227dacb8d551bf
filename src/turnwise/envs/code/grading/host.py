"""A solution's process, asked through its sandbox: what comes back is text that somebody hostile may have written."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from turnwise.envs.code.boxes import Boxes
from turnwise.envs.code.inside.wire import MAX_DEPTH
from turnwise.sandboxes.base import ExecResult, Sandbox

SESSION = "solution"
MARK = "\x1eTURNWISE "
MAX_REPLY = 1 << 20
DEATHS = 3
"""A solution whose process has ended so often is not begun again."""
_INSIDE = Path(__file__).parent.parent / "inside"
_PREFIX = "turnwise.envs.code.inside."


@cache
def bootstrap(role: str) -> str:
    """Return the code that puts a role's modules into a session and makes ``_turnwise``, its object."""
    sources = {_PREFIX + name: (_INSIDE / f"{name}.py").read_text(encoding="utf-8") for name in ("wire", role)}
    kind = {"solution": "Host", "checker": "Checker"}[role]
    return (
        "import sys as _sys, types as _types\n"
        f"for _name, _source in {sources!r}.items():\n"
        "    _module = _sys.modules[_name] = _types.ModuleType(_name)\n"
        "    exec(compile(_source, _name, 'exec', dont_inherit=True), _module.__dict__)\n"
        f"_turnwise = _sys.modules[{_PREFIX + role!r}].{kind}()\n"
        "del _name, _source, _module, _sys, _types\n"
    )


@dataclass(frozen=True)
class Reply:
    """An answer: tagged JSON or an error, checked for its shape and size only."""

    value: Any = None
    error: tuple[str, ...] = ()
    message: str = ""
    lost: bool = False
    """The process gave no answer: it was too slow, ended or spoke nonsense."""
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether a value came back."""
        return not self.error and not self.lost

    @property
    def why(self) -> str:
        """What went wrong."""
        return self.message if self.lost else f"{self.error[0]}: {self.message}" if self.error else ""

    def wire(self) -> str:
        """Encode for the checker."""
        if self.ok:
            return json.dumps({"value": self.value})
        names = ["TimeoutError"] if self.timed_out else ["RuntimeError"] if self.lost else list(self.error)
        return json.dumps({"error": names, "message": self.message})


class SolutionProcess:
    """One submission in one sandbox, begun again where it ended itself."""

    def __init__(self, boxes: Boxes, box: Sandbox, source: str, seconds: float) -> None:
        self._boxes, self._box, self._source, self._seconds = boxes, box, source, seconds
        self._running = False
        self.deaths = 0
        self.exec_s = 0.0
        self.names: frozenset[str] = frozenset()
        self.compiled = self.loaded = False

    async def start(self) -> Reply:
        """Compile and load the solution; both are answered before a test asks for anything."""
        begun = await self._cell(bootstrap("solution"))
        if begun.status != "ok":
            return self._lost(begun)
        compiled = await self._ask(f"_turnwise.compile({self._source!r})")
        if not compiled.ok:
            return compiled
        self.compiled = True
        loaded = await self._ask("_turnwise.load()")
        if loaded.ok:
            self.loaded, self._running = True, True
            self.names = frozenset(name for name in loaded.value or () if isinstance(name, str))
        return loaded

    async def call(self, request: dict[str, Any]) -> Reply:
        """Pass on a request: ``op``, ``target``, ``path``, ``args``, ``kwargs``."""
        if not self._running:
            if self.deaths >= DEATHS:
                return Reply(lost=True, message="its process had ended too often")
            if not (begun := await self.start()).ok:
                return begun
        op = {"get": "get", "set": "set"}.get(request["op"], "call")
        return await self._ask(f"_turnwise.{op}({json.dumps(request)!r})")

    async def function(self, name: str, args: list[Any]) -> Reply:
        """Call a function of the solution by name, with arguments as tagged JSON."""
        return await self.call({"op": "call", "target": None, "path": [name], "args": args, "kwargs": {}})

    async def _ask(self, cell: str) -> Reply:
        result = await self._cell(cell)
        if result.status == "ok" and not result.state_lost and not result.truncated:
            return read_reply(result.stdout)
        return self._lost(result)

    async def _cell(self, code: str) -> ExecResult:
        result = await self._boxes.run(lambda: self._box.run_code(code, session=SESSION, timeout_s=self._seconds))
        self.exec_s += result.duration_s
        if result.state_lost:
            self._running = False
            self.deaths += 1
        return result

    def _lost(self, result: ExecResult) -> Reply:
        if result.status == "timeout":
            self.deaths += 1
            return Reply(lost=True, timed_out=True, message=f"no answer within {self._seconds:g} s")
        ended = {"memory_limit": "too much memory", "output_limit": "endless output"}.get(result.status)
        return Reply(lost=True, message=ended or "the process ended without an answer")


def read_reply(text: str) -> Reply:
    """Read the last answer in what a process printed."""
    _, mark, rest = text.rpartition(MARK)
    line = rest.partition("\n")[0]
    if not mark or len(line) > MAX_REPLY:
        return Reply(lost=True, message="no answer, or one that is too long")
    try:
        return _reply(json.loads(line))
    except (ValueError, RecursionError):
        return Reply(lost=True, message="an answer that cannot be read")


def _reply(data: Any) -> Reply:
    if isinstance(data, dict) and set(data) == {"value"}:
        if deeper_than(data["value"], 4 * MAX_DEPTH):
            raise ValueError("too deep")
        return Reply(value=data["value"])
    if isinstance(data, dict) and isinstance(data.get("error"), list) and isinstance(data.get("message"), str):
        names = tuple(str(name)[:100] for name in data["error"][:20])
        return Reply(error=names or ("Exception",), message=data["message"][:500])
    raise ValueError("no answer")


def deeper_than(value: Any, depth: int) -> bool:
    """Whether JSON is nested more deeply than a depth; it does not recurse."""
    level = [value]
    for _ in range(depth):
        level = [
            item
            for held in level
            if isinstance(held, dict | list)
            for item in (held.values() if isinstance(held, dict) else held)
        ]
        if not level:
            return False
    return True
