"""Short episodes that the checks play and compare."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from turnwise.envs.base import Env
from turnwise.envs.registry import build
from turnwise.envs.sampling import sample_arguments
from turnwise.envs.types import Action, StepResult, StopReason, ToolCall
from turnwise.envs.wrappers import wrap
from turnwise.errors import EnvError
from turnwise.tasks.base import Task
from turnwise.tasks.canonical import fingerprint


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An environment under test, and what it is tested on."""

    cls: type[Env]
    target: str | None
    """How another process can import it; None: it cannot."""
    config: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[Task, ...]
    """The tasks that episodes are played on."""
    pool: tuple[Task, ...]
    """More tasks, for averages and for exchanging gold."""
    wrap: tuple[str, ...] = ()
    """Wrappers to put around it, as texts."""
    seed: int = 0
    turns: int = 8
    max_success: float = 0.05
    """What doing nothing may reach on average."""
    luck: float = 0.05
    """What random actions may reach on average."""
    max_score: float | None = None
    """None: 0.1 more than success."""
    lag_s: float = 0.1

    def make(self) -> Env:
        """Make an environment."""
        return wrap(build(self.cls, self.config), *self.wrap)

    @asynccontextmanager
    async def env(self) -> AsyncIterator[Env]:
        """Make an environment and close it at the end."""
        env = self.make()
        try:
            yield env
        finally:
            await env.close()

    def rng(self, task: Task) -> random.Random:
        """Return the random stream of one task's episodes."""
        return random.Random(f"{self.seed}|{task.key}")


class Moment(NamedTuple):
    """What must be the same wherever the same is done."""

    observation: str
    text: str
    state_key: str
    reward: float
    status: str
    over: bool
    score: float | None

    @classmethod
    def of(cls, result: StepResult) -> "Moment":
        """Take down a step."""
        info = result.info
        return cls(
            fingerprint(result.observation.model_dump(mode="json")),
            result.observation.text[:300],
            info.state_key,
            result.reward,
            info.status.value,
            result.terminated or result.truncated,
            info.score,
        )

    def difference(self, other: "Moment") -> str:
        """Name the first thing that differs, with both values; empty if nothing does."""
        for name, mine, theirs in zip(self._fields, self, other, strict=True):
            if mine != theirs and name != "observation":
                return f"{name}: {mine!r} against {theirs!r}"
        return "observation: the parts differ" if self.observation != other.observation else ""


async def begin(env: Env, task: Task, seed: int) -> Moment:
    """Reset an environment and take down the first moment."""
    observation, info = await env.reset(task, seed=seed)
    return Moment.of(StepResult(observation, 0.0, terminated=False, truncated=False, info=info))


async def play(env: Env, actions: Sequence[Action]) -> list[Moment]:
    """Take the actions until the episode ends."""
    moments: list[Moment] = []
    for action in actions:
        moments.append(Moment.of(await env.step(action)))
        if moments[-1].over:
            break
    return moments


async def random_action(env: Env, rng: random.Random) -> Action:
    """Return a random legal action, by the tools' schemas where the environment offers none."""
    try:
        return await env.sample_action(rng)
    except EnvError:
        spec = rng.choice(env.tools)
        arguments = sample_arguments(spec, rng, ["a", "b", "1"])
        return Action(calls=(ToolCall(id="r", name=spec.name, arguments=arguments),))


async def random_walk(env: Env, task: Task, subject: Subject) -> list[Action]:
    """Begin an episode, act at random, and return the actions taken."""
    await env.reset(task, seed=subject.seed)
    rng, actions = subject.rng(task), list[Action]()
    for _ in range(subject.turns):
        actions.append(await random_action(env, rng))
        result = await env.step(actions[-1])
        if result.terminated or result.truncated:
            break
    return actions


async def gold_walk(env: Env, task: Task, subject: Subject, turns: int = 200) -> list[Action]:
    """Begin an episode, follow its gold solution, and return the actions; empty where there is none."""
    await env.reset(task, seed=subject.seed)
    actions = list[Action]()
    for _ in range(turns):
        try:
            actions.append(await env.gold_action())
        except EnvError:
            break
        result = await env.step(actions[-1])
        if result.terminated or result.truncated:
            break
    return actions


async def walks(env: Env, task: Task, subject: Subject) -> list[list[Action]]:
    """Return the action sequences that most checks play: at random, a mixture, and the gold solution."""
    gold = (await gold_walk(env, task, subject))[: subject.turns]
    loose = await random_walk(env, task, subject)
    mixed = [action for pair in zip(gold[:-1], loose, strict=False) for action in pair][: subject.turns]
    return [walk for walk in (loose, mixed, gold) if walk]


async def outcome(env: Env, task: Task, subject: Subject, *, act: bool, turns: int = 12) -> tuple[float, bool]:
    """Play an episode at random, or doing nothing, to its end or a turn limit; return score and success."""
    await env.reset(task, seed=subject.seed)
    rng = subject.rng(task)
    for _ in range(turns):
        result = await env.step(await random_action(env, rng) if act else Action(text=""))
        if result.terminated or result.truncated:
            break
    else:
        result = await env.truncate(StopReason.TURN_LIMIT)
    if result.info.score is None or result.info.success is None:
        raise EnvError(f"task {task.id!r}: the episode ended without score and success")
    return result.info.score, result.info.success
