"""Any environment as a Gymnasium environment: texts in, texts out, the synchronous five-tuple.

    from turnwise.envs.gym import GymEnv

    env = GymEnv("sql", split="train")
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step("tables[]")

Needs the extra ``gym``.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

try:
    import gymnasium
except ImportError as error:
    from turnwise.errors import MissingExtraError

    raise MissingExtraError.of("gym", "gymnasium") from error
from anyio.from_thread import start_blocking_portal

from turnwise.envs.base import Env
from turnwise.envs.registry import build, env_class
from turnwise.envs.types import Action, StepInfo, StopReason
from turnwise.envs.wrappers import wrap as wrapped
from turnwise.errors import ConfigError, TaskError
from turnwise.tasks.base import Task
from turnwise.tasks.panels import load_panel

__all__ = ["GymEnv", "Text"]


class Text(gymnasium.Space[str]):
    """Any text; a sample is a few lower-case words."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(None, str, seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw a text."""
        letters = self.np_random.integers(97, 123, size=(int(self.np_random.integers(1, 4)), 4))
        return " ".join("".join(map(chr, word)) for word in letters)

    def contains(self, x: Any) -> bool:
        """Return whether ``x`` is a text."""
        return isinstance(x, str)

    @property
    def is_np_flattenable(self) -> bool:
        """A text has no fixed size."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text)

    __hash__ = None  # type: ignore[assignment]


class GymEnv(gymnasium.Env[str, str]):
    """An environment of Turnwise behind Gymnasium's synchronous interface.

    Observations and actions are texts; an action is parsed by the environment's text format, and ``step`` takes an
    ``Action`` too. ``info`` holds the step's status, reward parts, state key, and at the end score and success.

    Args:
        env: A registered name, ``module:Class``, or a class.
        tasks: What is played; by default the environment's default panel.
        split: Split of that panel.
        turns: Turn limit: the episode is then graded and truncated. None: none.
        wrap: Wrappers, as ``turnwise.envs.wrappers.wrap`` takes them.
        **config: The environment's settings.

    Raises:
        UnknownNameError: There is no such environment.
        ConfigError: A setting is wrong, or there are no tasks.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - Gymnasium's own name and type

    def __init__(
        self,
        env: str | type[Env],
        tasks: Iterable[Task] | None = None,
        *,
        split: str | None = None,
        turns: int | None = None,
        wrap: Iterable[str] = (),
        render_mode: str | None = None,
        **config: Any,
    ) -> None:
        cls = env_class(env) if isinstance(env, str) else env
        self.tasks = _tasks(cls, tasks, split)
        self.render_mode = render_mode
        self.turns = turns
        self.observation_space, self.action_space = Text(), Text()
        self.inner = wrapped(build(cls, config), *wrap)
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._shown = ""
        self._turn = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Seeds the choice of tasks from here on, as Gymnasium has it.
            options: ``task``: the id of the task to play instead of one drawn at random; ``seed``: the episode's own.
        """
        super().reset(seed=seed)
        options = options or {}
        task = self._chosen(options.get("task"))
        episode_seed = int(options.get("seed", self.np_random.integers(2**31)))

        async def begin() -> tuple[Any, StepInfo]:
            return await self.inner.reset(task, seed=episode_seed)

        observation, info = self._portal.call(begin)
        self._shown, self._turn = observation.text, 0
        return self._shown, {"task": task.id, **_plain(info)}

    def step(self, action: str | Action) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one turn."""
        self._turn += 1
        result = self._portal.call(self.inner.step, action)
        reward, terminated, truncated, info = result.reward, result.terminated, result.truncated, result.info
        if self.turns is not None and self._turn >= self.turns and not (terminated or truncated):
            end = self._portal.call(self.inner.truncate, StopReason.TURN_LIMIT)
            parts = (*info.reward_parts, *end.info.reward_parts)
            reward, truncated = reward + end.reward, True
            info = end.info.model_copy(update={"reward_parts": parts, "status": info.status})
        self._shown = result.observation.text
        return self._shown, reward, terminated, truncated, _plain(info)

    def render(self) -> str | None:  # type: ignore[override]
        """Return the last observation in the mode ``ansi``."""
        return self._shown if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Close the environment and its thread; may be called twice."""
        with self._stack:
            if self._portal is not None:
                self._portal.call(self.inner.close)
            self._portal = None  # type: ignore[assignment]

    def _chosen(self, task_id: str | None) -> Task:
        if task_id is None:
            return self.tasks[int(self.np_random.integers(len(self.tasks)))]
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise TaskError(f"there is no task {task_id!r} among the {len(self.tasks)} this environment was given")


def _tasks(cls: type[Env], tasks: Iterable[Task] | None, split: str | None) -> tuple[Task, ...]:
    if tasks is None:
        if cls.default_panel is None:
            raise ConfigError(f"environment {cls.name!r} names no default panel; give it tasks")
        tasks = load_panel(cls.default_panel, split)
    given = tuple(tasks)
    if not given:
        raise ConfigError(f"environment {cls.name!r}: there is no task to play")
    return given


def _plain(info: StepInfo) -> dict[str, Any]:
    return info.model_dump(exclude={"exec_s", "queue_s"})
