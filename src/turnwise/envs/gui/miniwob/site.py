"""A MiniWoB++ task as the pages of an episode."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.gui.miniwob import fields, gold, pages
from turnwise.envs.gui.miniwob.catalogue import page
from turnwise.envs.gui.sites import GoldStep, GuiSite, Verdict
from turnwise.errors import EnvError
from turnwise.tasks.base import Task

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Session, Site

VIEWPORT = (332, 214)
"""BrowserGym's: the task's 160 x 210 pixels, and room for menus that open beside it."""
ASKED = "() => core.getUtterance()"
# A page that was left has no episode to tell of.
REWARD = "() => typeof WOB_DONE_GLOBAL === 'undefined' ? [false, 0] : [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL]"


class MiniwobData(BaseModel):
    """What a task tells of its page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: Literal["miniwob"]
    page: str
    """Name of the page: ``click-test``."""
    seed: int = Field(ge=0)
    """Of the problem."""
    mode: Literal["default", "test"] = "default"
    """MiniWoB++'s data mode."""
    decomposed: bool = False
    """Whether the goal shows the instruction's fields as sub-instructions."""
    solved: int = Field(default=0, ge=0)
    """Steps of the scripted solution that are taken before the agent begins: how far it is from the goal."""


class MiniwobSite(GuiSite):
    """One problem of one page.

    The score is the raw reward where it is positive, the success that it is (BrowserGym's rule): no clock enters.
    """

    Data: ClassVar[type[BaseModel]] = MiniwobData
    navigates = False
    viewport = VIEWPORT

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self.asked = MiniwobData.model_validate(task.data)
        self.start = f"https://{pages.host(self.asked.page)}/"
        self.solved = self.asked.solved
        self.pointer = "pointer" in page(self.asked.page).tags
        self.utterance = ""
        """What the page asks."""
        self.fields: dict[str, str] = {}
        """The parts of the instruction, by name."""

    async def sites(self) -> "Mapping[str, Site]":
        """Return the page, made for this task's seed."""
        seeds = pages.Seeds(self.asked.seed, self.seed, self.asked.mode)
        return {pages.host(self.asked.page): pages.site(self.asked.page, seeds)}

    async def begin(self, session: "Session") -> str:
        """Read what the page asks, and the fields of it.

        Raises:
            EnvError: It asks something else than the task recorded.
        """
        said: Any = await session.active.main(ASKED)
        utterance, self.fields = fields.read(self.asked.page, said)
        self.utterance = utterance
        # A recorded task's instruction is what the page asks; the gold's own words must not show, not even by an error.
        recorded = self.task.instruction if "utterance" in self.task.gold else utterance
        if utterance != recorded:
            raise EnvError(
                f"task {self.task.id!r}: page {self.asked.page!r} asks {utterance!r}, but the task recorded "
                f"{recorded!r}; the installed miniwob distribution is another than the panel was made with"
            )
        return "\n".join((utterance, *self._sub_instructions()))

    def _sub_instructions(self) -> list[str]:
        return [f"- {step}" for step in fields.steps(self.fields)] if self.asked.decomposed else []

    async def verdict(self, session: "Session", *, final: bool) -> Verdict:
        """Read the page's own reward."""
        done, reward = await session.active.main(REWARD)
        if not done:
            return Verdict()
        return Verdict(done=True, score=min(1.0, max(0.0, reward)), success=reward > 0, parts={"raw": float(reward)})

    async def gold(self, session: "Session") -> GoldStep:
        """Ask the page's script."""
        return await gold.next_step(session.active, self.asked.page, self.fields)
