"""What every action format does, and how parts become the content of chat messages."""

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import JsonValue

from turnwise.envs.types import Action, ImagePart, Observation, Part, TextPart, ToolSpec, text_of
from turnwise.models.completion import Message

NOTHING = "(nothing was shown)"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message that says what to do."""

    action: Action
    message: Message
    """As it is sent back in later prompts: unchanged, but for what endpoints would refuse."""


@dataclass(frozen=True, slots=True)
class Unparsable:
    """A message in which no action can be found at all; a wrong argument is not that, the environment answers it."""

    reason: str


class ActionFormat(ABC):
    """Writes and reads actions, and shows observations, in one way of speaking.

    No method raises on what a model or an environment wrote.
    """

    name: ClassVar[str]

    @abstractmethod
    def instructions(self, tools: Sequence[ToolSpec]) -> str | None:
        """Return what the system prompt must say of the tools; None where the endpoint is told by schema."""

    def schemas(self, tools: Sequence[ToolSpec]) -> list[dict[str, JsonValue]]:
        """Return the tool schemas to send beside the messages."""
        return []

    @abstractmethod
    def parse(self, message: Message, tools: Sequence[ToolSpec], turn: int) -> Parsed | Unparsable:
        """Find the action in an assistant message; ``turn`` makes the ids of calls that have none."""

    @abstractmethod
    def write(self, action: Action) -> Message:
        """Return the assistant message that says this action, as demonstrations need it.

        ``parse`` of it finds the same calls.
        """

    def opening(self, first: Observation) -> list[Message]:
        """Return the first user message."""
        return [{"role": "user", "content": content(_shown(first))}]

    def answers(self, action: Action, observation: Observation) -> list[Message]:
        """Return the messages that show what an action led to."""
        return [{"role": "user", "content": content(_shown(observation))}]


def content(parts: Sequence[Part]) -> JsonValue:
    """Return message content: plain text where there is no image, else a list with images as data URLs."""
    if all(isinstance(part, TextPart) for part in parts):
        return text_of(tuple(parts)) or NOTHING
    return [_content_part(part) for part in parts]


def _content_part(part: Part) -> JsonValue:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if not part.data:
        # A record keeps the digest alone; its bytes are in the store.
        return {"type": "text", "text": text_of((part,))}
    encoded = base64.b64encode(part.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{encoded}"}}


def images(parts: Sequence[Part]) -> list[Part]:
    """Return the images among the parts."""
    return [part for part in parts if isinstance(part, ImagePart)]


def _shown(observation: Observation) -> list[Part]:
    return [part for result in observation.results for part in result.parts] + list(observation.parts)


_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def spoken(text: str) -> str:
    """Return the text without what stands between thinking tags: a call that is only thought of is not made.

    A chat template may open the thought in the prompt, so that the message holds only its end.
    """
    head, closed, rest = text.rpartition("</think>")
    if closed and "<think>" not in head:
        text = rest
    return _THOUGHT.sub("", text)


def describe(tools: Sequence[ToolSpec]) -> str:
    """List the tools with their parameters, as the text formats' system prompts do."""
    return "\n".join(_described(spec) for spec in tools)


def _described(spec: ToolSpec) -> str:
    properties = spec.parameters.get("properties")
    names = properties if isinstance(properties, dict) else {}
    lines = [f"- {spec.name}({', '.join(names)}): {' '.join(spec.description.split())}"]
    lines += [f"    {name}{_typed(schema)}" for name, schema in names.items()]
    return "\n".join(lines)


def _typed(schema: JsonValue) -> str:
    if not isinstance(schema, dict):
        return ""
    kind = schema.get("type")
    kinds = f" ({kind})" if isinstance(kind, str) else ""
    said = schema.get("description")
    return f"{kinds}: {said}" if isinstance(said, str) else kinds
