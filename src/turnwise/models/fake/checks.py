"""What real endpoints refuse, refused here too, so that a client's mistakes show without one."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

_MAGIC = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def complaint(body: object) -> str | None:
    """Return what is wrong with a request body, or None."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return "the body must be an object with a model"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages must be a list that is not empty"
    if body.get("stream"):
        return "this server does not stream"
    wrong = next((said for index, message in enumerate(messages) if (said := _message(message, index))), None)
    return wrong or _tool_order(messages)


def foreign(headers: Mapping[str, str]) -> bool:
    """Whether Host or Origin show that the request came through another name: a web page's, most likely."""
    origin = headers.get("origin")
    hosts = [urlsplit(f"//{headers.get('host', '')}").hostname]
    hosts += [urlsplit(origin).hostname] if origin else []
    return any(host not in _LOOPBACK for host in hosts)


def _message(message: object, index: int) -> str | None:
    where = f"messages[{index}]"
    if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant", "tool"):
        return f"{where}: role must be system, user, assistant or tool"
    content = message.get("content")
    if content is None:
        return None if message.get("tool_calls") else f"{where}: content is null and there are no tool_calls"
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return f"{where}: content must be text or a list of parts"
    return next((f"{where}: {said}" for part in content if (said := _part(part, message["role"]))), None)


def _part(part: Any, role: str) -> str | None:
    if part.get("type") == "text":
        return None if isinstance(part.get("text"), str) else "a text part needs text"
    if part.get("type") != "image_url":
        return f"unknown part {part.get('type')!r}"
    if role != "user":
        return f"images are only allowed in user messages, not in {role}"
    head, _, data = str(part.get("image_url", {}).get("url")).partition(";base64,")
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        return "the image's data URL is not base64"
    magic = _MAGIC.get(head.removeprefix("data:"))
    return None if magic and raw.startswith(magic) else f"the image is not what its data URL says ({head[:40]!r})"


def _tool_order(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Every tool call is answered at once, and only calls are answered."""
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_ids:
                return f"messages[{index}]: tool_call_id {message.get('tool_call_id')!r} answers no open call"
            open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            return f"messages[{index}]: the calls {open_ids} were not answered"
        open_ids = [call["id"] for call in message.get("tool_calls") or ()]
    return f"the calls {open_ids} were not answered" if open_ids else None
