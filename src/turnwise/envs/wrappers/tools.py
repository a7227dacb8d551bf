"""Wrappers around what the agent does: tools that stick, tools that fail, a limit on turns."""

from typing import ClassVar

from pydantic import Field, JsonValue

from turnwise.envs.types import (
    Action,
    Observation,
    Status,
    StepInfo,
    StepResult,
    StopReason,
    TextPart,
    ToolCall,
    ToolResult,
)
from turnwise.envs.wrappers.base import Settings, Wrapper

_STOPPED = "Not run: the episode had ended."


class StickySettings(Settings):
    """Settings of ``StickyTools``."""

    p: float = Field(default=0.25, ge=0, le=1)
    """Probability that a turn repeats the calls of the turn before."""


class StickyTools(Wrapper):
    """With probability ``p`` the calls of the turn before are made again instead of the present ones."""

    kind: ClassVar[str] = "sticky"
    Settings: ClassVar[type[Settings]] = StickySettings

    def state(self) -> JsonValue:
        """Return the calls that may stick."""
        return [call.model_dump(mode="json") for call in self._last]

    def load(self, state: JsonValue) -> None:
        """Take the calls back."""
        self._last = tuple(ToolCall.model_validate(call) for call in state) if isinstance(state, list) else ()

    async def take(self, action: Action) -> StepResult:
        """Make the calls, or those before; each answer bears the id of a call the agent made."""
        if self._last and action.calls and self.rng().random() < self.settings.p:
            stuck = zip(action.calls, self._last, strict=False)
            calls = tuple(last.model_copy(update={"id": call.id}) for call, last in stuck)
            action = action.model_copy(update={"calls": (*calls, *action.calls[len(calls) :])})
        self._last = action.calls or self._last
        return await self.env.step(action)


class FailingSettings(Settings):
    """Settings of ``FailingTools``."""

    p: float = Field(default=0.1, ge=0, le=1)
    """Probability that a call fails."""
    tools: tuple[str, ...] = ()
    """The tools that may fail; empty: all."""
    message: str = "The tool failed for a moment; try again."


class FailingTools(Wrapper):
    """With probability ``p`` a call of a known tool does not reach the environment and is answered ``failed``."""

    kind: ClassVar[str] = "failing"
    Settings: ClassVar[type[Settings]] = FailingSettings

    async def take(self, action: Action) -> StepResult:
        """Make the calls that do not fail, and answer all in their order."""
        rng = self.rng()
        draws = [rng.random() < self.settings.p for _ in action.calls]
        lost = [draw and self._may_fail(call) for draw, call in zip(draws, action.calls, strict=True)]
        if not any(lost):
            return await self.env.step(action)
        kept = tuple(call for call, gone in zip(action.calls, lost, strict=True) if not gone)
        result = await self.env.step(action.model_copy(update={"calls": kept})) if kept else await self._nothing()
        results = self._merge(action, lost, result)
        status = Status.worst([answer.status for answer in results])
        observation = result.observation.model_copy(update={"results": results})
        return result._replace(observation=observation, info=result.info.model_copy(update={"status": status}))

    def _may_fail(self, call: ToolCall) -> bool:
        known = any(call.name == spec.name for spec in self.tools)
        return known and (not self.settings.tools or call.name in self.settings.tools)

    async def _nothing(self) -> StepResult:
        info = StepInfo(state_key=await self.env.state_key())
        return StepResult(Observation(), 0.0, terminated=False, truncated=False, info=info)

    def _merge(self, action: Action, lost: list[bool], result: StepResult) -> tuple[ToolResult, ...]:
        answers = iter(result.observation.results)
        left = sum(answer.status is not Status.SKIPPED for answer in result.observation.results)
        over = result.terminated or result.truncated
        merged: list[ToolResult] = []
        for call, gone in zip(action.calls, lost, strict=True):
            if not gone:
                merged.append(next(answers))
                left -= 1
            elif over and left <= 0:
                merged.append(_answer(call, _STOPPED, Status.SKIPPED))
            else:
                merged.append(_answer(call, self.settings.message, Status.FAILED))
        return tuple(merged)


def _answer(call: ToolCall, text: str, status: Status) -> ToolResult:
    return ToolResult(call_id=call.id, parts=(TextPart(text=text),), status=status)


class TurnLimitSettings(Settings):
    """Settings of ``TurnLimit``."""

    turns: int = Field(default=20, ge=1)


class TurnLimit(Wrapper):
    """Ends the episode after a number of turns, for people who use an environment without ``rollout``."""

    kind: ClassVar[str] = "turn_limit"
    Settings: ClassVar[type[Settings]] = TurnLimitSettings

    async def take(self, action: Action) -> StepResult:
        """Take a turn; the last one also grades."""
        result = await self.env.step(action)
        if result.terminated or result.truncated or self.turn < self.settings.turns:
            return result
        end = await self.env.truncate(StopReason.TURN_LIMIT)
        update = {
            "status": result.info.status,
            "reward_parts": (*result.info.reward_parts, *end.info.reward_parts),
            "exec_s": result.info.exec_s,
            "queue_s": result.info.queue_s,
        }
        parts = (*result.observation.parts, *end.observation.parts)
        shown = result.observation.model_copy(update={"parts": parts})
        return StepResult(
            shown,
            result.reward + end.reward,
            terminated=False,
            truncated=True,
            info=end.info.model_copy(update=update),
        )
