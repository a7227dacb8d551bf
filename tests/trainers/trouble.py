"""An environment that makes trouble; training workers import it by name.

``TROUBLE`` names it: ``one`` breaks on one task, ``some`` hangs on another too, ``break`` breaks on all, ``kill`` kills
the rollout server, ``fill`` fills the disk that the run is on. It begins when ``TROUBLE_AFTER`` messages were said.
"""

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import ClassVar

import anyio.to_thread

from turnwise.envs import Grade, StopReason, ToolEnv, ToolOutput, tool
from turnwise.errors import EnvError
from turnwise.process import TOKEN
from turnwise.tasks import Task, TaskSet


class Trouble(ToolEnv):
    """Three messages end it; each of even length is paid, and the last decides."""

    name = "trouble:Trouble"
    version = "1"
    default_panel = "trouble:panel"
    PRESETS: ClassVar[dict[str, dict[str, float]]] = {"default": {"outcome": 1.0, "even": 0.5}}

    async def begin(self) -> str:
        self.said: list[str] = []
        return self.task.instruction

    def state(self) -> list[str]:
        return list(self.said)

    async def grade(self) -> Grade:
        good = bool(self.said) and len(self.said[-1]) % 2 == 0
        return Grade(float(good), good)

    async def on_text(self, text: str) -> ToolOutput:
        await self.hear(text)
        return ToolOutput.of("noted")

    @tool
    async def say(self, word: str) -> str:
        """Say a word."""
        await self.hear(word)
        return "noted"

    async def hear(self, text: str) -> None:
        """Take a message, and make trouble where it is time."""
        self.said.append(text)
        if len(text) % 2 == 0:
            self.pay("even", 1.0)
        if time_has_come():
            if os.environ["TROUBLE"] == "some" and self.task.gold["index"] == 2:
                await anyio.to_thread.run_sync(threading.Event().wait)
            make(os.environ["TROUBLE"], self.task)
        if len(self.said) == 3:
            self.finish(StopReason.ENDED)


def root() -> Path:
    """The run's folder."""
    return Path(os.environ["TROUBLE_ROOT"])


def time_has_come() -> bool:
    """Count a message; whether enough were said."""
    with (root().parent / f"{root().name}.said").open("ab") as file:
        file.write(b".")
        file.flush()
        return file.tell() > int(os.environ.get("TROUBLE_AFTER", "0"))


def make(kind: str, task: Task) -> None:
    """Make trouble of a kind."""
    if kind == "break" or (kind in ("some", "one") and task.gold["index"] == 1):
        raise EnvError("the hinge broke")
    if kind == "kill":
        for pid in servers():
            os.kill(pid, signal.SIGKILL)
    if kind == "fill":
        with contextlib.suppress(OSError), (root() / "filler").open("wb") as file:
            while True:
                file.write(bytes(1 << 16))


def servers() -> list[int]:
    """Process ids of this run's rollout servers, by the title that Ray gives them."""
    found, mine = [], f"{TOKEN}={os.environ[TOKEN]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = b"TransformersServer" in (folder / "cmdline").read_bytes()
            if named and mine in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def panel() -> TaskSet:
    """Four tasks a split."""
    tasks = [
        Task(
            id=f"{split}-{index}", env="trouble:Trouble", split=split,
            instruction=f"Say something, {split} {index}.", gold={"index": index, "answers": ["yes"]},
        )
        for split in ("train", "test")
        for index in range(4)
    ]  # fmt: skip
    return TaskSet(name="trouble", tasks=tuple(tasks))
