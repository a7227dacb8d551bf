"""A small world for tests: count up to the target; it breaks, waits or hangs where its task says so."""

import anyio
from pydantic import BaseModel

from turnwise.envs import Grade, Status, StopReason, ToolEnv, tool
from turnwise.envs.tools import ToolOutput
from turnwise.envs.types import Action, ImagePart, TextPart, ToolCall
from turnwise.errors import EnvError
from turnwise.tasks import Task, TaskSet

OPEN: list["CountEnv"] = []
"""The instances that hold something open."""


class Count(BaseModel):
    target: int
    breaks_at: int | None = None
    """Value at which the world breaks."""
    broken_times: int = 10**9
    """How many times it breaks, over all instances of the task."""
    wait_s: float = 0.0
    image: bool = False


BROKE: dict[str, int] = {}


class CountEnv(ToolEnv):
    name = "count"
    version = "1"
    Data = Count
    PRESETS = {"default": {"outcome": 1.0, "step": 0.125}}

    async def begin(self) -> str:
        self.value = 0
        OPEN.append(self)
        return self.task.instruction

    def state(self) -> int:
        return self.value

    async def grade(self) -> Grade:
        return Grade(min(self.value / self.data.target, 1.0), self.value == self.data.target)

    async def teardown(self) -> None:
        if self in OPEN:
            OPEN.remove(self)

    @tool
    async def add(self, amount: int = 1) -> ToolOutput:
        """Add to the counter.

        Args:
            amount: How much.
        """
        await anyio.sleep(self.data.wait_s)
        self.value += amount
        if self.value == self.data.breaks_at and BROKE.get(self.task.id, 0) < self.data.broken_times:
            BROKE[self.task.id] = BROKE.get(self.task.id, 0) + 1
            raise EnvError("the counter jammed")
        self.pay("step", 1.0)
        if self.value >= self.data.target:
            self.finish(StopReason.SOLVED if self.value == self.data.target else StopReason.ENDED)
        image = (ImagePart.of(b"\x89PNG" + bytes([self.value])),) if self.data.image else ()
        return ToolOutput(parts=(TextPart(text=f"counter: {self.value}"), *image), status=Status.OK)

    async def gold_action(self) -> Action:
        return Action(text="one more", calls=(ToolCall(id=f"g{self.value}", name="add", arguments={"amount": 1}),))


def tasks(n: int = 3, target: int = 3, **data: object) -> TaskSet:
    made = [
        Task(
            id=f"count-{index}",
            env="tiny_env:CountEnv",
            split="test",
            instruction=f"Count to {target}. ({index})",
            data={"target": target, **data},  # type: ignore[dict-item]
        )
        for index in range(n)
    ]
    return TaskSet(name="counting", tasks=tuple(made))
