"""What the groups of tools share: the episode's browser session, what was last shown, and how an id is resolved."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue

from turnwise.envs.gui import elements
from turnwise.envs.gui.observe import Numbers, Shown, Tree
from turnwise.envs.gui.rewards import STEP_PARTS
from turnwise.envs.gui.settings import GuiConfig
from turnwise.envs.gui.sites import GuiSite
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall
from turnwise.errors import EnvError

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import PageSnapshot, Session, Tab

Button = Literal["left", "middle", "right"]
Modifier = Literal["Alt", "Control", "ControlOrMeta", "Meta", "Shift"]


def _plain_id(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip().strip("[]") if isinstance(value, str) else value


ElementId = Annotated[str, BeforeValidator(_plain_id), Field(max_length=20)]
"""An id as the page's text shows it; a number and brackets around it are taken too."""


class PageEnv(ToolEnv):
    """An environment with pages open."""

    config: GuiConfig

    _session: "Session | None" = None
    _site: GuiSite | None = None
    _tree: Tree | None = None
    """The elements last shown."""
    _tab: "Tab | None" = None
    """The tab they are of."""
    _hit: int | None = None
    """``backendNodeId`` of the element that the present call acts on."""

    @property
    def compares(self) -> bool:
        """Whether turns are compared with the gold, because a weight asks for it."""
        return any(self._weights.get(name) for name in STEP_PARTS)

    def _begin_pages(self, site: GuiSite, session: "Session") -> None:
        self._site, self._session, self._tree, self._tab, self._hit = site, session, None, None, None
        self._numbers: dict[Tab, Numbers] = {}
        self._fresh: JsonValue = None
        self._ahead: PageSnapshot | None = None
        self._part = self._parts_of_page = 1
        self._told_dialogs = self._told_blocked = 0

    @property
    def session(self) -> "Session":
        """The episode's browser context."""
        if self._session is None:
            raise EnvError(f"{self.name}: no episode has begun; call reset() first")
        return self._session

    @property
    def site(self) -> GuiSite:
        """The episode's site."""
        if self._site is None:
            raise EnvError(f"{self.name}: no episode has begun; call reset() first")
        return self._site

    def element(self, element_id: str) -> Shown:
        """Return the element of an id.

        Raises:
            InvalidCall: The page last shown has no such id, or it was of another tab.
        """
        shown = self._tree.shown.get(element_id) if self._tree else None
        if shown is None:
            raise InvalidCall(f"There is no element [{element_id}] on the page. Use an id that it shows.")
        if self._tab is not self.session.active:
            raise InvalidCall(f"Element {shown.label} is on another tab. Look at the page below and use its ids.")
        self._hit = shown.node
        return shown

    async def aim(self, element_id: str) -> tuple[Shown, elements.Point]:
        """Scroll to an element and return it with the point where to click it.

        Raises:
            InvalidCall: It is unknown, gone, disabled, hidden or covered.
        """
        shown = self.element(element_id)
        return shown, await elements.aim(self.session.active, shown.node, shown.label)
