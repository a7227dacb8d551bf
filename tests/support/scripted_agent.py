"""An agent that says what a test tells it to."""

from collections.abc import Sequence
from typing import ClassVar

import anyio

from turnwise.agents import AgentFactory, Conversation, Generation
from turnwise.agents.base import Agent, Stage
from turnwise.envs.types import ToolSpec


class Scripted(AgentFactory):
    """Answers with the given generations in turn; an exception among them is raised."""

    name: ClassVar[str] = "scripted"

    def __init__(self, *answers: Generation | Exception, wait_s: float = 0.0) -> None:
        super().__init__()
        self.answers, self.wait_s = answers, wait_s
        self.seen: list[int] = []

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        return self

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        return "You count."

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        await anyio.sleep(self.wait_s)
        self.seen.append(len(conversation.turns))
        answer = self.answers[min(len(conversation.turns), len(self.answers) - 1)]
        if isinstance(answer, Exception):
            raise answer
        return answer
