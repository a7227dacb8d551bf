"""The plain-text way to call a tool: ``search[red shoes]``, ``open[{"id": "B1", "page": 2}]``, ``back[]``."""

import json
import re
from collections.abc import Sequence

from pydantic import JsonValue

from turnwise.envs.types import ToolCall, ToolSpec


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


def _arguments(raw: str, spec: ToolSpec) -> dict[str, JsonValue] | str:
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        return parsed
    properties = spec.parameters.get("properties")
    names = list(properties) if isinstance(properties, dict) else []
    if not raw.strip() and not names:
        return {}
    return {names[0]: raw} if names else raw
