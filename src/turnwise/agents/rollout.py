"""One episode, from reset to record: the loop that everything else stands around."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import anyio

from turnwise.agents.base import Agent, AgentFactory, Conversation, Exchange, Generation, Stage
from turnwise.agents.keys import action_key, first_history_key, next_history_key, sound
from turnwise.agents.limits import Limits, Spent
from turnwise.agents.tokens import TurnTokens, build_sequences, token_ranges
from turnwise.envs.base import Env
from turnwise.envs.types import Observation, Status, StepInfo, StepResult, StopReason
from turnwise.errors import (
    AgentError,
    EnvError,
    ModelError,
    SandboxError,
    StoreError,
    TaskError,
    TurnwiseError,
)
from turnwise.tasks.base import Task
from turnwise.trajectories.records import (
    Failure,
    Hint,
    PanelRef,
    Timings,
    Trajectory,
    Turn,
    episode_id,
    group_uid,
    stable_seed,
)

FailureKind = Literal["env", "sandbox", "task", "model", "agent", "store", "internal"]

OnTurn = Callable[[Turn], None]

_KINDS: tuple[tuple[type[TurnwiseError], FailureKind], ...] = (
    (SandboxError, "sandbox"),
    (TaskError, "task"),
    (ModelError, "model"),
    (AgentError, "agent"),
    (StoreError, "store"),
    (EnvError, "env"),
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an episode belongs: its run, its group, its sample and what it is an attempt of."""

    run: str = "adhoc"
    sample: int = 0
    step: int | None = None
    """Training step; None: an evaluation."""
    epoch: int | None = None
    attempt: int = 0
    panel: PanelRef | None = None
    hint: Hint | None = None
    parent_uid: str | None = None
    parent_turn: int | None = None


async def rollout(
    env: Env,
    agent: AgentFactory,
    task: Task,
    seed: int = 0,
    limits: Limits | None = None,
    *,
    place: Place | None = None,
    on_turn: OnTurn = lambda _: None,
) -> Trajectory:
    """Let an agent act on a task until the environment, the agent or a limit ends the episode.

    Args:
        env: The environment; it is reset here and not closed.
        agent: Starts the episode's agent.
        task: What is asked.
        seed: The environment's. The agent's own seed follows from it, the task, the sample and the step.
        limits: Where to cut the episode off.
        place: The run and group the episode belongs to.
        on_turn: Told of every turn as it ends.

    Returns:
        The whole record. What is not the agent's doing does not raise: it is the record's ``failure``, and such an
        episode has neither score nor reward.
    """
    episode = _Episode(env, agent, task, seed, limits=limits or Limits(), place=place or Place(), told=on_turn)
    try:
        await episode.begin()
        while not episode.over:
            await episode.turn()
    except Exception as error:  # noqa: BLE001 - the one boundary where whatever broke becomes part of the record
        episode.fail(error)
    return episode.record()


class _Episode:
    """An episode under way."""

    def __init__(
        self, env: Env, agent: AgentFactory, task: Task, seed: int, *, limits: Limits, place: Place, told: OnTurn
    ) -> None:
        self.env, self.task, self.seed, self.limits, self.place = env, task, seed, limits, place
        self.factory, self.told = agent, told
        self.spent = Spent()
        self.began = time.time()
        self.turns: list[Turn] = []
        self.tokens: list[TurnTokens | None] = []
        self.conversation = Conversation()
        self.end: StepInfo | None = None
        self.final: StepResult | None = None
        self.failure: Failure | None = None
        self.first_key: str | None = None
        self.doing: FailureKind = "env"
        self.stop: StopReason | None = None

    @property
    def over(self) -> bool:
        return self.end is not None

    async def begin(self) -> None:
        first, info = await self.env.reset(self.task, seed=self.seed)
        self.tools = self.env.tools
        self.doing = "agent"
        self.agent: Agent = self.factory.start(self.agent_seed, stage=Stage(env=self.env, task=self.task))
        self.conversation = Conversation(system_prompt=self.agent.system_prompt(self.tools), first=first)
        self.first_key = self.state_key = info.state_key
        self.history = first_history_key(self.conversation.system_prompt, first)

    async def turn(self) -> None:
        """Take one turn, or end the episode where a limit or the agent says so."""
        reason = self.spent.reached(self.limits)
        generation = None if reason else await self.generation()
        if generation is None:
            await self.truncate(reason or StopReason.WALL_LIMIT)
        elif generation.stop:
            self.note(generation, _unstepped(generation, self.state_key))
            await self.truncate(generation.stop)
        else:
            self.doing = "env"
            result = _checked(await self.env.step(generation.action), self.env.name)
            self.note(generation, result)
            if result.terminated or result.truncated:
                self.end = result.info

    async def generation(self) -> Generation | None:
        """Ask the agent; None: the wall clock ran out first."""
        self.doing = "agent"
        left = math.inf if self.limits.wall_s is None else max(self.limits.wall_s - self.spent.wall_s, 0.0)
        started = time.perf_counter()
        with anyio.move_on_after(left):
            generation = sound(await self.agent.act(self.conversation, self.tools))
            self.generation_s = time.perf_counter() - started
            return generation
        return None

    async def truncate(self, reason: StopReason) -> None:
        self.doing = "env"
        self.final = _checked(await self.env.truncate(reason), self.env.name)
        self.end = self.final.info
        self.stop = reason

    def note(self, generation: Generation, result: StepResult) -> None:
        """Write the turn down and show it to the agent."""
        action, info = generation.action, result.info
        did = action_key(action)
        turn = Turn(
            index=len(self.turns),
            text=generation.text or action.text,
            reasoning=generation.reasoning,
            calls=action.calls,
            message=generation.message,
            attempts=generation.attempts,
            context=generation.context,
            usage=generation.usage,
            timings=self.timings(generation.timings, info),
            observation=result.observation,
            observation_source=self.env.unwrapped.observation_source,
            status=info.status,
            reward=result.reward,
            reward_parts=info.reward_parts,
            terminated=result.terminated,
            truncated=result.truncated,
            metrics=info.metrics,
            state_key=self.state_key,
            next_state_key=info.state_key,
            action_key=did,
            history_key=self.history,
        )
        tokens = _marked(generation.tokens, self.env.unwrapped.self_spans(turn.text), turn.text)
        self.turns.append(turn)
        self.tokens.append(tokens)
        self.spent.add(turn)
        self.told(turn)
        self.state_key, self.history = info.state_key, next_history_key(self.history, did, result.observation)
        self.conversation.turns.append(
            Exchange(
                action=action,
                observation=result.observation,
                message=generation.message,
                reasoning=generation.reasoning,
            )
        )

    def timings(self, reported: Timings, info: StepInfo) -> Timings:
        generation_s = self.generation_s if reported.generation_s is None else reported.generation_s
        ours = {"generation_s": generation_s, "exec_s": info.exec_s, "env_queue_s": info.queue_s}
        return reported.model_copy(update=ours | {"started_at": self.spent.wall_s})

    def fail(self, error: Exception) -> None:
        kind = next((kind for cls, kind in _KINDS if isinstance(error, cls)), self.doing)
        cause = error.__cause__
        self.failure = Failure(
            kind=kind,
            error=type(error).__name__,
            message=str(error),
            turn=len(self.turns) if self.first_key is not None else None,
            detail=f"{type(cause).__name__}: {cause}" if cause else None,
        )

    @property
    def agent_seed(self) -> int:
        return stable_seed("agent", self.seed, self.task.key, self.place.sample, self.place.step)

    def record(self) -> Trajectory:
        """Put the record together."""
        place, task, env = self.place, self.task, self.env
        names = {"run": place.run, "step": place.step, "task_key": task.key, "seed": self.seed}
        hint = place.hint.ratio if place.hint else None
        self._lay_out_tokens()
        return Trajectory(
            episode_id=episode_id(**names, sample=place.sample),  # type: ignore[arg-type]
            group_uid=group_uid(**names, hint=hint, horizon=self.limits.turns),  # type: ignore[arg-type]
            run=place.run,
            attempt=place.attempt,
            env=env.name,
            env_version=env.version,
            config_digest=env.config_digest,
            wrappers=env.wrappers,
            agent=self.factory.name,
            model=self.factory.model,
            task_id=task.id,
            task_key=task.key,
            panel=place.panel,
            split=task.split,
            difficulty=task.difficulty,
            tags=task.tags,
            seed=self.seed,
            sample=place.sample,
            agent_seed=self.agent_seed,
            step=place.step,
            epoch=place.epoch,
            parent_uid=place.parent_uid,
            parent_turn=place.parent_turn,
            hint=place.hint,
            instruction=task.instruction,
            first_observation=self.conversation.first,
            gold_answers=_gold_answers(task),
            system_prompt=self.conversation.system_prompt,
            tools=self.tools if self.first_key is not None else (),
            limits=self.limits.model_dump(),
            horizon_in_force=self.limits.turns,
            turns=tuple(self.turns),
            sequences=self.sequences,
            usage=self.spent.usage,
            state_key=self.first_key,
            started_at=self.began,
            ended_at=time.time(),
            wall_s=self.spent.wall_s,
            writer={"pid": os.getpid()},
            **self._outcome(),
        )

    def _lay_out_tokens(self) -> None:
        self.sequences, spans = build_sequences(self.tokens)
        for turn, span in zip(self.turns, spans, strict=True):
            if span:
                turn.action_span, turn.observation_span = span.action, span.observation

    def _outcome(self) -> dict[str, object]:
        if self.failure or self.end is None:
            return {"stop_reason": StopReason.FAILURE, "failure": self.failure}
        final = self.final
        paid = final.reward if final else 0.0
        parts = final.info.reward_parts if final else ()
        everything = [part for turn in self.turns for part in turn.reward_parts] + list(parts)
        sums: dict[str, float | None] = {}
        for part in everything:
            earlier = sums.get(part.name)
            sums[part.name] = earlier if part.value is None else (earlier or 0.0) + part.value
        return {
            "stop_reason": self.end.stop_reason or self.stop or StopReason.ENDED,
            "score": self.end.score,
            "success": self.end.success,
            "reward": sum(turn.reward for turn in self.turns) + paid,
            "components": sums,
            "component_weights": {part.name: part.weight for part in everything},
            "final_observation": final.observation if final else None,
            "final_state_key": self.end.state_key,
            "final_reward": paid,
            "final_reward_parts": parts,
        }


def _gold_answers(task: Task) -> tuple[str, ...] | None:
    answers = task.gold.get("answers")
    return tuple(map(str, answers)) if isinstance(answers, list) else None


def _marked(tokens: TurnTokens | None, spans: tuple[tuple[int, int], ...], text: str) -> TurnTokens | None:
    """Mark the tokens that the policy wrote in the environment's place, which must not be trained."""
    if tokens is None or not spans:
        return tokens
    pieces = tokens.pieces() if tokens.pieces else None
    if pieces is None or len(pieces) != len(tokens.completion_ids):
        raise AgentError("the policy writes in the environment's place, but the server tells no text per token")
    try:
        return replace(tokens, own=token_ranges(text, spans, pieces))
    except ValueError as error:
        raise AgentError(f"cannot tell which tokens stand in the environment's place: {error}") from error


def _unstepped(generation: Generation, state_key: str) -> StepResult:
    """What answers a turn that never reached the environment: nothing."""
    status = Status.INVALID if generation.stop is StopReason.UNPARSABLE else Status.OK
    info = StepInfo(status=status, state_key=state_key)
    return StepResult(observation=Observation(), reward=0.0, terminated=False, truncated=False, info=info)


def _checked(result: StepResult, env: str) -> StepResult:
    """Refuse a result that breaks the contract, before it can spoil an average."""
    if not math.isfinite(result.reward):
        raise EnvError(f"{env}: a step paid {result.reward!r}; a reward must be finite")
    if (result.terminated or result.truncated) and (result.info.score is None or result.info.success is None):
        raise EnvError(f"{env}: the episode ended without a score; set score and success on the last step's info")
    return result
