"""What is known of each page: what kind of task it is, how hard, and what an agent needs to see and do for it."""

import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from turnwise.envs.gui.miniwob.pages import DATA
from turnwise.errors import TaskError, UnknownNameError

Category = Literal["click", "navigate", "choose", "type", "form", "reason", "app", "drag", "draw", "time"]
Tag = Literal["canvas", "svg", "time", "random", "vision", "pointer", "fields", "transfer", "flawed", "unscored"]
TAGS: Mapping[Tag, str] = MappingProxyType(
    {
        "canvas": "what counts is drawn on a canvas",
        "svg": "what counts is drawn as vector graphics",
        "time": "the outcome depends on the page's clock, which an agent's turns move",
        "random": "the page reacts at random (from the episode's seed)",
        "vision": "the accessibility tree does not tell all that counts: colours, icons, places, pictures",
        "pointer": "takes places and not only elements: dragging, drawing",
        "fields": "the instruction can be cut into fields",
        "transfer": "has other problems in MiniWoB++'s data mode for tests",
        "flawed": "a few of its problems cannot be won: a fault of the page",
        "unscored": "the page never pays; not in the panel",
    }
)
STEPS = (2, 4, 8)
"""Longest solutions, in turns, of difficulty 1, 2 and 3; longer ones are 4. What takes more than ids is one up."""


class Page(BaseModel):
    """One page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    category: Category
    tags: tuple[Tag, ...]
    turns: int | None
    """Turns of the scripted solution, median over the panel's problems; None: there is no script."""

    @property
    def gold(self) -> bool:
        """Whether there is a scripted solution."""
        return self.turns is not None

    @property
    def difficulty(self) -> int:
        """1 to 5."""
        steps = self.turns or STEPS[-1] + 1
        level = 1 + sum(steps > bound for bound in STEPS)
        return level + bool({"vision", "pointer", "time"} & set(self.tags))


@cache
def catalogue() -> Mapping[str, Page]:
    """Return every page by name."""
    rows = json.loads((DATA / "pages.json").read_text(encoding="utf-8"))
    return MappingProxyType({name: Page(name=name, **row) for name, row in rows.items()})


def page(name: str) -> Page:
    """Return one page.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in catalogue():
        raise UnknownNameError.of("MiniWoB++ page", name, catalogue())
    return catalogue()[name]


def chosen(names: tuple[str, ...] = (), categories: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> list[Page]:
    """Return the pages with a scripted solution that fit.

    Args:
        names: Only these; all where empty.
        categories: Only of these.
        without: None that has one of these tags.

    Raises:
        UnknownNameError: A page of ``names`` is unknown.
        TaskError: None is left.
    """
    pages = [page(name) for name in names] or list(catalogue().values())
    found = [
        one
        for one in pages
        if one.gold and (not categories or one.category in categories) and not set(without) & set(one.tags)
    ]
    if not found:
        raise TaskError("no MiniWoB++ page with a scripted solution is left; name other pages, categories or tags")
    return found
