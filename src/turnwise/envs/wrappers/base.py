"""What every wrapper shares: it is an environment around an environment, seeded, in the digest and in snapshots."""

import random
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from turnwise.envs.base import Env
from turnwise.envs.types import Action, Observation, Snapshot, StepInfo, StepResult, StopReason, ToolSpec
from turnwise.errors import ConfigError, EnvError
from turnwise.tasks.base import Task
from turnwise.tasks.canonical import digest, fingerprint


class Settings(BaseModel):
    """A wrapper's settings; they are part of the configuration digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wrapper(Env):
    """An environment around another: subclass it and write ``first``, ``take`` or both.

    Score and success are the inner environment's; no wrapper changes them. A wrapper that keeps something between
    turns returns it from ``state`` and takes it back in ``load``.

    Args:
        env: What is wrapped.
        **settings: Fields of the wrapper's ``Settings``.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """

    kind: ClassVar[str]
    """The wrapper's name."""
    revision: ClassVar[str] = "1"
    """Raised whenever the same seed could give something else than before."""
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, env: Env, **settings: Any) -> None:
        super().__init__(env.config)
        self.env = env
        # Instances stand for what they wrap, under its name.
        self.__dict__.update(name=env.name, version=env.version, replay=env.replay, default_panel=env.default_panel)
        self.depth = len(env.wrappers)
        self.turn = 0
        self.seed = 0
        self.running = False
        try:
            self.settings: Any = self.Settings(**settings)
        except ValidationError as error:
            first = error.errors()[0]
            where, known = ".".join(map(str, first["loc"])), ", ".join(self.Settings.model_fields)
            raise ConfigError(f"wrapper {self.kind!r}: setting {where!r}: {first['msg']}; settings: {known}") from error
        self.load(None)

    # What a wrapper may write.

    async def first(self, observation: Observation) -> Observation:
        """Change the first observation; called before any turn."""
        return observation

    async def take(self, action: Action) -> StepResult:
        """Take one turn; by default the inner environment's."""
        return await self.env.step(action)

    def state(self) -> JsonValue:
        """Return what the wrapper keeps between turns; None: nothing."""
        return None

    def load(self, state: JsonValue) -> None:
        """Take back what ``state`` returned; None where an episode begins."""

    def rng(self) -> random.Random:
        """Return this turn's own random stream, so that a snapshot need not carry one."""
        return random.Random(f"{self.seed}|{self.depth}|{self.kind}|{self.turn}")

    # The contract.

    @property
    def wrappers(self) -> tuple[str, ...]:
        """The wrappers with their settings, innermost first."""
        settings = self.settings.model_dump(mode="json", exclude_defaults=True)
        shown = ",".join(f"{key}={value}" for key, value in settings.items())
        return (*self.env.wrappers, f"{self.kind}:{shown}" if shown else self.kind)

    @property
    def config_digest(self) -> str:
        """sha256 over the inner environment's configuration and the wrapper's own."""
        own = {"wrapper": self.kind, "revision": self.revision, "settings": self.settings.model_dump(mode="json")}
        return digest({"inner": self.env.config_digest, **own})

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools of this episode."""
        return self.env.tools

    @property
    def unwrapped(self) -> Env:
        """The environment inside all wrappers."""
        return self.env.unwrapped

    def parse(self, text: str) -> Action:
        """Turn plain text into an action, in the environment's own format."""
        return self.env.parse(text)

    async def reset(self, task: Task, *, seed: int) -> tuple[Observation, StepInfo]:
        """Begin an episode."""
        observation, info = await self.env.reset(task, seed=seed)
        self.seed, self.turn, self.running = seed, 0, True
        self.load(None)
        return await self.first(observation), await self._keyed(info)

    async def step(self, action: Action | str) -> StepResult:
        """Take one turn."""
        if not self.running:
            raise EnvError(f"{self.name}: no episode is running; call reset() first, again where the last one is over")
        self.turn += 1
        result = await self.take(self.parse(action) if isinstance(action, str) else action)
        self.running = not (result.terminated or result.truncated)
        return result._replace(info=await self._keyed(result.info))

    async def truncate(self, reason: StopReason) -> StepResult:
        """End the episode and grade what there is."""
        result = await self.env.truncate(reason)
        self.running = False
        return result._replace(info=await self._keyed(result.info))

    async def state_key(self) -> str:
        """Hash the inner state, and the wrapper's own where it has one."""
        inner, own = await self.env.state_key(), self.state()
        return inner if own is None else fingerprint({"inner": inner, "wrapper": own})

    async def snapshot(self) -> Snapshot:
        """Return the inner environment's snapshot with the wrapper's state in it."""
        inner = await self.env.snapshot()
        own: JsonValue = {"turn": self.turn, "running": self.running, "state": self.state()}
        return inner.model_copy(
            update={"config_digest": self.config_digest, "wrappers": {**inner.wrappers, self._place: own}}
        )

    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Restore the inner environment, then the wrapper's state."""
        if snapshot.config_digest != self.config_digest:
            raise EnvError(
                f"cannot restore: the snapshot is of configuration {snapshot.config_digest!r}, "
                f"this is {self.config_digest!r} ({', '.join(self.wrappers)})"
            )
        own = snapshot.wrappers.get(self._place)
        if not isinstance(own, dict) or not isinstance(turn := own.get("turn"), int):
            raise EnvError(f"cannot restore: the snapshot carries no state of the wrapper {self._place}")
        rest = {place: state for place, state in snapshot.wrappers.items() if place != self._place}
        inner = snapshot.model_copy(update={"config_digest": self.env.config_digest, "wrappers": rest})
        await self.env.restore(inner, task)
        self.seed, self.turn, self.running = snapshot.seed, turn, own.get("running") is True
        self.load(own.get("state"))

    async def close(self) -> None:
        """Close the inner environment."""
        await self.env.close()

    async def gold_action(self) -> Action:
        """Return the inner environment's."""
        return await self.env.gold_action()

    async def sample_action(self, rng: random.Random) -> Action:
        """Return the inner environment's."""
        return await self.env.sample_action(rng)

    async def progress(self) -> float:
        """Return the inner environment's."""
        return await self.env.progress()

    @property
    def _place(self) -> str:
        return f"{self.depth}:{self.kind}"

    async def _keyed(self, info: StepInfo) -> StepInfo:
        return info if self.state() is None else info.model_copy(update={"state_key": await self.state_key()})
