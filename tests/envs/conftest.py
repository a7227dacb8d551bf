"""A small environment that several tests play."""

import random
from typing import ClassVar

import pytest
from pydantic import BaseModel, JsonValue

from turnwise.envs import Grade, StopReason, ToolEnv, tool
from turnwise.tasks import Task


class Corridor(BaseModel):
    length: int


class CorridorEnv(ToolEnv):
    """Walk to the end of a corridor, where a door takes a word that is written half way."""

    name = "corridor"
    version = "1"
    Data = Corridor
    PRESETS: ClassVar = {"default": {"outcome": 1.0, "step": 0.01}}

    async def begin(self) -> str:
        self.place = 0
        self.said = ""
        return f"{self.task.instruction} It is {self.data.length} paces long."

    def state(self) -> JsonValue:
        return {"place": self.place, "said": self.said}

    async def grade(self) -> Grade:
        right = self.said == self.task.gold["word"]
        return Grade(1.0 if right else 0.1 * self.place / self.data.length, right)

    async def progress(self) -> float:
        return self.place / self.data.length

    @tool
    def walk(self, paces: int = 1) -> str:
        """Walk on.

        Args:
            paces: How far.
        """
        self.place = max(0, min(self.data.length, self.place + max(-3, min(3, paces))))
        self.pay("step", 1.0)
        return f"You stand at {self.place}."

    @tool
    async def say(self, word: str) -> str:
        """Say the word at the door."""
        self.said = word
        self.finish(StopReason.SOLVED if word == self.task.gold["word"] else StopReason.ENDED)
        return "The door has heard you."


def corridor(index: int) -> Task:
    word = "".join(random.Random(index).choices("aeiouklmnr", k=6))
    gold: dict[str, JsonValue] = {"word": word, "actions": ["walk[2]", "walk[2]", f"say[{word}]"]}
    return Task(id=f"c{index}", env="corridor", instruction=f"Pass door {index}.", data={"length": 4}, gold=gold)


@pytest.fixture
def corridor_env() -> type[CorridorEnv]:
    return CorridorEnv


@pytest.fixture
def corridors() -> list[Task]:
    return [corridor(index) for index in range(6)]
