"""Probes that play episodes again: branches from stored states (fork_value) and episodes with turns left out."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import anyio
import numpy as np
from pydantic import JsonValue

from turnwise.agents import AgentFactory, Conversation
from turnwise.agents.base import Exchange, Stage
from turnwise.envs import Action, Env, Snapshot, StepResult, StopReason
from turnwise.envs.fork import Slots, fork
from turnwise.errors import ReplayDiverged, TrainerError
from turnwise.tasks import Task
from turnwise.trainers.probes.base import Probe, with_probe
from turnwise.trajectories import Trajectory, Turn, stable_seed

FindTask = Callable[[Trajectory], Task]
"""Finds the task of a record: records keep its key, panels keep the task."""


def acted(turn: Turn) -> Action:
    """The action of a recorded turn."""
    return Action(text=turn.text, calls=turn.calls)


class ForkValue(Probe):
    """Measures V(s) before each turn: the mean return of ``branches`` fresh continuations by the policy.

    The episode is replayed once and every state compared with the record; a snapshot before each turn is restored
    into ``branches`` environments, and the agent goes on from the recorded conversation.
    """

    name: ClassVar[str] = "fork_value"
    writes: ClassVar[tuple[str, ...]] = ("fork_value",)

    def __init__(
        self,
        make: Callable[[], Env],
        agent: AgentFactory,
        find_task: FindTask,
        *,
        branches: int = 4,
        turns: int = 30,
        gamma: float = 1.0,
        slots: Slots | None = None,
        budget: int | None = None,
        parallel: int = 1,
    ) -> None:
        """Prepare the probe.

        Args:
            make: Makes an environment like the one the episodes were played in.
            agent: The policy that continues.
            find_task: Finds the task of a record.
            branches: Continuations per turn.
            turns: Turn limit of a whole episode where the record does not say which was in force.
            gamma: Discount of the returns.
            slots: Bounds how many environments live at once.
            budget: Most branches in one run.
            parallel: Episodes at once.
        """
        super().__init__(budget=budget, parallel=parallel)
        if branches < 1:
            raise TrainerError(f"fork_value needs one branch at least, got {branches}")
        self.make, self.agent, self.find_task = make, agent, find_task
        self.branches, self.turns, self.gamma, self.slots = branches, turns, gamma, slots

    def cost(self, trajectory: Trajectory) -> int:
        """Branches per turn."""
        return self.branches * len(trajectory.turns)

    async def measure(self, trajectory: Trajectory, policy_version: int | None) -> Trajectory:
        """Branch before every turn."""
        task = self.find_task(trajectory)
        snapshots = await self._snapshots(trajectory, task)
        turns = []
        for turn, snapshot in zip(trajectory.turns, snapshots, strict=True):
            returns = await self._branch(trajectory, task, turn.index, snapshot)
            spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else None
            result = {"value": float(np.mean(returns)), "n": len(returns), "std": spread}
            turns.append(with_probe(turn, self.name, {**result, "policy_version": policy_version}))
        return trajectory.model_copy(update={"turns": tuple(turns)})

    async def _snapshots(self, trajectory: Trajectory, task: Task) -> list[Snapshot]:
        """Snapshot before each turn, from a replay that is compared with the record."""
        env, found = self.make(), []
        try:
            await env.reset(task, seed=trajectory.seed)
            for turn in trajectory.turns:
                if turn.state_key is not None and await env.state_key() != turn.state_key:
                    raise ReplayDiverged(
                        f"episode {trajectory.episode_id!r} reached another state at turn {turn.index}"
                    )
                found.append(await env.snapshot())
                if turn is not trajectory.turns[-1]:
                    await env.step(acted(turn))
        finally:
            with anyio.CancelScope(shield=True):
                await env.close()
        return found

    async def _branch(self, trajectory: Trajectory, task: Task, turn: int, snapshot: Snapshot) -> list[float]:
        returns: list[float] = [0.0] * self.branches

        async def one(k: int, env: Env) -> None:
            seed = stable_seed("fork", trajectory.episode_id, turn, k)
            returns[k] = await self._continue(env, trajectory, task, turn, seed)

        async with fork(self.make, task, snapshot, self.branches, limiter=self.slots) as envs:
            for k, env in enumerate(envs):
                await one(k, env)
        return returns

    async def _continue(self, env: Env, trajectory: Trajectory, task: Task, turn: int, seed: int) -> float:
        agent = self.agent.start(seed, stage=Stage(env=env, task=task))
        agent.system_prompt(env.tools)
        conversation = Conversation.of(trajectory, turn)
        total, discount = 0.0, 1.0
        limit = trajectory.horizon_in_force or self.turns
        while len(conversation.turns) < limit:
            generation = await agent.act(conversation, env.tools)
            if generation.stop is not None:
                return total + discount * (await env.truncate(generation.stop)).reward
            result = await env.step(generation.action)
            total += discount * result.reward
            discount *= self.gamma
            if result.terminated or result.truncated:
                return total
            seen = Exchange(
                action=generation.action,
                observation=result.observation,
                message=generation.message,
                reasoning=generation.reasoning,
            )
            conversation.turns.append(seen)
        # a truncation's reward belongs to the last turn's return, hence its discount
        last = discount / self.gamma if self.gamma else 0.0
        return total + last * (await env.truncate(StopReason.TURN_LIMIT)).reward


@dataclass(frozen=True)
class _Game:
    """The value of coalitions of turns, each played once."""

    probe: "Shapley"
    trajectory: Trajectory
    task: Task
    seen: dict[frozenset[int], float]

    async def value(self, members: Iterable[int]) -> float:
        key = frozenset(members)
        if key not in self.seen:
            self.seen[key] = await self.probe.play(self.trajectory, self.task, key)
        return self.seen[key]


class Shapley(Probe):
    """Measures v(S), the reward of the episode when only the turns of S are played: all S, or random orders.

    Turns are what they were, whatever was shown before them: the question is which of them the outcome needed.
    """

    name: ClassVar[str] = "shapley"
    writes: ClassVar[tuple[str, ...]] = ("coalitions", "permutations")

    def __init__(
        self,
        make: Callable[[], Env],
        find_task: FindTask,
        *,
        exact_turns: int = 6,
        permutations: int = 20,
        seed: int = 0,
        budget: int | None = None,
        parallel: int = 1,
    ) -> None:
        """Prepare the probe.

        Args:
            make: Makes an environment like the one the episodes were played in.
            find_task: Finds the task of a record.
            exact_turns: Episodes of at most this many turns get all coalitions, longer ones permutations.
            permutations: How many random orders.
            seed: Of the orders.
            budget: Most replays in one run.
            parallel: Episodes at once.
        """
        super().__init__(budget=budget, parallel=parallel)
        self.make, self.find_task = make, find_task
        self.exact_turns, self.permutations, self.seed = exact_turns, permutations, seed

    def cost(self, trajectory: Trajectory) -> int:
        """Most replays needed."""
        turns = len(trajectory.turns)
        return 1 << turns if turns <= self.exact_turns else self.permutations * (turns + 1)

    async def measure(self, trajectory: Trajectory, policy_version: int | None) -> Trajectory:
        """Play the coalitions."""
        del policy_version  # no policy is asked: the recorded actions are played
        game, turns = _Game(self, trajectory, self.find_task(trajectory), {}), len(trajectory.turns)
        extra = dict(trajectory.extra)
        if turns <= self.exact_turns:
            subsets = [list(s) for size in range(turns + 1) for s in combinations(range(turns), size)]
            extra["coalitions"] = [{"turns": [*subset], "value": await game.value(subset)} for subset in subsets]
        else:
            extra["permutations"] = [await self._order(game, turns, k) for k in range(self.permutations)]
        return trajectory.model_copy(update={"extra": extra})

    async def _order(self, game: _Game, turns: int, k: int) -> dict[str, JsonValue]:
        order = list(range(turns))
        random.Random(stable_seed("shapley", self.seed, game.trajectory.episode_id, k)).shuffle(order)
        values = [await game.value(order[:size]) for size in range(turns + 1)]
        return {"order": [*order], "values": [*values]}

    async def play(self, trajectory: Trajectory, task: Task, members: frozenset[int]) -> float:
        """Reward of the episode with only these turns played."""
        env, total = self.make(), 0.0
        result: StepResult | None = None
        try:
            await env.reset(task, seed=trajectory.seed)
            for turn in trajectory.turns:
                if turn.index in members:
                    result = await env.step(acted(turn))
                    total += result.reward
                    if result.terminated or result.truncated:
                        return total
            return total + (await env.truncate(StopReason.TURN_LIMIT)).reward
        finally:
            with anyio.CancelScope(shield=True):
                await env.close()
