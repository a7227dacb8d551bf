"""What a chat endpoint answered, read out of its JSON once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import JsonValue

from turnwise.errors import ModelResponseError

Message = dict[str, JsonValue]
"""A chat message as endpoints shape it: role, content, tool_calls …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a model, and what it cost to get it."""

    message: Message
    """The assistant message, with the fields that may be sent back: role, content, tool_calls."""
    text: str
    reasoning: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    """As the server names it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None
    """US dollars; None: no price is known."""
    calls: int = 1
    """Requests made, failed ones included."""
    prompt_ids: Sequence[int] | None = None
    completion_ids: Sequence[int] | None = None
    logprobs: Sequence[float] | None = None
    pieces: Callable[[], Sequence[bytes] | None] | None = None
    """Tells the bytes of each sampled token; they are read only where they are needed."""
    seconds: float = 0.0
    """From sending the request that was answered to its last byte."""
    waited: float = 0.0
    """For a slot, the rate limits and back-offs."""


def read(body: object) -> Completion:
    """Read the JSON of ``POST /chat/completions``.

    Raises:
        ModelResponseError: It is no completion: no choices, no message, or content that is no text.
    """
    if not isinstance(body, dict):
        raise ModelResponseError(f"the answer is no JSON object but {type(body).__name__}: {str(body)[:80]!r}")
    choice = _first(body)
    raw = choice.get("message")
    if not isinstance(raw, dict):
        raise ModelResponseError("the answer's first choice has no message")
    usage = _mapping(body.get("usage"))
    return Completion(
        message=_message(raw),
        text=_text(raw.get("content")),
        reasoning=_string(raw.get("reasoning_content")) or _string(raw.get("reasoning")),
        finish_reason=_string(choice.get("finish_reason")),
        model=_string(body.get("model")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=_count(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        cached_tokens=_count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
        cost=_dollars(usage.get("cost")),
        prompt_ids=_ids(body.get("prompt_token_ids")),
        completion_ids=_ids(choice.get("token_ids")),
        logprobs=_logprobs(choice.get("logprobs")),
        pieces=partial(_pieces, choice.get("logprobs")),
    )


def clean(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and no file, database or terminal can."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _first(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        error = _mapping(body.get("error")).get("message")
        raise ModelResponseError(f"the answer has no choices{f': {error}' if error else ''}")
    return choices[0]


def _message(raw: Mapping[str, Any]) -> Message:
    """Keep what may be sent back; tool calls keep the argument text exactly as sampled."""
    content = raw.get("content")
    listed = raw.get("tool_calls")
    calls: list[JsonValue] = [kept for call in listed if (kept := _tool_call(call))] if isinstance(listed, list) else []
    # An assistant message needs content or calls; servers refuse null beside no calls.
    message: Message = {"role": "assistant", "content": _text(content) or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_call(raw: object) -> JsonValue:
    if not isinstance(raw, dict) or not isinstance(raw.get("function"), dict):
        return None
    function = raw["function"]
    name, arguments = function.get("name"), function.get("arguments")
    return {
        "id": clean(str(raw.get("id") or "")),
        "type": "function",
        "function": {"name": clean(name) if isinstance(name, str) else "", "arguments": _argument_text(arguments)},
    }


def _argument_text(arguments: object) -> str:
    if isinstance(arguments, str):
        return clean(arguments)
    # Some servers send the object itself; endpoints take only text back.
    return "{}" if arguments is None else json.dumps(arguments)


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return clean(content)
    if isinstance(content, list):
        return "".join(clean(str(part.get("text") or "")) for part in content if isinstance(part, dict))
    raise ModelResponseError(f"the answer's content is no text but {type(content).__name__}")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    return clean(value) if isinstance(value, str) and value else None


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _dollars(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _ids(value: object) -> Sequence[int] | None:
    return value if isinstance(value, list) and all(type(item) is int for item in value) else None


def _pieces(value: object) -> Sequence[bytes] | None:
    content = _mapping(value).get("content")
    if not isinstance(content, list):
        return None
    found = [piece for item in content if isinstance(item, dict) and (piece := _piece(item)) is not None]
    return found if len(found) == len(content) else None


def _piece(item: Mapping[str, Any]) -> bytes | None:
    listed, token = item.get("bytes"), item.get("token")
    if isinstance(listed, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in listed):
        return bytes(listed)
    return token.encode("utf-8", "replace") if isinstance(token, str) else None


def _logprobs(value: object) -> Sequence[float] | None:
    content = _mapping(value).get("content")
    if not isinstance(content, list):
        return None
    found = [item.get("logprob") for item in content if isinstance(item, dict)]
    numbers = [float(logprob) for logprob in found if isinstance(logprob, int | float)]
    return numbers if len(numbers) == len(content) else None
