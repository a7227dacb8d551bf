"""The light rows of a store: an episode's summary, a credit result, a training metric."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from pydantic import Field, JsonValue

from turnwise.tasks.canonical import digest
from turnwise.trajectories.codec import pack, unpack
from turnwise.trajectories.records import Record


@dataclass(frozen=True, kw_only=True)
class EpisodeRow:
    """What lists, metrics and comparisons need of an episode, read without opening its record."""

    episode_id: str
    attempt: int
    run: str
    env: str
    agent: str
    model: str | None
    task_id: str
    task_key: str
    split: str
    difficulty: int | None
    seed: int
    sample: int
    step: int | None
    group_uid: str
    parent_uid: str | None
    stop_reason: str
    scored: bool
    score: float | None
    success: bool | None
    reward: float | None
    n_turns: int
    n_calls: int
    n_invalid: int
    """Turns whose status is invalid."""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    wall_s: float | None
    failure_kind: str | None
    failure: str | None
    ended_at: float | None
    tags: tuple[str, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table ``episodes``."""
        values = {name: row[name] for name in ROW_COLUMNS}
        success = values["success"]
        return cls(
            **values
            | {
                "scored": bool(values["scored"]),
                "success": None if success is None else bool(success),
                "tags": tuple(json.loads(values["tags"] or "[]")),
            }
        )


ROW_COLUMNS = tuple(field.name for field in fields(EpisodeRow))


class CreditRow(Record):
    """What one estimator, with one set of parameters, gave one episode."""

    run: str
    episode_id: str
    attempt: int = 0
    method: str
    params: dict[str, JsonValue] = Field(default_factory=dict)
    level: str = "turn"
    advantages: list[float]
    """One per turn."""
    returns: list[float] | None = None
    weights: list[float] | None = None
    token_advantages: list[float] | None = None
    """Concatenated over the episode's sequences, observation tokens included (0)."""
    diagnostics: dict[str, JsonValue] = Field(default_factory=dict)
    created_at: float | None = None

    @property
    def params_digest(self) -> str:
        """Tell two settings of one method apart."""
        return digest(self.params)[:16]

    def to_row(self) -> dict[str, Any]:
        """Return the row of the table ``credit``."""
        row = self.model_dump(exclude={"params", "diagnostics"})
        for name in _CREDIT_ARRAYS:
            row[name] = pack(row[name], "<f8")
        texts = {name: json.dumps(getattr(self, name)) for name in ("params", "diagnostics")}
        return row | texts | {"params_digest": self.params_digest}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of the table ``credit``."""
        values = {name: row[name] for name in cls.model_fields}
        for name in _CREDIT_ARRAYS:
            array = unpack(values[name], "<f8")
            values[name] = None if array is None else array.tolist()
        return cls(**values | {name: json.loads(values[name]) for name in ("params", "diagnostics")})


_CREDIT_ARRAYS = ("advantages", "returns", "weights", "token_advantages")


class Measured(Record):
    """What was computed of a stored episode after it had ended; it fills fields that were not known then."""

    episode_id: str
    attempt: int = 0
    sequences: dict[int, dict[Literal["entropy", "values", "ref_logprobs", "sum_pi_sq"], list[float]]] = Field(
        default_factory=dict
    )
    """By the sequence's index: arrays of its length."""
    turns: dict[int, dict[Literal["gold_mean_logprob_before"], float]] = Field(default_factory=dict)
    """By the turn's index."""


class MetricRow(Record):
    """One number of a training run at one step."""

    run: str
    step: int
    name: str = Field(min_length=1)
    value: float
    at: float | None = None
    """Unix seconds."""
