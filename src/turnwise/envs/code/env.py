"""The ``code`` environment: an agent tries things out in a sandbox, then hands in a program for hidden tests."""

import hashlib
import random
from typing import ClassVar

from pydantic import JsonValue, ValidationError

from turnwise.envs.code.boxes import Boxes
from turnwise.envs.code.display import readable, result_text, shorten
from turnwise.envs.code.grading.grade import grade_cases, grade_program, grade_scored, grade_stdin
from turnwise.envs.code.grading.report import Report
from turnwise.envs.code.grading.repository import grade_repository, unusable
from turnwise.envs.code.rewards import PRESETS, parts
from turnwise.envs.code.settings import (
    CasesGold,
    CodeConfig,
    CodeData,
    Hidden,
    ProgramGold,
    RepositoryGold,
    ScoredGold,
    StdinGold,
)
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall, ToolFailed, ToolOutput, tool
from turnwise.envs.types import Action, Grade, Snapshot, Status, StopReason, ToolCall
from turnwise.errors import (
    EnvError,
    OutputLimitExceededError,
    ReplayDiverged,
    SandboxFileError,
    TaskError,
)
from turnwise.sandboxes.base import ExecResult, Sandbox
from turnwise.tasks.base import Task

MAX_SOURCE = 200_000
"""Bytes of a file that is handed in or written."""
TOO_MUCH = "too much to be taken down"
"""In the place of the digest of files that are nested too deep, or larger by their holes than the workspace."""
_HAND_IN = {
    "function": "Hand in a Python module that defines {entry} by calling submit, with its text as code or its path in "
    "the workspace. Hidden tests call {entry}.",
    "program": "Hand in a Python program by calling submit, with its text as code or its path in the workspace. Hidden "
    "tests run it: it reads standard input and prints to standard output.",
    "workspace": "Change the files of the workspace, then call submit without arguments. Hidden tests run on a copy of "
    "the workspace.",
}


class CodeEnv(ToolEnv):
    """Write a program, try it in a sandbox, hand it in."""

    name = "code"
    version = "1"
    replay = "checked"
    default_panel = "code/programs"
    Config = CodeConfig
    Data = CodeData
    PRESETS: ClassVar[dict[str, dict[str, float]]] = PRESETS

    config: CodeConfig
    _box: Sandbox | None = None

    async def begin(self) -> str:
        """Put the task; the sandbox is made when it is first used."""
        self._boxes = Boxes(self.config)
        self._boxes.check()
        self._submitted: str | None = None
        self._handed = False
        self._cells = hashlib.sha256().hexdigest()
        self._first_files = self._files = ""
        return self._first_message()

    def offered(self) -> tuple[str, ...]:
        """Return the tools the task offers."""
        if self._task is None:
            return super().offered()
        return tuple(name for name in super().offered() if name in self.data.tools)

    async def teardown(self) -> None:
        """Destroy the sandbox."""
        if self._box is not None:
            box, self._box = self._box, None
            await box.close()

    # Tools

    @tool
    async def python(self, code: str) -> ToolOutput:
        """Run Python code; variables stay for the next call, and the value of a last expression is shown.

        Args:
            code: The code.
        """
        box = await self._open()
        result = await self._boxes.run(lambda: box.run_code(code, session="agent", timeout_s=self.config.turn_s))
        self._cells = hashlib.sha256(
            f"{self._cells}\0{code}\0{result.status}\0{result.state_lost}".encode("utf-8", "backslashreplace")
        ).hexdigest()
        return self._shown(result)

    @tool
    async def bash(self, command: str) -> ToolOutput:
        """Run a shell command in the workspace; files stay, variables and directories do not.

        Args:
            command: The command.
        """
        if "\0" in command:
            raise InvalidCall("A command cannot hold a NUL character.")
        box = await self._open()
        return self._shown(await self._boxes.run(lambda: box.exec(command, timeout_s=self.config.turn_s)))

    @tool
    async def write_file(self, path: str, content: str) -> str:
        """Write a text file in the workspace.

        Args:
            path: Where, below the workspace, for example "src/main.py".
            content: The whole text.
        """
        data = content.encode("utf-8", "replace")
        if len(data) > MAX_SOURCE:
            raise InvalidCall(f"The text has {len(data)} bytes; at most {MAX_SOURCE} can be written.")
        box = await self._open()
        try:
            await box.write_file(_tidy(path), data)
        except (SandboxFileError, ValueError) as error:
            raise ToolFailed(f"{path[:200]} cannot be written: {error}") from error
        await self._look(box)
        return f"Wrote {len(data)} bytes to {_tidy(path)}."

    @tool
    async def read_file(self, path: str) -> str:
        """Read a text file of the workspace.

        Args:
            path: Which, below the workspace.
        """
        data = await self._read(path)
        return shorten(readable(data.decode("utf-8", "replace")), self.config.output_chars) or "[the file is empty]"

    @tool
    async def submit(self, code: str | None = None, path: str | None = None) -> str:
        """Hand in the solution. This ends the episode.

        Args:
            code: The text of the module or program.
            path: Or its path in the workspace.
        """
        if self.data.submit != "workspace":
            if (code is None) == (path is None):
                raise InvalidCall("Give either code or path.")
            source = code if code is not None else (await self._read(path or "")).decode("utf-8", "replace")
            if len(source.encode("utf-8", "replace")) > MAX_SOURCE or "\0" in source:
                raise InvalidCall(f"A solution is text of at most {MAX_SOURCE} bytes without NUL characters.")
            self._submitted = source
        elif code is not None or path is not None:
            raise InvalidCall("Here the whole workspace is handed in: call submit without arguments.")
        self._handed = True
        self.finish()
        return "Submitted."

    # The episode

    def state(self) -> JsonValue:
        """What was handed in, the cells that ran, and the files."""
        changed = "" if self._files == self._first_files else self._files
        handed = hashlib.sha256((self._submitted or "").encode("utf-8", "backslashreplace")).hexdigest()
        return {"handed": handed if self._handed else "", "cells": self._cells, "files": changed}

    async def grade(self) -> Grade:
        """Run the hidden tests on what was handed in."""
        report = await self._report(self._submitted) if self._handed else None
        for name, value in parts(report).items():
            self.pay(name, value)
        self._queued = (self._queued or 0.0) + self._boxes.waited
        self._boxes.waited = 0.0
        if report is None:
            return Grade(0.0, success=False)
        return Grade(report.score, success=report.all_passed)

    async def _report(self, source: str | None) -> Report:
        gold, seconds = self._gold(), self.data.test_s
        text = source or ""
        if isinstance(gold, CasesGold):
            return await grade_cases(self._boxes, text, gold, seconds)
        if isinstance(gold, ProgramGold):
            return await grade_program(self._boxes, text, gold, seconds)
        if isinstance(gold, StdinGold):
            return await grade_stdin(self._boxes, text, gold, seconds)
        if isinstance(gold, ScoredGold):
            return await grade_scored(self._boxes, text, gold, seconds)
        try:
            return await grade_repository(self._boxes, await self._workspace(), gold)
        except (SandboxFileError, OutputLimitExceededError) as error:
            return unusable(gold, f"the workspace cannot be copied: {error}")

    def _gold(self) -> CasesGold | ProgramGold | StdinGold | ScoredGold | RepositoryGold:
        try:
            return Hidden.model_validate({"tests": self.task.gold.get("tests")}).tests
        except ValidationError as error:
            first = error.errors()[0]
            raise TaskError(
                f"task {self.task.id!r}: gold.{'.'.join(map(str, first['loc']))}: {first['msg']}"
            ) from error

    # Snapshots are the sandbox's own

    async def snapshot(self) -> Snapshot:
        """Return history, state and the sandbox's snapshot."""
        state: dict[str, JsonValue] = {
            "submitted": self._submitted,
            "handed": self._handed,
            "cells": self._cells,
            "first_files": self._first_files,
            "files": self._files,
            "over": self._over.value if self._over else None,
        }
        blobs = {} if self._box is None else {"box": (await self._box.snapshot()).to_bytes()}
        return (await super().snapshot()).model_copy(update={"state": state, "blobs": blobs})

    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Continue from a snapshot, in a sandbox of the same state."""
        state = snapshot.state
        if not isinstance(state, dict):
            raise EnvError("cannot restore: the snapshot holds no state of this environment")
        self.check_snapshot(snapshot, task)
        await self.teardown()
        over = state.get("over")
        self.resume(snapshot, task, StopReason(str(over)) if over else None)
        self._boxes = Boxes(self.config)
        self._submitted = str(state["submitted"]) if state.get("submitted") is not None else None
        self._handed = bool(state.get("handed"))
        self._cells, self._first_files = str(state.get("cells")), str(state.get("first_files"))
        self._files = str(state.get("files"))
        if "box" in snapshot.blobs:
            self._box = await self._boxes.workspace({}, snapshot.blobs["box"])
            await self._look(self._box)
        if await self.state_key() != snapshot.trace[-1].state_key and self._truncated is None:
            raise ReplayDiverged(f"code: the snapshot of task {task.id!r} does not lead back to the state it names")

    # For the harness

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random legal action: a look around, a small program, or an empty solution handed in."""
        name = rng.choice(self.offered())
        word = rng.choice(("None", "0", "[]", "''", "True"))
        entry = self.data.entry or "main"
        function = f"def {entry}(*values):\n    return {word}\n"
        arguments: dict[str, dict[str, JsonValue]] = {
            "python": {"code": rng.choice((f"x = {word}", "x", "1 / 0", f"print({word})"))},
            "bash": {"command": rng.choice(("ls", "cat *.py", "false", "echo hello > note.txt"))},
            "write_file": {"path": "solution.py", "content": function},
            "read_file": {"path": rng.choice(("solution.py", "note.txt"))},
            "submit": {} if self.data.submit == "workspace" else {"code": function},
        }
        return Action(calls=(ToolCall(id=f"s{self._turn + 1}", name=name, arguments=arguments[name]),))

    async def progress(self) -> float:
        """Return the share of hidden tests passed by what was handed in, or nine tenths of it by ``solution.py``."""
        if self._handed:
            return (await self._report(self._submitted)).fraction
        if self.data.submit == "workspace":
            return 0.9 * (await self._report(None)).fraction if self._box is not None else 0.0
        try:
            source = (await self._read("solution.py")).decode("utf-8", "replace")
        except ToolFailed:
            return 0.0
        return 0.9 * (await self._report(source)).fraction

    # How it works

    async def _open(self) -> Sandbox:
        """Return the sandbox, made anew with the task's files where there is none or it was lost."""
        if self._box is None or getattr(self._box, "closed", False):
            self._box = await self._boxes.workspace(self.data.files)
            await self._look(self._box)
            self._first_files = self._files
            self._queued = (self._queued or 0.0) + self._boxes.waited
            self._boxes.waited = 0.0
        return self._box

    async def _look(self, box: Sandbox) -> None:
        """Take down the digest of the files."""
        try:
            self._files = await box.files_digest()
        except (SandboxFileError, OutputLimitExceededError):
            self._files = TOO_MUCH

    def _shown(self, result: ExecResult) -> ToolOutput:
        text = result_text(result, self.config.output_chars, self.config.turn_s)
        if getattr(self._box, "closed", False):
            self._files = self._first_files
            text += "\n[the sandbox was lost with it; the next call begins a new one with the files of the start]"
        else:
            self._files = result.files or TOO_MUCH
        self._queued = (self._queued or 0.0) + self._boxes.waited
        self._boxes.waited = 0.0
        return ToolOutput.of(text, Status.OK if result.ok else Status.FAILED)

    async def _read(self, path: str) -> bytes:
        box = await self._open()
        try:
            return await box.read_file(_tidy(path), max_bytes=MAX_SOURCE)
        except OutputLimitExceededError as error:
            raise ToolFailed(f"{path[:200]} is larger than {MAX_SOURCE} bytes; look at it with a program") from error
        except (SandboxFileError, ValueError) as error:
            raise ToolFailed(f"{path[:200]} cannot be read: {error}") from error

    async def _workspace(self) -> bytes:
        box = await self._open()
        return (await box.snapshot()).tar

    def _first_message(self) -> str:
        data = self.data
        how = _HAND_IN[data.submit].format(entry=data.entry)
        files = f"\nFiles in the workspace: {', '.join(sorted(data.files))}." if data.files else ""
        limits = (
            f"Each test may take {data.test_s:g} seconds and {self.config.memory_mib} MiB. There is no network; "
            f"Python's "
            "standard library is there."
        )
        return f"{self.task.instruction}\n{files}\n{how} {limits}"


def _tidy(path: str) -> str:
    """Take a path as agents write it."""
    return path.removeprefix("/workspace/").removeprefix("./") or path
