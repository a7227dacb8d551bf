"""The endpoint's own tool calls."""

import json
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from turnwise.agents.formats.base import NOTHING, ActionFormat, Parsed, Unparsable, content, images
from turnwise.envs.textformat import parse_object
from turnwise.envs.types import Action, Observation, TextPart, ToolCall, ToolSpec, text_of
from turnwise.models.completion import Message


class Native(ActionFormat):
    """Tools are told by schema, and called in ``tool_calls``."""

    name: ClassVar[str] = "native"

    def instructions(self, tools: Sequence[ToolSpec]) -> str | None:
        """Nothing: the endpoint renders the schemas."""
        return None

    def schemas(self, tools: Sequence[ToolSpec]) -> list[dict[str, JsonValue]]:
        """Return the tools as endpoints take them."""
        return [spec.openai() for spec in tools]

    def parse(self, message: Message, tools: Sequence[ToolSpec], turn: int) -> Parsed | Unparsable:
        """Read ``tool_calls``; a message of text alone is an action without calls."""
        text = message.get("content")
        spoken = text if isinstance(text, str) else ""
        listed = message.get("tool_calls")
        found = [call for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []
        if not found:
            said = Action(text=spoken)
            return Parsed(said, message) if spoken.strip() else Unparsable("the message is empty")
        ids = _ids(found, turn)
        calls = tuple(_call(call, name) for call, name in zip(found, ids, strict=True))
        sent = [_sent(call, name) for call, name in zip(found, ids, strict=True)]
        changed = sent != found
        return Parsed(Action(text=spoken, calls=calls), {**message, "tool_calls": list(sent)} if changed else message)

    def write(self, action: Action) -> Message:
        """Return the message with its ``tool_calls``."""
        message: Message = {"role": "assistant", "content": action.text or (None if action.calls else "")}
        if action.calls:
            message["tool_calls"] = [
                _shaped(call.id, call.name, _text_of_arguments(call.arguments)) for call in action.calls
            ]
        return message

    def answers(self, action: Action, observation: Observation) -> list[Message]:
        """Return one tool message per call, then what was shown beside: endpoints take images from users alone."""
        results = {result.call_id: result for result in observation.results}
        messages: list[Message] = []
        shown = []
        for call in action.calls:
            result = results.get(call.id)
            texts = tuple(part for part in result.parts if isinstance(part, TextPart)) if result else ()
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text_of(texts) or NOTHING})
            shown += images(result.parts) if result else []
        beside = [*shown, *observation.parts]
        if beside or not messages:
            messages.append({"role": "user", "content": content(beside)})
        return messages


def _ids(calls: Sequence[dict[str, JsonValue]], turn: int) -> list[str]:
    """Return the calls' ids; where one is missing or given twice, ids of our own for all."""
    given = [str(call.get("id") or "") for call in calls]
    if all(given) and len(set(given)) == len(given):
        return given
    return [f"call_{turn}_{index}" for index in range(len(calls))]


def _function(call: dict[str, JsonValue]) -> tuple[str, str]:
    function = call.get("function")
    named = function if isinstance(function, dict) else {}
    name, arguments = named.get("name"), named.get("arguments")
    return name if isinstance(name, str) else "", arguments if isinstance(arguments, str) else ""


def _call(call: dict[str, JsonValue], call_id: str) -> ToolCall:
    name, text = _function(call)
    parsed = parse_object(text) if text.strip() else {}
    return ToolCall(id=call_id, name=name, arguments=text if parsed is None else parsed)


def _sent(call: dict[str, JsonValue], call_id: str) -> JsonValue:
    name, text = _function(call)
    if parse_object(text) is None:
        # Chat templates parse the arguments again, and servers refuse the whole chat where they are no JSON object.
        text = json.dumps({"unparsed": text} if text.strip() else {})
    return _shaped(call_id, name, text)


def _shaped(call_id: str, name: str, arguments: str) -> JsonValue:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _text_of_arguments(arguments: dict[str, JsonValue] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
