"""What is asked: a task, and a task set whose digest is the same on every machine."""

import difflib
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, JsonValue

from turnwise.errors import TaskError
from turnwise.tasks.canonical import digest


class PublicTask(BaseModel):
    """The part of a task that may reach an agent, a prompt, a server or a client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    env: str
    split: str
    instruction: str
    data: dict[str, JsonValue]
    difficulty: int | None
    source: str | None


class Task(BaseModel):
    """One thing to do in one environment, with what grades it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Readable and unique in its task set."""
    env: str
    """The environment's registered name, or ``module:Class``."""
    split: str = "train"
    instruction: str
    """What the agent is asked, in words."""
    data: dict[str, JsonValue] = {}
    """What the environment needs to set the episode up; large assets by content digest."""
    gold: dict[str, JsonValue] = {}
    """What only the grader and the proofs see; ``actions`` holds a solving action sequence where there is one."""
    difficulty: int | None = None
    """1 is easiest; levels are the environment's own."""
    hints: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    source: str | None = None
    """Where the task comes from: generator and seed, or data set and licence."""

    @cached_property
    def key(self) -> str:
        """The task's identity: sha256 over environment, instruction, data and gold."""
        return digest({"env": self.env, "instruction": self.instruction, "data": self.data, "gold": self.gold})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the task; a changed copy gets its own key."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("key", None)
        return copied

    def public(self) -> PublicTask:
        """Return the task without gold, hints and tags."""
        return PublicTask.model_validate(self.model_dump(include=set(PublicTask.model_fields)))


class TaskSet(BaseModel):
    """A panel: a named, versioned, hashed sequence of tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str = "1"
    tasks: tuple[Task, ...]

    def model_post_init(self, _context: Any) -> None:
        """Refuse two tasks of one id."""
        seen: set[str] = set()
        for task in self.tasks:
            if task.id in seen:
                raise TaskError(f"task set {self.name!r} holds the id {task.id!r} twice; ids must be unique")
            seen.add(task.id)

    @cached_property
    def digest(self) -> str:
        """The panel's identity: sha256 over the sorted task keys."""
        return digest(sorted(task.key for task in self.tasks))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that occur, sorted."""
        return tuple(sorted({task.split for task in self.tasks}))

    def split(self, name: str) -> "TaskSet":
        """Return the tasks of one split.

        Raises:
            TaskError: No task is of that split.
        """
        if name not in self.splits:
            near = difflib.get_close_matches(name, self.splits, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(self.splits) or "no task"
            raise TaskError(f"task set {self.name!r} has no split {name!r}.{meant} It has: {known}")
        return self.filter(lambda task: task.split == name)

    def filter(self, keep: Callable[[Task], bool]) -> "TaskSet":
        """Return the tasks for which ``keep`` is true, in order."""
        return self._with(tuple(task for task in self.tasks if keep(task)))

    def sample(self, n: int, seed: int) -> "TaskSet":
        """Draw ``n`` tasks without replacement; the draw depends on the keys and the seed only, not on the order.

        Raises:
            TaskError: The set holds fewer than ``n`` tasks.
        """
        if n > len(self.tasks):
            raise TaskError(f"cannot draw {n} tasks from {self.name!r}, which holds {len(self.tasks)}")
        pool = sorted(self.tasks, key=lambda task: task.key)
        return self._with(tuple(random.Random(f"{seed}").sample(pool, n)))

    def _with(self, tasks: tuple[Task, ...]) -> "TaskSet":
        return TaskSet(name=self.name, version=self.version, tasks=tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Task]:  # type: ignore[override]
        return iter(self.tasks)

    def __getitem__(self, task_id: str) -> Task:
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise TaskError(f"task set {self.name!r} has no task {task_id!r}")
