"""Wrappers around what an episode earns and what is kept of it. Score and success stay the grader's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from turnwise.envs.base import Env
from turnwise.envs.types import Action, RewardPart, Status, StepResult, StopReason
from turnwise.envs.wrappers.base import Settings, Wrapper
from turnwise.errors import EnvError


class ShapingSettings(Settings):
    """Settings of ``RewardShaping``: what each thing adds to a turn's reward."""

    turn: float = 0.0
    """Every turn."""
    call: float = 0.0
    """Every tool call."""
    invalid: float = 0.0
    """A turn whose status is invalid."""
    failed: float = 0.0
    """A turn whose status is failed."""
    progress: float = 0.0
    """Weight of the potential-based term gamma * progress(after) - progress(before)."""
    gamma: float = Field(default=1.0, ge=0, le=1)


class RewardShaping(Wrapper):
    """Adds reward parts by rule.

    The progress term is potential-based: it changes what is learnt first, not which policy is best (Ng, Harada and
    Russell, ICML 1999), since progress counts as 0 once the episode is over.
    """

    kind: ClassVar[str] = "shaping"
    Settings: ClassVar[type[Settings]] = ShapingSettings

    async def take(self, action: Action) -> StepResult:
        """Take a turn and add what it earns."""
        s = self.settings
        before = await self.env.progress() if s.progress else 0.0
        result = await self.env.step(action)
        over = result.terminated or result.truncated
        after = await self.env.progress() if s.progress and not over else 0.0
        values = {
            "shaping_turn": (s.turn, 1.0),
            "shaping_call": (s.call, float(len(action.calls))),
            "shaping_invalid": (s.invalid, float(result.info.status is Status.INVALID)),
            "shaping_failed": (s.failed, float(result.info.status is Status.FAILED)),
            "shaping_progress": (s.progress, s.gamma * after - before),
        }
        parts = tuple(
            RewardPart(name=name, value=value, weight=weight, provenance="wrapper")
            for name, (weight, value) in values.items()
            if weight
        )
        info = result.info.model_copy(update={"reward_parts": (*result.info.reward_parts, *parts)})
        return result._replace(reward=result.reward + sum(part.amount for part in parts), info=info)


class Recording(Wrapper):
    """Hands every reset, step and truncation to a function, or writes it as a line of a JSON Lines file.

    Args:
        env: What is recorded.
        to: A function that takes one plain JSON object, or the path of a file to append to.
    """

    kind: ClassVar[str] = "recording"

    def __init__(self, env: Env, to: Callable[[dict[str, JsonValue]], None] | str | Path) -> None:
        super().__init__(env)
        self._to = to

    async def reset(self, *args: Any, **kwargs: Any) -> Any:
        """Begin an episode."""
        observation, info = await super().reset(*args, **kwargs)
        shown, told = observation.model_dump(mode="json"), info.model_dump(mode="json")
        self._keep({"event": "reset", "seed": self.seed, "observation": shown, "info": told})
        return observation, info

    async def step(self, action: Action | str) -> StepResult:
        """Take a turn."""
        made = self.parse(action) if isinstance(action, str) else action
        result = await super().step(made)
        self._keep({"event": "step", "action": made.model_dump(mode="json"), **_plain(result)})
        return result

    async def truncate(self, reason: StopReason) -> StepResult:
        """End the episode."""
        result = await super().truncate(reason)
        self._keep({"event": "truncate", **_plain(result)})
        return result

    def _keep(self, entry: dict[str, JsonValue]) -> None:
        if callable(self._to):
            self._to(entry)
            return
        try:
            with Path(self._to).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise EnvError(f"cannot record to {self._to}: {error.strerror or error}") from error


def _plain(result: StepResult) -> dict[str, JsonValue]:
    return {
        "observation": result.observation.model_dump(mode="json"),
        "reward": result.reward,
        "terminated": result.terminated,
        "truncated": result.truncated,
        "info": result.info.model_dump(mode="json"),
    }
