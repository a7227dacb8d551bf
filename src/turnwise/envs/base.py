"""The contract that every environment fulfils, whoever wrote it."""

import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from turnwise.envs.textformat import parse_call
from turnwise.envs.types import Action, Observation, Snapshot, StepInfo, StepResult, StopReason, ToolSpec
from turnwise.tasks.base import Task
from turnwise.tasks.canonical import digest


class EnvConfig(BaseModel):
    """Settings of an environment; subclass it to add your own. Its digest is part of every result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rewards: str = "default"
    """Name of the preset of reward weights."""
    weights: dict[str, float] = {}
    """Weights that override the preset's, by reward part."""


class Env(ABC):
    """A world in which an agent acts turn by turn on one task.

    An instance serves one episode at a time; ``reset`` may be called again. Whatever the agent did, ``step`` answers
    with an observation. What is not the agent's doing raises ``EnvError``, ``SandboxError``, ``TaskError`` or
    ``ModelError``.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    """Raised whenever the same actions could give other observations, rewards or scores than before."""
    replay: ClassVar[Literal["exact", "checked"]] = "exact"
    """``exact``: a replay is identical. ``checked``: identical where the agent used no clock, thread, process id or
    network, and a difference is noticed."""
    observation_source: Literal["env", "retrieval", "self"] = "env"
    """Who wrote what the agent is shown: the environment, a search engine, or the policy in its place."""
    default_panel: ClassVar[str | None] = None
    """The panel that commands take when none is named."""
    luck: ClassVar[float] = 0.05
    """Success that random actions may reach on the default panel; where it is more, the guide states it per task."""
    web: ClassVar[str | None] = None
    """``module:function`` that serves the environment to people as a web page: called with the tasks and the keywords
    ``config``, ``seed``, ``port`` and ``ready`` (told the address), it returns when the page is shut down."""
    Config: ClassVar[type[EnvConfig]] = EnvConfig

    def __init__(self, config: EnvConfig | None = None) -> None:
        self.config = config or self.Config()

    @property
    def config_digest(self) -> str:
        """sha256 of the settings that can change what an episode shows or earns."""
        return digest(self.config.model_dump(mode="json"))

    @property
    def wrappers(self) -> tuple[str, ...]:
        """The wrappers around the environment with their settings, innermost first."""
        return ()

    @property
    def unwrapped(self) -> "Env":
        """The environment inside all wrappers."""
        return self

    def parse(self, text: str) -> Action:
        """Turn plain text into an action; by default ``tool[argument]`` anywhere in it, the last one winning."""
        call = parse_call(text, self.tools, call_id="t")
        return Action(text=text, calls=(call,) if call else ())

    @property
    @abstractmethod
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools of this episode: known after ``reset``, fixed until its end."""

    @abstractmethod
    async def reset(self, task: Task, *, seed: int) -> tuple[Observation, StepInfo]:
        """Begin an episode; the observation is the whole first user message, instruction included.

        Raises:
            TaskError: The task is not one for this environment.
        """

    @abstractmethod
    async def step(self, action: Action | str) -> StepResult:
        """Take one turn. A plain string is parsed by the environment's own text format.

        Raises:
            EnvError: The episode is over or not begun, or the environment broke.
        """

    @abstractmethod
    async def truncate(self, reason: StopReason) -> StepResult:
        """End the episode because a limit was reached, and grade what there is."""

    @abstractmethod
    async def state_key(self) -> str:
        """Hash what decides the future, except turn count and random stream; not the text shown, not the gold."""

    @abstractmethod
    async def snapshot(self) -> Snapshot:
        """Return the present state as plain data."""

    @abstractmethod
    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Continue from a snapshot.

        Raises:
            EnvError: The snapshot is of another environment, version, configuration or task.
            ReplayDiverged: The replay gave another observation or state than was recorded.
        """

    @abstractmethod
    async def close(self) -> None:
        """Free what the instance holds; may be called twice."""

    def self_spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return the character ranges of an agent's message that it wrote in the environment's place.

        Their tokens are recorded with the source ``self`` and are not trained. By default there are none.
        """
        return ()

    async def gold_action(self) -> Action:
        """Return the next action of a right solution from the present state. For the harness only.

        Raises:
            EnvError: The environment knows no solution from here.
        """
        raise self._no("gold_action")

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random legal action. For the harness only."""
        raise self._no("sample_action")

    async def progress(self) -> float:
        """Return how far the episode has come, in [0, 1]. For the harness only."""
        raise self._no("progress")

    def _no(self, what: str) -> Exception:
        from turnwise.errors import EnvError

        return EnvError(f"environment {self.name!r} offers no {what}()")

    async def __aenter__(self) -> "Env":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
