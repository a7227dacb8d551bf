"""A tokenizer without a vocabulary: UTF-8 bytes, and one token for each role and for the end of a message.

The rendering of a chat only grows at its end, and an answer sent back unchanged renders to the tokens it was sampled
as: so a client that changes what it was given shows as drift.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

ROLES = {"system": 256, "user": 257, "assistant": 258, "tool": 259}
END = 260


def render(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the prompt's tokens, up to where the assistant begins to speak."""
    ids: list[int] = []
    for message in messages:
        ids += [ROLES.get(str(message.get("role")), ROLES["user"]), *spoken(message)]
    return [*ids, ROLES["assistant"]]


def spoken(message: Mapping[str, Any]) -> list[int]:
    """Return the tokens of one message's body, its end included."""
    content = message.get("content") or ""
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    for called in message.get("tool_calls") or ():
        text += f"<call>{called['function']['name']} {called['function']['arguments']}</call>"
    return [*text.encode("utf-8", "replace"), END]


def logprob(ids: Sequence[int], index: int) -> float:
    """Return a log-prob that only the token and its place decide, in (-2, 0]."""
    token = hashlib.blake2b(f"{index}:{ids[index]}".encode(), digest_size=2).digest()
    return -int.from_bytes(token, "big") / 2**15
