"""The policy under training behind the chat client's interface: messages in, sampled tokens out.

The chat agent, its formats and its context policies then work in training as they do in evaluation. What was sampled
is kept as tokens: while the messages only grow, the next prompt is the last one, the sampled tokens, and the tokens of
what the environment answered.
"""

import json
import re
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from pydantic import JsonValue

from turnwise.errors import ConfigError, ModelContextError
from turnwise.models import Completion, Message
from turnwise.trainers.tokenchat import TokenChat


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a token server sampled."""

    token_ids: list[int]
    logprobs: list[float]
    extra: dict[str, Any] = field(default_factory=dict)


class Generate(Protocol):
    """Samples one answer to a prompt of tokens."""

    def __call__(self, prompt: list[int], max_tokens: int, seed: int | None) -> Awaitable[Answer]:
        """Sample at most ``max_tokens`` tokens."""
        ...


class TokenModel:
    """One episode's client.

    Args:
        tokenizer: The policy's.
        generate: Samples tokens.
        turn_tokens: Most tokens of one message.
        context_tokens: Most tokens of prompt and message together.

    Attributes:
        drifts: How often the messages stopped being a continuation although no policy rewrote them.
        extra: What the server said beside its last tokens.
    """

    def __init__(self, tokenizer: Any, generate: Generate, *, turn_tokens: int, context_tokens: int) -> None:
        self.chat = TokenChat(tokenizer)
        self._generate = generate
        self._turn_tokens, self._context_tokens = turn_tokens, context_tokens
        self._messages: list[Message] = []
        self._ids: list[int] = []
        self._sampled: list[int] = []
        self.drifts = 0
        self.extra: dict[str, Any] = {}

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[dict[str, JsonValue]] = (),
        seed: int | None = None,
        extra: dict[str, JsonValue] | None = None,
    ) -> Completion:
        """Sample the next message.

        Raises:
            ModelContextError: The prompt leaves no room for a message.
        """
        prompt = self._prompt(list(messages), tools)
        room = min(self._turn_tokens, self._context_tokens - len(prompt))
        if room < 1:
            raise ModelContextError(f"a prompt of {len(prompt)} tokens fills the context of {self._context_tokens}")
        started = time.perf_counter()
        answer = await self._generate(prompt, room, seed)
        self._messages, self._ids, self._sampled = list(messages), prompt, answer.token_ids
        self.extra = answer.extra
        text = self.chat.tokenizer.decode(answer.token_ids, skip_special_tokens=True)
        return Completion(
            message=message_of(text, native=bool(tools)),
            text=text,
            finish_reason="stop",
            prompt_tokens=len(prompt),
            completion_tokens=len(answer.token_ids),
            prompt_ids=prompt,
            completion_ids=answer.token_ids,
            logprobs=answer.logprobs,
            pieces=partial(pieces_of, self.chat.tokenizer, answer.token_ids),
            seconds=time.perf_counter() - started,
        )

    async def aclose(self) -> None:
        """Nothing is held."""

    def _prompt(self, messages: list[Message], tools: Sequence[Any]) -> list[int]:
        """Continue the last prompt where the messages continue it; else render them anew."""
        before = len(self._messages)
        grown = bool(before) and messages[:before] == self._messages and len(messages) > before
        if grown and messages[before].get("role") == "assistant":
            between = self._between(messages[before + 1 :], tools)
            if between is not None:
                return [*self._ids, *self._sampled, *between]
        return self.chat.begin(messages, tools or None)

    def _between(self, answers: list[Message], tools: Sequence[Any]) -> list[int] | None:
        try:
            return self.chat.between(self._messages, answers, self._sampled, tools or None)
        except ConfigError:
            # The template rewrote what came before: the prompt is rendered anew and opens a new sequence.
            self.drifts += 1
            return None


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> list[bytes]:
    """Return the bytes of each token; a character made of several tokens belongs to its last one.

    Each token is decoded after the one before it, since some tokenizers drop a blank at the beginning of a text.
    """
    pieces, prefix, read = list[bytes](), 0, 0
    for end in range(1, len(ids) + 1):
        before = tokenizer.decode(list(ids[prefix:read]), skip_special_tokens=True)
        now = tokenizer.decode(list(ids[prefix:end]), skip_special_tokens=True)
        if len(now) <= len(before) or now.endswith("\ufffd"):
            pieces.append(b"")
            continue
        pieces.append(now[len(before) :].encode())
        prefix, read = read, end
    return pieces


_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)


def message_of(text: str, *, native: bool) -> Message:
    """Return the assistant message; with native tools, Hermes-style ``<tool_call>`` blocks become its calls.

    A message without calls stays as it was said, blanks at its ends included: it is what the environment hears, and
    what a replay of the record tells it again.
    """
    calls = [_call(index, raw) for index, raw in enumerate(_CALL.findall(text))] if native else []
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": _CALL.sub("", text).strip(), "tool_calls": [*calls]}


def _call(index: int, raw: str) -> dict[str, JsonValue]:
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        parsed = None
    known = parsed if isinstance(parsed, dict) else {"name": "", "arguments": raw}
    arguments = known.get("arguments", {})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function: dict[str, JsonValue] = {"name": str(known.get("name", "")), "arguments": written}
    return {"id": f"call_{index}", "type": "function", "function": function}
