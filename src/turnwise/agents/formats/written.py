"""Formats that write calls into the message's text: tags, brackets and JSON."""

import json
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from turnwise.agents.formats.base import ActionFormat, Parsed, Unparsable, describe, spoken
from turnwise.envs.textformat import parse_call, parse_object
from turnwise.envs.types import Action, ToolCall, ToolSpec
from turnwise.models.completion import Message

_LONGEST = 50_000
"""A call is looked for in this many characters at the message's end."""


class _Written(ActionFormat):
    """One call a message; where several are written the last one is meant, and thoughts do not count."""

    form: ClassVar[str]
    """The line of the system prompt that shows how a call is written."""

    def instructions(self, tools: Sequence[ToolSpec]) -> str | None:
        """Return the tools and how to call one."""
        return f"You act by calling tools, one in each message.\n\nTools:\n{describe(tools)}\n\n{self.form}"

    def parse(self, message: Message, tools: Sequence[ToolSpec], turn: int) -> Parsed | Unparsable:
        """Find the last call in the text."""
        said = message.get("content")
        text = said if isinstance(said, str) else ""
        call = self.find(spoken(text)[-_LONGEST:], tools, f"call_{turn}_0")
        if call is None:
            return Unparsable(f"no call in the format {self.name!r} was found")
        sent: Message = {"role": "assistant", "content": text} if "tool_calls" in message else message
        return Parsed(Action(text=text, calls=(call,)), sent)

    def write(self, action: Action) -> Message:
        """Return the text with its last call, which is the one that is read back."""
        lines = [action.text] if action.text else []
        lines += [self.written(call) for call in action.calls[-1:]]
        return {"role": "assistant", "content": "\n".join(lines)}

    @abstractmethod
    def find(self, text: str, tools: Sequence[ToolSpec], call_id: str) -> ToolCall | None:
        """Return the last call in the text."""

    @abstractmethod
    def written(self, call: ToolCall) -> str:
        """Return the text of one call."""


class Tags(_Written):
    """``<search>red shoes</search>``, or ``<search>{"query": "red shoes", "page": 2}</search>``."""

    name: ClassVar[str] = "tags"
    form: ClassVar[str] = (
        "Think first if you like, then end your message with one call: <tool>argument</tool> for a tool with one "
        'parameter, <tool>{"name": value, ...}</tool> for more, <tool></tool> for none, with the tool\'s name as tag.'
    )

    def find(self, text: str, tools: Sequence[ToolSpec], call_id: str) -> ToolCall | None:
        """Return the call whose closing tag comes last."""
        by_name = {spec.name: spec for spec in tools}
        closings = [match for match in re.finditer(r"</([\w.\-]+)>", text) if match.group(1) in by_name]
        for closing in reversed(closings):
            spec = by_name[closing.group(1)]
            start = text.rfind(f"<{spec.name}>", 0, closing.start())
            if start >= 0:
                raw = text[start + len(spec.name) + 2 : closing.start()]
                return ToolCall(id=call_id, name=spec.name, arguments=_arguments(raw, spec))
        return None

    def written(self, call: ToolCall) -> str:
        """Return the call in its tags; ``<`` inside is escaped, so that no argument can close them."""
        return f"<{call.name}>{_dumped(call.arguments).replace('<', _escape('<'))}</{call.name}>"


class Brackets(_Written):
    """``search[red shoes]``, or ``open[{"id": "B1", "page": 2}]``."""

    name: ClassVar[str] = "brackets"
    form: ClassVar[str] = (
        "Think first if you like, then end your message with one call: tool[argument] for a tool with one parameter, "
        'tool[{"name": value, ...}] for more, tool[] for none.'
    )

    def find(self, text: str, tools: Sequence[ToolSpec], call_id: str) -> ToolCall | None:
        """Return the last call, read as the environments' own text format is."""
        return parse_call(text, tools, call_id)

    def written(self, call: ToolCall) -> str:
        """Return the call in its brackets; ``[`` inside is escaped, so that no argument looks like a call."""
        inside = call.arguments if isinstance(call.arguments, str) else _bracketed(call.arguments)
        return f"{call.name}[{inside}]"


class Json(_Written):
    """``{"tool": "search", "arguments": {"query": "red shoes"}}``."""

    name: ClassVar[str] = "json"
    form: ClassVar[str] = (
        "Think first if you like, then end your message with one call as a JSON object: "
        '{"tool": "name", "arguments": {"name": value, ...}}'
    )

    def find(self, text: str, tools: Sequence[ToolSpec], call_id: str) -> ToolCall | None:
        """Return the last object that names a tool; whether there is such a tool the environment says."""
        found = [made for made in _objects(text) if isinstance(made.get("tool", made.get("name")), str)]
        if not found:
            return None
        name, arguments = str(found[-1].get("tool", found[-1].get("name"))), found[-1].get("arguments", {})
        given = arguments if isinstance(arguments, dict | str) else json.dumps(arguments)
        return ToolCall(id=call_id, name=name, arguments=given)

    def written(self, call: ToolCall) -> str:
        """Return the call as an object."""
        return json.dumps({"tool": call.name, "arguments": call.arguments}, ensure_ascii=False)


def _objects(text: str, tries: int = 500) -> list[dict[str, JsonValue]]:
    """Return the outermost JSON objects in a text, in order; hostile text costs at most ``tries`` attempts."""
    decoder, found = json.JSONDecoder(), list[dict[str, JsonValue]]()
    at = text.find("{")
    while at >= 0 and tries:
        tries -= 1
        end = at + 1
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            pass
        else:
            made = parse_object(text[at:end])
            found += [made] if made is not None else []
        at = text.find("{", end)
    return found


def _arguments(raw: str, spec: ToolSpec) -> dict[str, JsonValue] | str:
    parsed = parse_object(raw)
    if parsed is not None:
        return parsed
    properties = spec.parameters.get("properties")
    names = list(properties) if isinstance(properties, dict) else []
    if not names:
        return raw if raw.strip() else {}
    return {names[0]: raw.strip()}


def _dumped(arguments: dict[str, JsonValue] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _bracketed(arguments: dict[str, JsonValue]) -> str:
    """Dump with every bracket inside a string escaped; those of lists stay."""
    quoted = re.compile(r'"(?:[^"\\]|\\.)*"')
    return quoted.sub(lambda match: match.group().replace("[", _escape("[")), _dumped(arguments))


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"
