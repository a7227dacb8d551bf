"""The words an environment and an agent exchange: actions, observations, step results, rewards, snapshots.

All are plain data: JSON and bytes, no live handle.
"""

import base64
import hashlib
import json
import math
import re
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer, field_validator

MAX_DEPTH = 64
"""How deeply the arguments of a call may be nested; deeper ones are kept as text."""


def clean(text: str) -> str:
    """Return text that UTF-8 can carry: a lone surrogate, which only broken output holds, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _clean(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


CleanStr = Annotated[str, BeforeValidator(_clean)]


def _tidy(value: object, depth: int = 0) -> JsonValue:
    """Copy plain JSON with clean text; ValueError where it is none."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {clean(str(key)): _tidy(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no JSON number")
    if value is None or isinstance(value, bool | int | float | str):
        return clean(value) if isinstance(value, str) else value
    raise ValueError("no JSON value")


def _from_base64(value: object) -> object:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


Blob = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda data: base64.b64encode(data).decode(), return_type=str, when_used="json"),
]
"""Bytes in Python, base64 in JSON."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Status(StrEnum):
    """How one tool call, or a turn as a whole, went."""

    OK = "ok"
    INVALID = "invalid"
    """The call was wrong: an unknown tool, bad arguments. The observation tells how to do better."""
    FAILED = "failed"
    """The call was right and its work failed: a program's error."""
    SKIPPED = "skipped"
    """Not run, because an earlier call of the same turn ended the episode or lost the sandbox."""

    @staticmethod
    def worst(statuses: "list[Status]") -> "Status":
        """Return the worst of the statuses, ``ok`` if there is none; a skipped call does not make a turn worse."""
        order = (Status.SKIPPED, Status.OK, Status.FAILED, Status.INVALID)
        return max([*statuses, Status.OK], key=order.index)


class StopReason(StrEnum):
    """Why an episode ended."""

    SOLVED = "solved"
    ENDED = "ended"
    """The agent ended it, right or wrong."""
    GAVE_UP = "gave_up"
    TURN_LIMIT = "turn_limit"
    CALL_LIMIT = "call_limit"
    TOKEN_LIMIT = "token_limit"
    CONTEXT_LIMIT = "context_limit"
    WALL_LIMIT = "wall_limit"
    """Decided by the machine's speed, so every table counts it apart."""
    COST_LIMIT = "cost_limit"
    UNPARSABLE = "unparsable"
    FAILURE = "failure"
    """Not the agent's doing; never scored."""
    CANCELLED = "cancelled"
    """Never scored."""

    @property
    def scored(self) -> bool:
        """Whether an episode that ended so has a score."""
        return self not in (StopReason.FAILURE, StopReason.CANCELLED)

    @property
    def truncates(self) -> bool:
        """Whether a limit from outside the task ended the episode."""
        return self.value.endswith("_limit") or self is StopReason.UNPARSABLE


class ToolCall(_Frozen):
    """One call of a tool, as the agent wrote it."""

    id: CleanStr
    name: CleanStr
    arguments: dict[str, JsonValue] | str = {}
    """The parsed object, or the raw text when it is not a JSON object, or one nested beyond reason."""

    @field_validator("arguments", mode="before")
    @classmethod
    def _harmless(cls, value: object) -> object:
        if not isinstance(value, dict):
            return _clean(value)
        try:
            return _tidy(value)
        except ValueError:
            return _rendered(value)


def _rendered(value: object) -> str:
    try:
        return clean(json.dumps(value, default=repr))[:10_000]
    except (RecursionError, ValueError):
        return "(nested too deeply)"


class Action(_Frozen):
    """One turn of the agent: its words and its tool calls."""

    text: CleanStr = ""
    calls: tuple[ToolCall, ...] = ()


class TextPart(_Frozen):
    """Text shown to the agent."""

    type: Literal["text"] = "text"
    text: CleanStr


class ImagePart(_Frozen):
    """An image shown to the agent; the bytes are stored once, by their digest."""

    type: Literal["image"] = "image"
    media_type: Literal["image/png", "image/jpeg", "image/webp"] = "image/png"
    digest: str
    """sha256 of the bytes, 64 hex digits."""
    data: bytes = Field(default=b"", exclude=True, repr=False)
    """The image itself; empty on a record whose bytes are in the store."""

    @classmethod
    def of(cls, data: bytes, media_type: Literal["image/png", "image/jpeg", "image/webp"] = "image/png") -> "ImagePart":
        """Wrap image bytes."""
        return cls(media_type=media_type, digest=hashlib.sha256(data).hexdigest(), data=data)


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def text_of(parts: "tuple[Part, ...]") -> str:
    """Join the text of parts by newlines; an image shows as its digest's first eight digits."""
    return "\n".join(part.text if isinstance(part, TextPart) else f"[image {part.digest[:8]}]" for part in parts)


class ToolResult(_Frozen):
    """The answer to one tool call."""

    call_id: str
    parts: tuple[Part, ...]
    status: Status = Status.OK

    @property
    def text(self) -> str:
        """The answer as text."""
        return text_of(self.parts)


class Observation(_Frozen):
    """What the agent is shown: free parts, and one result per tool call it made."""

    parts: tuple[Part, ...] = ()
    results: tuple[ToolResult, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Observation":
        """Wrap one text."""
        return cls(parts=(TextPart(text=text),))

    @property
    def text(self) -> str:
        """Everything shown, as one text."""
        return "\n".join(text for text in (*(result.text for result in self.results), text_of(self.parts)) if text)


class RewardPart(_Frozen):
    """One named ingredient of a step's reward, which is the sum of weight times value."""

    name: str
    value: float | None
    """None where a judge was asked and failed: never 0."""
    weight: float = 1.0
    """0: recorded only."""
    provenance: JsonValue = "rule"
    """``rule``, or what produced it: a judge's prompt, answer and version."""

    @property
    def amount(self) -> float:
        """Weight times value; a missing value adds nothing."""
        return 0.0 if self.value is None else self.weight * self.value


class StepInfo(_Frozen):
    """What a step tells beside observation and reward."""

    status: Status = Status.OK
    reward_parts: tuple[RewardPart, ...] = ()
    state_key: str = ""
    """Hash of the environment's true state after the step."""
    stop_reason: StopReason | None = None
    """Set once, when the episode ends."""
    score: float | None = None
    """In [0, 1], set by the environment's grader when the episode ends."""
    success: bool | None = None
    metrics: dict[str, float] = {}
    """Numbers the environment counts, the same on every machine."""
    exec_s: float | None = None
    """Seconds the tools ran; volatile: it differs between machines."""
    queue_s: float | None = None
    """Seconds the tools waited for a sandbox or worker; volatile."""


class StepResult(NamedTuple):
    """What a step returns; it unpacks like Gymnasium's five."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: StepInfo


class ToolSpec(_Frozen):
    """A tool as the agent is told of it."""

    name: str
    description: str
    parameters: dict[str, JsonValue]
    """JSON Schema of the arguments object."""

    def openai(self) -> dict[str, JsonValue]:
        """Return the shape that chat-completion endpoints take."""
        function: dict[str, JsonValue] = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        }
        return {"type": "function", "function": function}


class Grade(NamedTuple):
    """The grader's word on a finished episode."""

    score: float
    """In [0, 1]."""
    success: bool


class Trace(_Frozen):
    """What a replay is compared with, for one turn."""

    observation: str
    """sha256 of the observation's canonical JSON."""
    state_key: str


class Snapshot(BaseModel):
    """A state of an episode as plain data, to restore or fork from, on this machine or another."""

    model_config = ConfigDict(extra="forbid")

    env: str
    version: str
    config_digest: str
    task_key: str
    seed: int
    actions: tuple[Action, ...]
    trace: tuple[Trace, ...]
    """One entry for the reset, then one per action."""
    truncated: StopReason | None = None
    """The limit that ended the episode after the last action, if one did."""
    state: JsonValue = None
    """An environment's own copy of its state; None: the actions are replayed."""
    blobs: dict[str, Blob] = {}
    """Bytes that belong to ``state``, by name."""
    wrappers: dict[str, JsonValue] = {}
    """States of the wrappers around the environment, by position and name."""
