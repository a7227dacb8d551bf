"""Generators: worlds, and the questions cut from them, from a seed and a few knobs.

The same generator, knobs and seed give the same tasks on every machine. Splits are disjoint whatever the sizes and
seeds: which split a question belongs to is decided by the question itself.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import plugins
from turnwise.tasks.base import Task, TaskSet
from turnwise.tasks.canonical import canonical_json, digest

GROUP = "turnwise.generators"


class Knobs(BaseModel):
    """What a generator can be told; subclass it to add difficulty knobs, each with a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Generator(ABC):
    """Draws tasks for one environment.

    A subclass sets ``name``, ``version``, ``env`` and ``Knobs``, and writes ``draw``; ``self.knobs`` holds the
    settings.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    """Raised whenever the same seed and knobs could give other tasks than before."""
    env: ClassVar[str]
    """The environment's registered name."""
    Knobs: ClassVar[type[BaseModel]] = Knobs
    SPLITS: ClassVar[dict[str, int]] = {"train": 3, "dev": 1, "test": 1}
    """The splits and the shares of all questions that belong to them."""
    tries: ClassVar[int] = 200
    """Draws in a row that may be refused before the generator gives up."""

    def __init__(self, knobs: BaseModel | None = None) -> None:
        self.knobs: Any = knobs or self.Knobs()

    def begin(self, seed: int) -> None:  # noqa: B027 - an author may leave it out
        """Make the world that questions are cut from; called once before the first draw."""

    @abstractmethod
    def draw(self, rng: random.Random) -> Task | None:
        """Draw one candidate; its id, split and source are set afterwards. None: this draw made no good task."""

    def identity(self, task: Task) -> str:
        """Return what makes two tasks the same question; by default the task's key.

        Return something coarser where one question has several wordings, so that none of them crosses a split.
        """
        return task.key

    def split_of(self, identity: str) -> str:
        """Return the split a question belongs to, decided by the question alone."""
        place = int(digest({"generator": self.name, "identity": identity})[:12], 16) / 16**12
        total, reached = sum(self.SPLITS.values()), 0
        for split, share in self.SPLITS.items():
            reached += share
            if place < reached / total:
                return split
        raise AssertionError("the shares of the splits add up to all")

    def generate(self, n: int, *, seed: int, split: str = "train") -> tuple[Task, ...]:
        """Draw ``n`` different tasks of one split; the first of more are the same.

        Raises:
            TaskError: The split is unknown, or the knobs leave fewer than ``n`` different tasks.
        """
        if split not in self.SPLITS:
            raise TaskError(f"generator {self.name!r} has no split {split!r}; it has {', '.join(self.SPLITS)}")
        self.begin(seed)
        made: list[Task] = []
        for task in self._candidates(seed, split):
            if len(made) == n:
                break
            made.append(self._named(task, seed, split, len(made)))
        if len(made) < n:
            raise TaskError(
                f"generator {self.name!r} found only {len(made)} of {n} different tasks of split {split!r}: "
                f"{self.tries} draws in a row gave nothing new; widen its knobs"
            )
        return tuple(made)

    def panel(self, sizes: Mapping[str, int], *, seed: int, name: str | None = None, version: str = "1") -> TaskSet:
        """Make a task set with ``sizes`` tasks of each split."""
        tasks = [task for split, n in sizes.items() for task in self.generate(n, seed=seed, split=split)]
        return TaskSet(name=name or self.name, version=version, tasks=tuple(tasks))

    def _candidates(self, seed: int, split: str) -> Iterator[Task]:
        seen: set[str] = set()
        index = refused = 0
        while refused < self.tries:
            # One generator per draw: a change in how one question is drawn leaves the others alone.
            task = self.draw(random.Random(f"{self.name}|{self.version}|{seed}|{split}|{index}"))
            index += 1
            identity = None if task is None else self.identity(task)
            if task is None or identity is None or identity in seen or self.split_of(identity) != split:
                refused += 1
                continue
            seen.add(identity)
            refused = 0
            yield task

    def _named(self, task: Task, seed: int, split: str, index: int) -> Task:
        knobs = canonical_json(self.knobs.model_dump(mode="json", exclude_defaults=True)).decode()
        source = f"{self.name}@{self.version} seed={seed}" + ("" if knobs == "{}" else f" knobs={knobs}")
        update: dict[str, Any] = {"id": f"{self.name}-{split}-{index:04d}", "split": split, "source": source}
        return task.model_copy(update=update)


def generator_names() -> list[str]:
    """Return the registered generators' names, sorted; nothing is imported."""
    return list(plugins.registered(GROUP))


def make_generator(name: str, **knobs: Any) -> Generator:
    """Make a generator by its registered name or ``module:Class``.

    Raises:
        UnknownNameError: There is no such generator.
        ConfigError: A knob is unknown or of the wrong type.
    """
    cls = plugins.find(GROUP, name, kind="generator")
    if not (isinstance(cls, type) and issubclass(cls, Generator)):
        raise ConfigError(f"{name!r} is no generator: {cls!r} does not inherit turnwise.tasks.Generator")
    try:
        return cls(cls.Knobs.model_validate(knobs))
    except ValidationError as error:
        first = error.errors()[0]
        field, known = ".".join(map(str, first["loc"])), ", ".join(cls.Knobs.model_fields)
        raise ConfigError(f"generator {name!r}: knob {field!r}: {first['msg']}; knobs: {known or 'none'}") from error
