"""What the fake model answers: a pure function of the request, so that no order of arrival changes it."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pydantic import JsonValue


@dataclass(frozen=True)
class ChatRequest:
    """One request body, with what rules ask of it."""

    body: Mapping[str, Any]

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The chat so far."""
        return self.body["messages"]  # type: ignore[no-any-return]

    @property
    def turn(self) -> int:
        """How many answers the chat already holds."""
        return sum(message.get("role") == "assistant" for message in self.messages)

    @property
    def opening(self) -> str:
        """The first user message's text."""
        first = next((message for message in self.messages if message.get("role") == "user"), {})
        return content_text(first.get("content"))

    @property
    def last(self) -> str:
        """The last message's text."""
        return content_text(self.messages[-1].get("content")) if self.messages else ""

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The function schemas offered."""
        return [tool["function"] for tool in self.body.get("tools") or ()]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the whole body."""
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()

    def rng(self, *salt: object) -> random.Random:
        """Return a random stream that depends on this body and the salt alone."""
        return random.Random(f"{self.fingerprint}:{salt}")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of the fake model."""

    content: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Name and argument text of each tool call, sent as they are."""
    reasoning: str | None = None
    finish_reason: str | None = None
    fault: str | None = None
    """One of ``FAULTS`` to inject in place of, or into, this answer."""
    status: int | None = None
    """Answer with this HTTP status instead, the content as its error message."""
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
    """Fields to add to the response body."""


Rule = Callable[[ChatRequest], Reply]


def say(content: str, **more: Any) -> Reply:
    """Answer with text."""
    return Reply(content=content, **more)


def call(name: str, /, **arguments: JsonValue) -> Reply:
    """Answer with one tool call."""
    return Reply(calls=((name, json.dumps(arguments)),))


class Script:
    """Answers turn n of every chat with reply n; past the end it repeats the last."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        if not replies:
            raise ValueError("a script needs at least one reply")
        self._replies = tuple(replies)

    def __call__(self, request: ChatRequest) -> Reply:
        """Answer."""
        return self._replies[min(request.turn, len(self._replies) - 1)]


class ByTask:
    """Looks up a script by a text in the first user message: the longest key found there wins."""

    def __init__(self, scripts: Mapping[str, Sequence[Reply]], otherwise: Rule | None = None) -> None:
        self._scripts = {
            key: Script(replies) for key, replies in sorted(scripts.items(), key=lambda item: -len(item[0]))
        }
        self._otherwise = otherwise or Script([say("I do not know this task.")])

    def __call__(self, request: ChatRequest) -> Reply:
        """Answer."""
        opening = request.opening
        found = next((script for key, script in self._scripts.items() if key in opening), self._otherwise)
        return found(request)


class RandomTools:
    """Calls a random offered tool with arguments drawn from its schema, as the body decides."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def __call__(self, request: ChatRequest) -> Reply:
        """Answer."""
        if not request.tools:
            return say("There is no tool to call.")
        rng = request.rng("tools", self._seed)
        function = rng.choice(list(request.tools))
        properties = function.get("parameters", {}).get("properties", {})
        arguments = {name: _value(schema, rng) for name, schema in properties.items()}
        return replace(call(function["name"], **arguments), content="Trying something.")


_WORDS = ("red", "shoes", "city", "Artist", "SELECT 1", "42", "first", "album")


def _value(schema: Mapping[str, Any], rng: random.Random) -> Any:
    if "enum" in schema:
        return rng.choice(schema["enum"])
    options = schema.get("anyOf")
    if options:
        return _value(rng.choice(options), rng)
    kind = schema.get("type")
    if kind == "array":
        return [_value(schema.get("items", {}), rng) for _ in range(rng.randint(0, 2))]
    plain = {"integer": rng.randint(0, 9), "number": rng.random(), "boolean": rng.random() < 0.5, "null": None}
    return plain.get(str(kind), {} if kind == "object" else rng.choice(_WORDS))


def content_text(content: object) -> str:
    """Join the text of a message's content; images count for nothing."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
