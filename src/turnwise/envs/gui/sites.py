"""What an episode's pages are, what they ask and how they are graded: one protocol, one class per kind of site."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import BaseModel, JsonValue

from turnwise.errors import EnvError
from turnwise.tasks.base import Task

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Session, Site

KINDS = {
    "miniwob": "turnwise.envs.gui.miniwob.site:MiniwobSite",
    "shop": "turnwise.envs.gui.shop:ShopPages",
    "folder": "turnwise.envs.gui.folder:FolderSite",
}
"""The kinds of site by the name that ``task.data["site"]`` gives; imported when an episode needs one."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a site says of an episode so far."""

    done: bool = False
    """The pages themselves ended the episode."""
    score: float = 0.0
    """In [0, 1]: what ending now earns."""
    success: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)
    """Further reward parts to record when the episode ends."""


@dataclass(frozen=True, kw_only=True)
class GoldStep:
    """The next step of a solution, with elements as the browser knows them."""

    tool: str
    """Name of a tool of the environment."""
    node: int | None = None
    """``backendNodeId`` of the element the tool acts on; it becomes the argument ``id`` (of a drag: ``from_id``)."""
    to: int | None = None
    """``backendNodeId`` of the element a drag ends on; it becomes ``to_id``."""
    args: Mapping[str, JsonValue] = field(default_factory=dict)
    """The other arguments."""


class Ended(NamedTuple):
    """How the agent itself ended the episode."""

    how: str
    """``answer`` or ``infeasible``."""
    text: str


class GuiSite(ABC):
    """One episode's site. Made anew for each episode; knows no tool and writes no observation.

    Args:
        task: The episode's task; ``task.gold`` is for ``verdict`` and ``gold`` only.
        seed: The episode's.
    """

    Data: ClassVar[type[BaseModel]]
    """Validates ``task.data``."""
    navigates: ClassVar[bool] = True
    """Whether the tools for addresses, history and tabs make sense here."""
    pointer: bool = False
    """Whether the task takes places and not only elements: the tools by coordinates are then offered with the ids."""
    solved: int = 0
    """Steps of the solution that are taken before the agent begins, so that it starts nearer to the goal."""
    viewport: tuple[int, int] = (1024, 768)
    """Width and height in CSS pixels."""
    uploads: Mapping[str, str] = {}
    """Files that the agent may upload: name shown to it to path on this machine."""
    init_scripts: tuple[str, ...] = ()
    """Run in every document before the page's own scripts."""
    start: str
    """The address to open."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed
        self.turn = 0
        """Turns taken so far; kept by the environment."""
        self.ended: Ended | None = None
        """Set by the environment when the agent answers or gives up."""

    @abstractmethod
    async def sites(self) -> "Mapping[str, Site]":
        """Return who answers requests, by host name; called once, before the first page is opened."""

    async def begin(self, session: "Session") -> str:
        """Start the problem in the page that was just opened; return the goal, which is shown to the agent.

        A site that changes the page lets it settle.
        """
        return self.task.instruction

    @abstractmethod
    async def verdict(self, session: "Session", *, final: bool) -> Verdict:
        """Tell how the episode stands, leaving the page as it is: it is looked at meanwhile.

        Asked after every call, and once more with ``final`` when the episode ends, whoever ended it.
        """

    async def gold(self, session: "Session") -> GoldStep:
        """Return the next step of a solution from the present page. For the harness only.

        Raises:
            EnvError: No solution is known from here.
        """
        raise EnvError(f"task {self.task.id!r}: site {self.task.data.get('site')!r} knows no solution")

    async def state(self) -> JsonValue:
        """Return what the server behind the pages remembers and the pages do not show; part of the state key."""
        return None

    async def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free what the site holds; may be called twice."""


def site_class(kind: str) -> type[GuiSite]:
    """Return the class of a kind of site."""
    module, _, name = KINDS[kind].partition(":")
    found: type[GuiSite] = getattr(importlib.import_module(module), name)
    return found
