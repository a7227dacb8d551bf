"""Who acts: the seam between the rollout loop and whoever chooses the actions.

A factory is made once per run and shared by its episodes; it starts one agent per episode. The rollout asks the agent
for a generation, turn after turn, and shows it the conversation so far: plain data, without rewards, keys or gold.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from turnwise.agents.tokens import TurnTokens
from turnwise.envs.base import Env
from turnwise.envs.types import Action, Observation, StopReason, ToolSpec
from turnwise.tasks.base import Task
from turnwise.trajectories.records import Attempt, ContextRecord, Timings, Trajectory, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One turn as the agent may see it again: what it wrote and what answered."""

    action: Action
    observation: Observation
    message: dict[str, JsonValue] | None = None
    """The raw assistant message, as chat endpoints shape it; None: the agent wrote none."""
    reasoning: str | None = None


@dataclass(slots=True, kw_only=True)
class Conversation:
    """All that an agent knows of its episode. The rollout appends to ``turns``; agents only read."""

    system_prompt: str | None = None
    first: Observation = field(default_factory=Observation)
    """The whole first user message, instruction included."""
    turns: list[Exchange] = field(default_factory=list)

    @classmethod
    def of(cls, trajectory: Trajectory, turns: int | None = None) -> "Conversation":
        """Return the conversation of a recorded episode, or of its first ``turns`` turns."""
        told = [
            Exchange(
                action=Action(text=turn.text, calls=turn.calls),
                observation=turn.observation,
                message=turn.message,
                reasoning=turn.reasoning,
            )
            for turn in trajectory.turns[:turns]
        ]
        return cls(system_prompt=trajectory.system_prompt, first=trajectory.first_observation, turns=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What an agent did in one turn, and what it cost."""

    action: Action
    text: str = ""
    """The message as the policy wrote it, calls included where the format writes them in text."""
    message: dict[str, JsonValue] | None = None
    """The raw assistant message, as chat endpoints shape it."""
    reasoning: str | None = None
    tokens: TurnTokens | None = None
    """Token ids and log-probs as sampled, where the server gives them."""
    usage: Usage = field(default_factory=Usage)
    """Of this turn, discarded attempts included."""
    timings: Timings = field(default_factory=Timings)
    attempts: tuple[Attempt, ...] = ()
    """Samples that were discarded before this one."""
    context: ContextRecord | None = None
    """What the context policy showed and dropped."""
    stop: StopReason | None = None
    """The agent cannot or will not go on (``unparsable``, ``gave_up``, ``context_limit``): the rollout records the
    turn without a step and truncates with this reason."""


class Agent(Protocol):
    """Acts in one episode."""

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        """Return what opens the conversation; asked once, after the environment's reset."""
        ...

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        """Choose the next action.

        Raises:
            ModelError: The model gave no usable answer; the episode becomes a failure.
            AgentError: The agent itself broke; the episode becomes a failure.
        """
        ...


class AgentConfig(BaseModel):
    """Settings of an agent; subclass it to add your own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The harness's own view of an episode, for the agents that need it; a chat agent never looks."""

    env: Env
    task: Task


class AgentFactory(abc.ABC):
    """Starts the agents of a run; what they share (a client, its limits) lives here."""

    name: ClassVar[str]
    Config: ClassVar[type[AgentConfig]] = AgentConfig

    def __init__(self, config: AgentConfig | None = None) -> None:
        self.config = config or self.Config()

    @property
    def model(self) -> str | None:
        """The model's name, where one answers."""
        return None

    @abc.abstractmethod
    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start the agent of one episode.

        Args:
            seed: Of the agent's own choices: its random numbers, its sampling seed.
            stage: The episode's environment and task, gold included: for scripted agents only.
        """

    @property
    def base_url(self) -> str | None:
        """The model's address without user name and password, where there is one."""
        return None

    def describe(self) -> dict[str, JsonValue]:
        """Return the settings that can change what the agent does; a resumed run must have the same."""
        dumped: dict[str, JsonValue] = self.config.model_dump(mode="json")
        return dumped

    def running(self) -> dict[str, JsonValue]:
        """Return the settings that only change how fast and how patiently it is done; a resumed run may differ."""
        return {}

    async def aclose(self) -> None:
        """Free what the agents shared; may be called twice."""
        return
