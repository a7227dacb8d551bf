"""A small environment whose agent says words, one of them right."""

from typing import Any

from turnwise.envs import Grade, StopReason, ToolEnv, tool
from turnwise.errors import EnvError
from turnwise.tasks import Task


class Word(ToolEnv):
    """Ends at "yes"; breaks at "break"."""

    name = "word"
    version = "1"

    async def begin(self) -> str:
        self.said: list[str] = []
        return "Say the word."

    def state(self) -> list[str]:
        return list(self.said)

    async def grade(self) -> Grade:
        return Grade(float("yes" in self.said), "yes" in self.said)

    @tool
    async def say(self, word: str) -> str:
        """Say a word."""
        if word == "break":
            raise EnvError("the wire broke")
        self.said.append(word)
        if word == "yes":
            self.finish(StopReason.SOLVED)
        return f"you said {word}"


TASK = Task(id="w", env="word_env:Word", instruction="Say the word.")


def word_tokenizer() -> Any:
    """Return a tokenizer that knows the words."""
    from turnwise.trainers.tiny import tiny_tokenizer

    return tiny_tokenizer(["say[yes] say[no] and the door is open"], 300)
