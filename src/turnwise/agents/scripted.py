"""Agents that ask no model: the two ends of every scale, and recorded episodes played again."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from turnwise.agents.base import Agent, AgentConfig, AgentFactory, Conversation, Generation, Stage
from turnwise.envs.types import Action, StopReason, ToolSpec
from turnwise.errors import AgentError
from turnwise.trajectories.records import Trajectory


class _Scripted(ABC):
    """What the scripted agents share: no system prompt, and actions without a message."""

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        return None

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        action = await self.choose(len(conversation.turns))
        return Generation(action=action, text=action.text)

    @abstractmethod
    async def choose(self, turn: int) -> Action:
        """Return the action of a turn."""


class _Oracle(_Scripted):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def choose(self, turn: int) -> Action:
        return await self._stage.env.gold_action()


class Oracle(AgentFactory):
    """Acts as the gold solution does: what a perfect agent reaches."""

    name: ClassVar[str] = "oracle"

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start an agent that reads the environment's gold actions."""
        return _Oracle(_required(stage, self.name))


class _Random(_Scripted):
    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._rng = stage, random.Random(seed)

    async def choose(self, turn: int) -> Action:
        return await self._stage.env.sample_action(self._rng)


class Random(AgentFactory):
    """Takes random legal actions: what luck reaches."""

    name: ClassVar[str] = "random"

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start an agent that samples from the environment's legal actions."""
        return _Random(_required(stage, self.name), seed)


class _Null(_Scripted):
    async def choose(self, turn: int) -> Action:
        return Action()


class Null(AgentFactory):
    """Says and does nothing: what an environment pays for turning up."""

    name: ClassVar[str] = "null"

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start an agent that does nothing."""
        return _Null()


class _Replay:
    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = tuple(actions)

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        return None

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        turn = len(conversation.turns)
        if turn >= len(self._actions):
            return Generation(action=Action(), stop=StopReason.GAVE_UP)
        action = self._actions[turn]
        return Generation(action=action, text=action.text)


class Replay(AgentFactory):
    """Does again what recorded episodes did, and gives up where a record ends."""

    name: ClassVar[str] = "replay"

    def __init__(self, config: AgentConfig | None = None, *, episodes: Iterable[Trajectory] = ()) -> None:
        super().__init__(config)
        self._exact: dict[tuple[str, int | None], tuple[Action, ...]] = {}
        self._any: dict[str, tuple[Action, ...]] = {}
        for episode in episodes:
            actions = tuple(Action(text=turn.text, calls=turn.calls) for turn in episode.turns)
            self._exact[episode.task_key, episode.agent_seed] = actions
            self._any.setdefault(episode.task_key, actions)

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start an agent that replays the recorded episode of this task and agent seed, else of this task.

        Raises:
            AgentError: No episode of the task is recorded.
        """
        task = _required(stage, self.name).task
        actions = self._exact.get((task.key, seed), self._any.get(task.key))
        if actions is None:
            raise AgentError(f"agent 'replay': no recorded episode of task {task.id!r} (key {task.key[:12]})")
        return _Replay(actions)


def _required(stage: Stage | None, agent: str) -> Stage:
    if stage is None:
        raise AgentError(
            f"agent {agent!r} acts through the environment: pass stage=Stage(env=..., task=...) to start()"
        )
    return stage
