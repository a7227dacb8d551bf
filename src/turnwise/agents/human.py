"""A person as an agent: the question goes out to whoever shows it, the answer comes back as text."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from turnwise.agents.base import Agent, AgentFactory, Conversation, Generation, Stage
from turnwise.envs.types import Action, StopReason, ToolSpec

Ask = Callable[[Conversation, Sequence[ToolSpec]], Awaitable[str | None]]
"""Shows the conversation's end and returns what the person wrote; None: they stop."""


class Human(AgentFactory):
    """Lets a person act, who writes ``tool[argument]`` or ``tool[{"name": "value"}]``."""

    name: ClassVar[str] = "human"

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start an episode for the person."""
        return _Person(self._ask, stage)


class _Person:
    def __init__(self, ask: Ask, stage: Stage | None) -> None:
        self._ask, self._stage = ask, stage

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        return None

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        text = await self._ask(conversation, tools)
        if text is None:
            return Generation(action=Action(), stop=StopReason.GAVE_UP)
        action = self._stage.env.parse(text) if self._stage else Action(text=text)
        return Generation(action=action, text=text)
