"""The episodes of training and evaluation, against any server of tokens.

An episode that failed (an environment, a sandbox or the server broke) is tried again; one that the store has already,
because the run was killed after it ended, is taken from there. So a resumed run neither repeats nor loses one.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from turnwise.agents.chat import Chat, ChatConfig
from turnwise.agents.limits import Limits
from turnwise.agents.rollout import Place, rollout
from turnwise.envs import Env, make
from turnwise.errors import ModelUnavailableError, TurnwiseError
from turnwise.tasks import Task
from turnwise.trainers.backstop import Backstop, within
from turnwise.trainers.liveprobes import PolicyAgent, Scene, Shared, greedy_of, probed
from turnwise.trainers.probes.supply import probes_for
from turnwise.trainers.recipe import Recipe
from turnwise.trainers.tokenmodel import Answer, TokenModel
from turnwise.trajectories import Store, Trajectory, episode_id, stable_seed

Purpose = Literal["train", "eval", "greedy"]


_GREEDY = Shared()
"""verl makes an agent loop per episode; those of a group live in one process."""


class TokenServer(Protocol):
    """Samples tokens; verl's client of its rollout servers, or ``turnwise.trainers.fakeserver``."""

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        """Return an object with ``token_ids``, ``log_probs`` and ``extra_fields``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Which episode to make."""

    task: Task
    step: int
    """Training step; of an evaluation, the step after which it is made."""
    sample: int
    purpose: Purpose = "train"

    def run(self, name: str) -> str:
        """Name the run that the episode belongs to."""
        return name if self.purpose == "train" else f"{name}-{self.purpose}-{self.step}"

    @property
    def place_step(self) -> int | None:
        """The step in the record: an evaluation has none."""
        return self.step if self.purpose == "train" else None


class EpisodeMaker:
    """Makes the episodes of one run.

    Args:
        recipe: The run's recipe.
        store: Where every attempt goes.
        tokenizer: The policy's.
        server: Samples tokens.
    """

    def __init__(self, recipe: Recipe, store: Path, tokenizer: Any, server: TokenServer) -> None:
        self.recipe, self.store, self.tokenizer, self.server = recipe, store, tokenizer, server
        part = recipe.agent
        self.chat_config = ChatConfig(
            model=recipe.name, format=part.format, context=part.context, system=part.system_prompt
        )

    async def episode(self, ask: Ask, sampling: Mapping[str, Any]) -> Trajectory:
        """Make an episode, or take the one that the store has.

        Args:
            ask: Which.
            sampling: Sampling parameters, as verl's servers take them.

        Returns:
            The last attempt's record; it is in the store.

        Raises:
            StoreError: The store cannot take the record.
        """
        earlier = self.earlier(ask)
        if earlier is not None and earlier.scored:
            return earlier
        first = 0 if earlier is None else earlier.attempt + 1
        for attempt in range(first, first + self.recipe.env.attempts):
            record = await self._probed(ask, await self._attempt(ask, attempt, sampling), sampling)
            with Store.open(self.store, "a") as store:
                store.append([record])
            if record.scored:
                break
        return record

    def earlier(self, ask: Ask) -> Trajectory | None:
        """Return the last attempt that the store has of an episode."""
        if not self.store.exists():
            return None
        names = {"task_key": ask.task.key, "seed": self.seed(ask.task), "sample": ask.sample}
        wanted = episode_id(run=ask.run(self.recipe.name), step=ask.place_step, **names)  # type: ignore[arg-type]
        with Store.open(self.store) as store:
            known = store.query("SELECT 1 FROM episodes WHERE episode_id = ? LIMIT 1", wanted)
            return store.episode(wanted) if known else None

    def seed(self, task: Task) -> int:
        """Seed of a task's environment: one for all its episodes, so that they begin alike."""
        return stable_seed(self.recipe.seed, task.key)

    async def _attempt(self, ask: Ask, attempt: int, sampling: Mapping[str, Any]) -> Trajectory:
        task = ask.task
        horizon = self.recipe.rl.horizon.limit(ask.step) if self.recipe.rl else None
        limits = Limits(turns=horizon, context=self.recipe.context_tokens)
        place = Place(run=ask.run(self.recipe.name), sample=ask.sample, step=ask.place_step, attempt=attempt)
        client = self.client(sampling, f"{ask.step}-{task.key[:24]}-{ask.sample}-{attempt}")
        async with self.environment(task) as env:
            record = await rollout(
                env, Chat(self.chat_config, client=client), task, self.seed(task), limits, place=place
            )
        return with_version(record, client.extra.get("global_steps"))

    async def _probed(self, ask: Ask, record: Trajectory, sampling: Mapping[str, Any]) -> Trajectory:
        rl = self.recipe.rl
        if ask.purpose != "train" or rl is None or not record.scored or not probes_for(rl):
            return record
        scene = Scene(
            task=ask.task,
            make=lambda: self.environment(ask.task),
            agent=PolicyAgent(self.chat_config, lambda name: self.client(sampling, name)),
            greedy=lambda: self._greedy(ask, sampling),
        )
        return await probed(record, rl, scene)

    async def _greedy(self, ask: Ask, sampling: Mapping[str, Any]) -> Trajectory:
        """Make the greedy episode of a task, once for its group."""
        best = replace(ask, sample=0, purpose="greedy")
        key = (str(self.store), ask.step, ask.task.key)
        return await _GREEDY.once(key, lambda: self.episode(best, greedy_of(sampling)))

    def environment(self, task: Task) -> Env:
        """Make a task's environment; a call of it that hangs is a failure."""
        part = self.recipe.env
        return Backstop(make(task.env, **part.config), seconds=part.call_seconds)

    def client(self, sampling: Mapping[str, Any], request_id: str) -> TokenModel:
        """Return one episode's client; all its messages go to one server."""
        part = self.recipe.agent

        async def generate(prompt: list[int], max_tokens: int, seed: int | None) -> Answer:
            params = {**sampling, "max_tokens": max_tokens}
            if self.recipe.deterministic:
                params["seed"] = seed
            asked = self.server.generate(request_id=request_id, prompt_ids=prompt, sampling_params=params)
            out = await _answered(asked, part.message_seconds)
            return Answer(token_ids=list(out.token_ids), logprobs=list(out.log_probs or []), extra=out.extra_fields)

        return TokenModel(
            self.tokenizer, generate, turn_tokens=part.turn_tokens, context_tokens=self.recipe.context_tokens
        )


async def _answered(asked: Any, seconds: float) -> Any:
    """Await a server's answer; whatever it raises that is not ours is the server's failure."""
    try:
        return await within(seconds, asked, ModelUnavailableError, "the rollout server's answer")
    except (TurnwiseError, asyncio.CancelledError):
        raise
    except Exception as error:
        raise ModelUnavailableError(f"the rollout server failed: {type(error).__name__}: {error}") from error


def with_version(record: Trajectory, version: int | None) -> Trajectory:
    """Say on every turn which policy sampled it; within a step there is one."""
    if version is None:
        return record
    turns = tuple(turn.model_copy(update={"policy_version": version}) for turn in record.turns)
    return record.model_copy(update={"turns": turns})
