"""The format of environments that read the message themselves, such as search with its tag interface."""

from collections.abc import Sequence
from typing import ClassVar

from turnwise.agents.formats.base import ActionFormat, Parsed
from turnwise.envs.types import Action, ToolSpec
from turnwise.models.completion import Message


class Text(ActionFormat):
    """The whole text is the action, untouched; the environment's first message says how to write."""

    name: ClassVar[str] = "text"

    def instructions(self, tools: Sequence[ToolSpec]) -> str | None:
        """Return nothing: the environment explains itself."""
        return None

    def parse(self, message: Message, tools: Sequence[ToolSpec], turn: int) -> Parsed:
        """Take the text as it is."""
        said = message.get("content")
        text = said if isinstance(said, str) else ""
        sent: Message = {"role": "assistant", "content": text} if "tool_calls" in message else message
        return Parsed(Action(text=text), sent)

    def write(self, action: Action) -> Message:
        """Return the text."""
        return {"role": "assistant", "content": action.text}
