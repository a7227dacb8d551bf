"""From messages to tokens without ever tokenising again what the policy sampled.

A conversation grows by exactly the tokens that a chat template puts after the assistant's last message. That works only
with templates that append: ``preflight`` says whether one does, with tools and with thinking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnwise.errors import ConfigError

Message = dict[str, Any]
_PROBE = "turnwise-probe"


@dataclass(frozen=True, kw_only=True)
class TemplateReport:
    """Whether a tokenizer's chat template can be trained on token by token."""

    appends: bool
    appends_with_tools: bool
    keeps_thinking: bool
    """Whether an earlier turn's ``<think>`` text stays in the prompt."""
    notes: tuple[str, ...]


class TokenChat:
    """Renders conversations of one tokenizer.

    Args:
        tokenizer: A Hugging Face tokenizer with a chat template.
        template_kwargs: Passed to the template, for example ``enable_thinking``.
    """

    def __init__(self, tokenizer: Any, template_kwargs: dict[str, Any] | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigError("the tokenizer has no chat template; choose an instruction-tuned model or set one")
        self.tokenizer = tokenizer
        self.template_kwargs = template_kwargs or {}

    def text(self, messages: Sequence[Message], *, tools: Sequence[Any] | None = None, prompt: bool = False) -> str:
        """Render messages as the model reads them; ``prompt`` opens the assistant's next message."""
        rendered: str = self.tokenizer.apply_chat_template(
            list(messages),
            tools=list(tools) if tools else None,
            tokenize=False,
            add_generation_prompt=prompt,
            **self.template_kwargs,
        )
        return rendered

    def encode(self, text: str) -> list[int]:
        """Tokenise rendered text; nothing is added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def begin(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> list[int]:
        """Return the tokens of a conversation up to where the assistant writes."""
        return self.encode(self.text(messages, tools=tools, prompt=True))

    def between(
        self,
        history: Sequence[Message],
        answers: Sequence[Message],
        sampled: Sequence[int],
        tools: Sequence[Any] | None = None,
    ) -> list[int]:
        """Return the tokens between a sampled message and the next one.

        Args:
            history: All messages before the sampled one.
            answers: The messages that answer it.
            sampled: The sampled tokens; where they lack the end of message, it is added.
            tools: The tools in the prompt.

        Raises:
            ConfigError: The template rewrites what came before.
        """
        probe = {"role": "assistant", "content": _PROBE}
        opened = self.text(history, tools=tools, prompt=True)
        closed = self.text([*history, probe], tools=tools)
        following = self.text([*history, probe, *answers], tools=tools, prompt=True)
        if not closed.startswith(opened) or not following.startswith(closed):
            raise ConfigError(
                "the chat template rewrites earlier messages, so episodes cannot be learnt token by token"
            )
        end = closed[len(opened) :].partition(_PROBE)[2]
        return self._end(end, sampled) + self.encode(following[len(closed) :])

    def _end(self, end: str, sampled: Sequence[int]) -> list[int]:
        """Return what closes a message and was not sampled."""
        ids = self.encode(end)
        while ids and sampled and ids[0] != sampled[-1] and sampled[-1] in ids:
            ids = ids[1:]
        return ids[1:] if ids and sampled and ids[0] == sampled[-1] else ids


def preflight(tokenizer: Any, template_kwargs: dict[str, Any] | None = None) -> TemplateReport:
    """Probe a chat template with tools and thinking."""
    chat = TokenChat(tokenizer, template_kwargs)
    tool = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}
    plain, tooled = _appends(chat, None), _appends(chat, [tool])
    thought = chat.text([*_ASKED, {"role": "assistant", "content": "<think>hm</think>yes"}, *_ASKED], prompt=True)
    kept = "<think>hm</think>" in thought
    notes = []
    if not plain:
        notes.append("the template rewrites earlier turns: use context policy 'per_turn', or another template")
    elif not tooled:
        notes.append("the template rewrites earlier turns when tools are given: use a text format instead of native")
    if not kept:
        notes.append("earlier thinking is dropped from prompts: with thinking, each turn opens a new sequence")
    return TemplateReport(appends=plain, appends_with_tools=tooled, keeps_thinking=kept, notes=tuple(notes))


_ASKED = [{"role": "user", "content": "ask"}]


def _appends(chat: TokenChat, tools: list[Any] | None) -> bool:
    messages: list[Message] = list(_ASKED)
    before = ""
    for turn in range(3):
        text = chat.text(messages, tools=tools, prompt=True)
        if not text.startswith(before):
            return False
        messages.append({"role": "assistant", "content": f"answer {turn}"})
        before = chat.text(messages, tools=tools)
        if not before.startswith(text):
            return False
        messages.append({"role": "user", "content": f"go on {turn}"})
    return True
