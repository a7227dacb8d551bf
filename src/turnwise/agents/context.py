"""Which part of the conversation the model is shown: full, window, summary, each turn on its own."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import ClassVar

from pydantic import JsonValue

from turnwise.agents.tokens import Rewritten
from turnwise.errors import ConfigError, UnknownNameError
from turnwise.models.completion import Message

Ask = Callable[[list[Message]], Awaitable[str]]
"""Asks the agent's own model for a text; what that costs is counted."""


@dataclass(slots=True)
class History:
    """The conversation as messages: what opened it, then per turn the assistant's and those that answered."""

    opening: list[Message]
    turns: list[list[Message]] = field(default_factory=list)
    prompt_tokens: int | None = None
    """Of the prompt before, as the server counted it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a policy lets the model see."""

    messages: list[Message]
    dropped: tuple[int, ...] = ()
    """Indices of the turns that are not in the messages as they were."""
    rewritten: Rewritten | None = None
    """Set where the messages are not simply the conversation so far."""
    summary: str | None = None


class ContextPolicy(ABC):
    """Chooses the messages of one episode's prompts; an instance serves one episode."""

    name: ClassVar[str]

    @abstractmethod
    async def show(self, history: History, ask: Ask) -> Shown:
        """Return what the model is shown before its next turn."""


class Full(ContextPolicy):
    """Everything."""

    name: ClassVar[str] = "full"

    async def show(self, history: History, ask: Ask) -> Shown:
        """Return the whole conversation."""
        return Shown(_joined(history.opening, history.turns))


@dataclass
class Window(ContextPolicy):
    """The opening and the last turns."""

    name: ClassVar[str] = "window"
    turns: int = 8

    async def show(self, history: History, ask: Ask) -> Shown:
        """Return the opening and the last ``turns`` turns."""
        cut = max(0, len(history.turns) - self.turns)
        messages = _joined(history.opening, history.turns[cut:])
        return Shown(messages, tuple(range(cut)), "window" if cut else None)


@dataclass
class Summary(ContextPolicy):
    """The opening, a summary of older turns that the model itself writes, and the last turns.

    Once ``every`` turns stand beyond the ``keep`` last ones, or the prompt has grown past ``tokens``, all but the
    last ``keep`` are told again in a summary.
    """

    name: ClassVar[str] = "summary"
    keep: int = 4
    every: int = 8
    tokens: int | None = None
    _told: int = field(default=0, init=False)
    _text: str | None = field(default=None, init=False)

    async def show(self, history: History, ask: Ask) -> Shown:
        """Return opening, summary and last turns; write the summary first where it is due."""
        cut = max(self._told, len(history.turns) - self.keep)
        if cut > self._told and self._due(history):
            self._text = await ask(self._request(history, cut))
            self._told = cut
        if self._text is None:
            return Shown(_joined(history.opening, history.turns))
        opening = _with_text(history.opening, f"What happened so far, in your own words:\n{self._text}")
        messages = _joined(opening, history.turns[self._told :])
        return Shown(messages, tuple(range(self._told)), "summary", self._text)

    def _due(self, history: History) -> bool:
        grown = self.tokens is not None and (history.prompt_tokens or 0) > self.tokens
        return grown or len(history.turns) - self._told >= self.keep + self.every

    def _request(self, history: History, cut: int) -> list[Message]:
        told = [f"Summary until then:\n{self._text}"] if self._text else []
        told += [transcript(messages) for messages in history.turns[self._told : cut]]
        said = "\n\n".join(told)
        ask = (
            "Below is the earlier part of a conversation between an assistant and its tools. Write down what the "
            "assistant must still know to go on: what it did, what it learnt (exact names, numbers and ids), what "
            f"failed. Write nothing else.\n\n{transcript(history.opening)}\n\n{said}"
        )
        return [{"role": "user", "content": ask}]


@dataclass
class PerTurn(ContextPolicy):
    """Each turn on its own: the opening and what was shown last, in one user message.

    ``turns`` turns before are told as text, so that a prompt never holds an assistant message.
    """

    name: ClassVar[str] = "per-turn"
    turns: int = 1

    async def show(self, history: History, ask: Ask) -> Shown:
        """Return the opening with the last turns told as text."""
        if not history.turns:
            return Shown(list(history.opening))
        cut = max(0, len(history.turns) - self.turns)
        told = "\n\n".join(transcript(messages) for messages in history.turns[cut:])
        text = f"The last of your {len(history.turns)} turns so far:\n\n{told}\n\nTake the next turn."
        pictures = _pictures(history.turns[-1])
        return Shown(_with_text(history.opening, text, pictures), tuple(range(cut)), "per_turn")


CONTEXTS: dict[str, type[ContextPolicy]] = {kind.name: kind for kind in (Full, Window, Summary, PerTurn)}
"""The policies that ship, by name."""


def make_context(spec: str) -> ContextPolicy:
    """Make a policy from its name and settings: ``full``, ``window:4``, ``summary:keep=4,every=8``, ``per-turn:2``.

    A bare number sets the first setting.

    Raises:
        UnknownNameError: There is no such policy.
        ConfigError: A setting is unknown or no whole number above 0.
    """
    name, _, rest = spec.partition(":")
    if name not in CONTEXTS:
        raise UnknownNameError.of("context policy", name, CONTEXTS)
    kind = CONTEXTS[name]
    known: list[str] = [field.name for field in fields(kind) if field.init] if is_dataclass(kind) else []
    settings: dict[str, int] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.rpartition("=")
        key = key.strip() or (known[0] if known else "")
        if key not in known or not value.strip().isdecimal() or int(value) < 1:
            listed = ", ".join(f"{key}=N" for key in known) or "none"
            raise ConfigError(f"context policy {spec!r}: {item!r} is no setting of {name!r}; settings: {listed}")
        settings[key] = int(value)
    return kind(**settings)


def transcript(messages: Sequence[Message]) -> str:
    """Tell messages as plain text, calls included, images by their place alone."""
    return "\n".join(filter(None, (_told(message) for message in messages)))


def _told(message: Message) -> str:
    role = {"assistant": "You", "user": "Shown", "tool": "Result", "system": "Rules"}.get(str(message.get("role")), "?")
    lines = [text] if (text := _plain(message.get("content"))) else []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            lines.append(f"{function.get('name')}({function.get('arguments')})")
    return f"{role}: " + "\n".join(lines) if lines else ""


def _plain(content: JsonValue) -> str:
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return "\n".join(str(part["text"]) if "text" in part else "[image]" for part in parts)
    return content if isinstance(content, str) else ""


def _pictures(messages: Sequence[Message]) -> list[JsonValue]:
    contents = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [part for part in parts if isinstance(part, dict) and part.get("type") == "image_url"]


def _with_text(opening: list[Message], text: str, pictures: Sequence[JsonValue] = ()) -> list[Message]:
    """Add text to the opening's last message; the opening itself is not changed."""
    last = opening[-1]
    content = last.get("content")
    if isinstance(content, str) and not pictures:
        return [*opening[:-1], {**last, "content": f"{content}\n\n{text}"}]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return [*opening[:-1], {**last, "content": [*parts, {"type": "text", "text": text}, *pictures]}]


def _joined(opening: list[Message], turns: Sequence[list[Message]]) -> list[Message]:
    return [*opening, *(message for messages in turns for message in messages)]
