"""A token server without a model, for tests and dry runs: it says what it is told to say, fails or hangs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Say = Callable[[str, dict[str, Any]], str]


@dataclass(frozen=True, kw_only=True)
class FakeAnswer:
    """An answer, shaped as verl's rollout servers shape theirs."""

    token_ids: list[int]
    log_probs: list[float]
    stop_reason: str = "completed"
    extra_fields: dict[str, Any] = field(default_factory=dict)


class FakeTokenServer:
    """Answers prompts of tokens.

    Args:
        tokenizer: Reads the prompt and writes the answer; its end-of-message token closes each.
        say: What to say to a prompt's text under sampling parameters, or messages to say one after another.
        version: The policy's version that it claims to be.
        fails: How many of its first answers fail.
        hangs: Whether it answers at all.

    Attributes:
        asked: Every request: its id, prompt and sampling parameters.
    """

    def __init__(
        self,
        tokenizer: Any,
        say: Say | Sequence[str],
        *,
        version: int = 0,
        fails: int = 0,
        hangs: bool = False,
    ) -> None:
        self.tokenizer, self.version, self.fails, self.hangs = tokenizer, version, fails, hangs
        self._say = say if callable(say) else _one_by_one(say)
        self.asked: list[tuple[str, list[int], dict[str, Any]]] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_media: Any
    ) -> FakeAnswer:
        """Answer a prompt.

        Raises:
            ConnectionError: It was told to fail.
        """
        self.asked.append((request_id, list(prompt_ids), dict(sampling_params)))
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails > 0:
            self.fails -= 1
            raise ConnectionError("the server is gone")
        text = self._say(self.tokenizer.decode(prompt_ids), sampling_params)
        ids = [*self.tokenizer.encode(text, add_special_tokens=False), self.tokenizer.eos_token_id]
        ids = ids[: int(sampling_params.get("max_tokens") or len(ids))]
        extra = dict.fromkeys(("global_steps", "min_global_steps", "max_global_steps"), self.version)
        return FakeAnswer(token_ids=ids, log_probs=[-0.5] * len(ids), extra_fields=extra)


def _one_by_one(messages: Sequence[str]) -> Say:
    waiting = list(messages)

    def say(_prompt: str, _params: dict[str, Any]) -> str:
        return waiting.pop(0)

    return say
