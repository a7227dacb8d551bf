"""The documents ``turnwise credit --json`` prints, for ``turnwise schema``."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class TurnValue(BaseModel):
    """A number of one turn."""

    trajectory: str
    turn: int
    value: float


class TokenValues(BaseModel):
    """Numbers of a turn's action tokens."""

    trajectory: str
    turn: int
    values: list[float | bool]


class Result(BaseModel):
    """What one method says."""

    method: str
    advantages: list[TurnValue]
    returns: list[TurnValue]
    weights: list[TurnValue]
    diagnostics: dict[str, Any]
    tokens: list[TokenValues] | None = None
    """Where the method works on tokens."""
    token_returns: list[TokenValues] | None = None
    value_mask: list[TokenValues] | None = None


class TurnDifference(BaseModel):
    """One turn under two methods."""

    trajectory: str
    turn: int
    first: float
    second: float
    difference: float


class Difference(BaseModel):
    """How two methods differ."""

    turns: list[TurnDifference]
    correlation: float | None
    sign_differs: float
    largest_difference: float


class Lacking(BaseModel):
    """An episode that was left out."""

    episode: str
    why: str


class CreditDocument(Result):
    """The document of ``credit --json``."""

    schema_: int = Field(default=1, alias="schema")
    vs: Result | None = None
    difference: Difference | None = None
    lacking: list[Lacking] | None = None


class Parameter(BaseModel):
    """One parameter of a method."""

    name: str
    type: str
    default: Any = None
    choices: list[str] | None = None
    required: bool = False


class Method(BaseModel):
    """One method."""

    name: str
    level: Literal["trajectory", "turn", "token"]
    stage: Literal["base", "turn", "modulate"]
    summary: str
    required_fields: list[str]
    composes_after: list[str]
    unbiased: bool
    source: str
    parameters: list[Parameter]


class FieldDocument(BaseModel):
    """One field of a batch."""

    level: Literal["trajectory", "turn", "token"]
    doc: str


class Methods(BaseModel):
    """The document of ``credit --methods --json``."""

    schema_: int = Field(default=1, alias="schema")
    methods: list[Method]
    fields_: dict[str, FieldDocument] = Field(alias="fields")
