"""The limits of an episode: one owner, checked between turns; the environment grades what there is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.types import StopReason
from turnwise.trajectories.records import Turn, Usage


class Limits(BaseModel):
    """Where an episode is cut off; None: no limit.

    A limit is looked at before each turn, so the turn that passes it still counts. Only the wall clock interrupts the
    agent; a tool call that has begun runs to its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int | None = Field(default=30, ge=1)
    calls: int | None = Field(default=None, ge=1)
    """Tool calls."""
    tokens: int | None = Field(default=None, ge=1)
    """Sampled tokens, discarded attempts included."""
    context: int | None = Field(default=None, ge=1)
    """Tokens of a prompt and its answer together: what the next prompt would begin with."""
    wall_s: float | None = Field(default=None, gt=0)
    """Seconds since the episode began. The machine's speed decides it, so tables count it apart."""
    cost: float | None = Field(default=None, gt=0)
    """US dollars."""


@dataclass(slots=True)
class Spent:
    """What an episode has used so far."""

    started: float = field(default_factory=perf_counter)
    turns: int = 0
    calls: int = 0
    context: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, turn: Turn) -> None:
        """Count a turn."""
        self.turns += 1
        self.calls += len(turn.calls)
        self.context = turn.usage.prompt_tokens + turn.usage.completion_tokens
        self.usage = total([self.usage, turn.usage])

    @property
    def wall_s(self) -> float:
        """Seconds since the episode began."""
        return perf_counter() - self.started

    def reached(self, limits: Limits) -> StopReason | None:
        """Return the first limit that is reached; the wall clock's comes last, since it may differ between machines."""
        used: tuple[tuple[float, float | None, StopReason], ...] = (
            (self.turns, limits.turns, StopReason.TURN_LIMIT),
            (self.calls, limits.calls, StopReason.CALL_LIMIT),
            (self.usage.completion_tokens, limits.tokens, StopReason.TOKEN_LIMIT),
            (self.context, limits.context, StopReason.CONTEXT_LIMIT),
            (self.usage.cost or 0.0, limits.cost, StopReason.COST_LIMIT),
            (self.wall_s, limits.wall_s, StopReason.WALL_LIMIT),
        )
        return next((reason for amount, limit, reason in used if limit is not None and amount >= limit), None)


def total(usages: Sequence[Usage]) -> Usage:
    """Add usages up; the cost is None only where no price is known for any of them."""
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        cost=sum(costs) if costs else None,
        calls=sum(usage.calls for usage in usages),
    )
