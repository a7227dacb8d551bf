"""The plain-text way to call a tool: ``search[red shoes]``, ``open[{"id": "B1", "page": 2}]``, ``back[]``."""

import json
import math
import re
from collections.abc import Sequence

from pydantic import JsonValue

from turnwise.envs.types import ToolCall, ToolSpec

_DEEPEST = 64


def parse_call(text: str, tools: Sequence[ToolSpec], call_id: str) -> ToolCall | None:
    """Find the last ``tool[argument]`` of a known tool in a text.

    The argument runs to the last closing bracket of the text. A JSON object is the arguments themselves; anything else
    is the value of the tool's first parameter.

    Returns:
        The call, or None where no known tool is called.
    """
    by_name = {spec.name: spec for spec in tools}
    names = "|".join(sorted(map(re.escape, by_name), key=len, reverse=True))
    starts = list(re.finditer(rf"(?<![\w.])({names})\[", text)) if names else []
    end = text.rfind("]")
    for start in reversed(starts):
        if end >= start.end():
            spec = by_name[start.group(1)]
            return ToolCall(id=call_id, name=spec.name, arguments=_arguments(text[start.end() : end], spec))
    return None


def parse_object(raw: str) -> dict[str, JsonValue] | None:
    """Read a JSON object an agent wrote, or return None where it is none.

    NaN, infinity, integers beyond 2**53, lone surrogates and nesting past 64 levels are refused: such a value has no
    canonical JSON, so it could be neither hashed nor stored.
    """
    try:
        parsed = json.loads(raw, parse_constant=_refuse, parse_int=_integer, parse_float=_number)
        if not raw.isascii() or "\\u" in raw:
            json.dumps(parsed, ensure_ascii=False).encode()
        if raw.count("{") + raw.count("[") > _DEEPEST and _depth(parsed) > _DEEPEST:
            return None
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _depth(value: JsonValue) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _integer(text: str) -> int:
    value = int(text)
    return value if abs(value) <= 2**53 - 1 else int(_refuse(text))


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _arguments(raw: str, spec: ToolSpec) -> dict[str, JsonValue] | str:
    parsed = parse_object(raw)
    if parsed is not None:
        return parsed
    properties = spec.parameters.get("properties")
    names = list(properties) if isinstance(properties, dict) else []
    if not raw.strip() and not names:
        return {}
    return {names[0]: raw} if names else raw
