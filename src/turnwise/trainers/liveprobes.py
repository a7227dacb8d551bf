"""Probes that need the rollout servers: they run as an episode ends, while the policy that played it is there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from turnwise.agents.base import Agent, AgentFactory, Stage
from turnwise.agents.chat import Chat, ChatConfig
from turnwise.envs import Env
from turnwise.tasks import Task
from turnwise.trainers.probes import ForkValue, Probe, Shapley
from turnwise.trainers.probes.supply import probes_for
from turnwise.trainers.recipe import ProbePart, RlPart
from turnwise.trainers.tokenmodel import TokenModel
from turnwise.trajectories import Trajectory

UNPROBED = "unprobed"
"""Key of a record's ``extra`` that says why a probe has no result, so that the episode takes no part in the credit."""


class PolicyAgent(AgentFactory):
    """The policy under training, taking over wherever an episode stands.

    Its first prompt is rendered from the conversation's text; from there on it is token for token its own.

    Args:
        config: The chat agent's configuration.
        client: Makes a client for each episode it takes over.
    """

    name: ClassVar[str] = "policy"

    def __init__(self, config: ChatConfig, client: Callable[[str], TokenModel]) -> None:
        super().__init__()
        self._chat, self._client = config, client

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start with a client of its own."""
        return Chat(self._chat, client=self._client(f"branch-{seed}")).start(seed, stage=stage)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where an episode was played.

    Attributes:
        task: What was asked.
        make: Makes an environment like the episode's.
        agent: The policy that played it.
        greedy: Returns the greedy episode of the task under the same policy.
    """

    task: Task
    make: Callable[[], Env]
    agent: AgentFactory
    greedy: Callable[[], Awaitable[Trajectory]]


async def probed(record: Trajectory, rl: RlPart, scene: Scene) -> Trajectory:
    """Ask what a recipe's method wants to know of an episode beyond its record.

    Args:
        record: A scored episode.
        rl: Names the method and what its probes may spend.
        scene: Where it was played.

    Returns:
        A copy with the results in it; where a probe failed, ``extra`` says so.
    """
    wanted = probes_for(rl)
    part = rl.probe or ProbePart()
    probes: list[Probe] = []

    def find(_record: Trajectory) -> Task:
        return scene.task

    if "fork_value" in wanted:
        probes.append(ForkValue(scene.make, scene.agent, find, branches=part.branches, turns=rl.horizon.turns[-1]))
    if "shapley" in wanted:
        probes.append(Shapley(scene.make, find, permutations=part.permutations))
    for probe in probes:
        report = await probe.run([record], policy_version=_version(record))
        record = report.trajectories[0]
        if report.failures:
            return _unprobed(record, report.failures[0][1])
    return await _with_baseline(record, scene) if "greedy" in wanted else record


async def _with_baseline(record: Trajectory, scene: Scene) -> Trajectory:
    best = await scene.greedy()
    if not best.scored:
        return _unprobed(record, "the greedy episode failed")
    return record.model_copy(update={"extra": {**record.extra, "baseline_reward": best.reward}})


def _unprobed(record: Trajectory, why: str) -> Trajectory:
    return record.model_copy(update={"extra": {**record.extra, UNPROBED: why}})


def _version(record: Trajectory) -> int | None:
    return record.turns[0].policy_version if record.turns else None


class Shared:
    """Work that the episodes of a group need once: the first asks for it, the others wait for its result."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, int, str], asyncio.Task[Trajectory]] = {}

    async def once(self, key: tuple[str, int, str], make: Callable[[], Awaitable[Trajectory]]) -> Trajectory:
        """Return what ``make`` returns, asked once per key; keys of other steps are forgotten."""
        for old in [known for known in self._tasks if known[1] != key[1] and self._tasks[known].done()]:
            del self._tasks[old]
        if key not in self._tasks:
            self._tasks[key] = asyncio.ensure_future(_run(make))
        return await asyncio.shield(self._tasks[key])


async def _run(make: Callable[[], Awaitable[Trajectory]]) -> Trajectory:
    return await make()


def greedy_of(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Return sampling parameters that always take the likeliest token."""
    return {**sampling, "temperature": 0.0, "top_p": 1.0, "top_k": -1}
