"""``@tool``: from an annotated method to a schema, validated arguments and a call."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model
from pydantic.fields import FieldInfo

from turnwise.envs.types import Part, Status, TextPart, ToolSpec

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__turnwise_tool__"


class InvalidCall(Exception):  # noqa: N818 - control flow, not an error of ours
    """Raised in a tool when the agent's arguments are wrong; the message is what the agent sees."""


class ToolFailed(Exception):  # noqa: N818 - control flow, not an error of ours
    """Raised in a tool when the call was right and its work failed; the message is what the agent sees."""


@dataclass(frozen=True, kw_only=True)
class ToolOutput:
    """What a tool returns when plain text is not enough."""

    parts: tuple[Part, ...]
    status: Status = Status.OK

    @classmethod
    def of(cls, text: str, status: Status = Status.OK) -> "ToolOutput":
        """Wrap one text."""
        return cls(parts=(TextPart(text=text),), status=status)


@dataclass(frozen=True)
class Tool:
    """A method that agents may call."""

    name: str
    description: str
    method: str
    blocking: bool
    arguments: type[BaseModel]

    @cached_property
    def spec(self) -> ToolSpec:
        """The tool as an agent is told of it."""
        schema = self.arguments.model_json_schema()
        return ToolSpec(name=self.name, description=self.description, parameters=_plain(schema))

    def validate(self, arguments: dict[str, JsonValue] | str) -> dict[str, Any]:
        """Return the arguments as the method takes them.

        Raises:
            InvalidCall: They are not a JSON object or do not fit the schema.
        """
        if isinstance(arguments, str):
            raise InvalidCall(f"the arguments of {self.name} are not a JSON object: {arguments[:200]!r}")
        try:
            parsed = self.arguments.model_validate(arguments)
        except ValidationError as error:
            raise InvalidCall(self._complaint(error)) from None
        return {name: getattr(parsed, name) for name in self.arguments.model_fields}

    def _complaint(self, error: ValidationError) -> str:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:5])
        signature = ", ".join(self.arguments.model_fields)
        return f"wrong arguments for {self.name}: {wrong}. It takes: {self.name}({signature})"


@overload
def tool(method: F) -> F: ...
@overload
def tool(*, blocking: bool = False, name: str | None = None) -> Callable[[F], F]: ...
def tool(method: F | None = None, *, blocking: bool = False, name: str | None = None) -> F | Callable[[F], F]:
    """Mark a method as a tool: its annotations become the schema, its docstring the description.

    Args:
        method: The method; ``async def``, or ``def`` if it ends within a millisecond.
        blocking: The method is ``def`` and slower: it runs in a worker thread under the environment's limiter.
        name: The name agents use; by default the method's.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, (name or method.__name__, blocking))
        return method

    return mark if method is None else mark(method)


def tools_of(cls: type) -> dict[str, Tool]:
    """Return a class's tools by name, in the order they are written, base classes first."""
    found: dict[str, Tool] = {}
    for base in reversed(cls.__mro__):
        for attribute in vars(base):
            method = getattr(cls, attribute, None)
            if hasattr(method, _MARK):
                made = _make(attribute, method)
                found[made.name] = made
    return found


def _make(attribute: str, method: Any) -> Tool:
    name, blocking = getattr(method, _MARK)
    description, documented = _docstring(inspect.getdoc(method) or "")
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(method, eval_str=True).parameters.values())[1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        if parameter.annotation is parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise TypeError(f"tool {name!r}: parameter {parameter.name!r} needs a name of its own and an annotation")
        field = FieldInfo(default=default, description=documented.get(parameter.name))
        fields[parameter.name] = (parameter.annotation, field)
    arguments = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)
    return Tool(name, description, attribute, blocking, arguments)


def _docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Split a Google docstring into its description and its documented arguments."""
    head, _, rest = doc.partition("\nArgs:\n")
    section = re.split(r"\n(?=\S)", rest, maxsplit=1)[0]
    entries = re.findall(r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE)
    return head.strip(), {name: re.sub(r"\s+", " ", text).strip() for name, text in entries}


def _plain(schema: dict[str, Any]) -> dict[str, JsonValue]:
    """Drop the titles pydantic adds; they only cost tokens."""
    schema.pop("title", None)
    for prop in schema.get("properties", {}).values():
        prop.pop("title", None)
    schema.setdefault("properties", {})
    return schema
