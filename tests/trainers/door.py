"""A small environment and panel that training workers import by name."""

from typing import ClassVar

from turnwise.envs import Grade, StopReason, ToolEnv, tool
from turnwise.errors import EnvError
from turnwise.tasks import Task, TaskSet

WORDS = ("ant", "bee", "cat", "dog")


class Door(ToolEnv):
    """Opens when the asked word is said; gold tries a wrong one first. One door is broken."""

    name = "door:Door"
    version = "1"
    default_panel = "door:panel"
    PRESETS: ClassVar = {"default": {"outcome": 1.0, "tried": -0.1}}

    async def begin(self) -> str:
        self.said: list[str] = []
        return self.task.instruction

    def state(self) -> list[str]:
        return list(self.said)

    async def grade(self) -> Grade:
        opened = self.task.gold["word"] in self.said
        return Grade(float(opened), opened)

    @tool
    async def say(self, word: str) -> str:
        """Say a word."""
        if self.task.gold.get("broken"):
            raise EnvError("the hinge broke")
        self.said.append(word)
        self.pay("tried", 1.0)
        if word == self.task.gold["word"]:
            self.finish(StopReason.SOLVED)
        return "nothing happens"


def panel() -> TaskSet:
    """Eight tasks a split."""
    tasks = []
    for split in ("train", "test"):
        for index in range(8):
            word = WORDS[index % 4]
            calls = [[{"id": "c", "name": "say", "arguments": {"word": said}}] for said in ("fly", word)]
            tasks.append(
                Task(
                    id=f"{split}-{index}",
                    env="door:Door",
                    split=split,
                    instruction=f"Door {index}: say {word}.",
                    gold={
                        "word": word,
                        "answers": [word],
                        "broken": (split, index) == ("train", 7),
                        "actions": [{"text": "", "calls": made} for made in calls],
                    },
                )
            )
    return TaskSet(name="door", tasks=tuple(tasks))
