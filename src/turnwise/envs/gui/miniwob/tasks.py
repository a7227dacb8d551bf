"""The shipped panel of MiniWoB++ problems, and a generator of as many more as training takes."""

import json
import random
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import Field

from turnwise.envs.gui.miniwob import fields
from turnwise.envs.gui.miniwob.catalogue import Category, Page, Tag, catalogue, chosen
from turnwise.envs.gui.miniwob.pages import DATA
from turnwise.tasks.base import Task, TaskSet
from turnwise.tasks.generate import Generator, Knobs

LICENCE = "MiniWoB++ (Farama Foundation), MIT"
FIRST_SEED = 1_000_000
"""Generated problems have seeds from here on; the panel's are below."""


@cache
def miniwob() -> TaskSet:
    """The panel ``gui/miniwob``: ten problems of every page with a scripted solution, each proved solvable.

    The splits hold other seeds of the same pages; ``test`` is of MiniWoB++'s data mode for tests where a page has one.
    """
    recorded = json.loads((DATA / "panel.json").read_text(encoding="utf-8"))
    tasks = [
        _recorded(catalogue()[name], split, int(seed), utterance)
        for name, splits in recorded.items()
        for split, problems in splits.items()
        for seed, utterance in problems.items()
    ]
    return TaskSet(name="gui/miniwob", version="1", tasks=tuple(tasks))


def _recorded(page: Page, split: str, seed: int, utterance: str) -> Task:
    mode = "test" if split == "test" and "transfer" in page.tags else "default"
    return Task(
        id=f"miniwob-{page.name}-{seed}",
        env="gui",
        split=split,
        instruction=utterance,
        data=_data(page.name, seed, mode),
        gold={"utterance": utterance},
        difficulty=page.difficulty,
        hints=fields.steps(fields.parse(page.name, utterance)),
        tags=(page.category, *page.tags),
        source=f"{LICENCE}, page {page.name}, seed {seed}",
    )


def _data(page: str, seed: int, mode: str, **more: Any) -> dict[str, Any]:
    data = {"site": "miniwob", "page": page, "seed": seed}
    return data | ({"mode": mode} if mode != "default" else {}) | {name: value for name, value in more.items() if value}


class MiniwobKnobs(Knobs):
    """Which pages problems are drawn from, and how much help they come with."""

    pages: tuple[str, ...] = ()
    """Only these; all with a scripted solution where empty."""
    categories: tuple[Category, ...] = ()
    without: tuple[Tag, ...] = ("flawed",)
    """Pages with one of these tags are left out."""
    hardest: int = Field(default=5, ge=1, le=5)
    """Pages of a higher difficulty are left out."""
    decomposed: bool = False
    """The goal shows the instruction's fields as sub-instructions, one a line."""
    solved: int = Field(default=0, ge=0)
    """Steps of the solution that are taken before the agent begins; pages whose solution is no longer are left out."""
    mode: Literal["default", "test"] = "default"


class MiniwobTasks(Generator):
    """Problems with new seeds. What a page asks is known when it is opened, so the goal stands in the observation.

    A curriculum after QWeb (see ``fields``) goes from many steps ``solved`` to none, and from ``decomposed``
    instructions to plain ones.
    """

    name: ClassVar[str] = "miniwob"
    version: ClassVar[str] = "1"
    env: ClassVar[str] = "gui"
    Knobs = MiniwobKnobs

    def begin(self, seed: int) -> None:
        """Choose the pages."""
        knobs = self.knobs
        self.pages = [
            page
            for page in chosen(knobs.pages, knobs.categories, knobs.without)
            if page.difficulty <= knobs.hardest and (page.turns or 0) > knobs.solved
        ]

    def draw(self, rng: random.Random) -> Task | None:
        """Draw a page and a seed."""
        if not self.pages:
            return None
        page, knobs = rng.choice(self.pages), self.knobs
        return Task(
            id="drawn",
            env=self.env,
            instruction="Do what the page asks.",
            data=_data(
                page.name,
                rng.randrange(FIRST_SEED, 2**31),
                knobs.mode,
                solved=knobs.solved,
                decomposed=knobs.decomposed,
            ),
            difficulty=page.difficulty,
            tags=(page.category, *page.tags),
        )
