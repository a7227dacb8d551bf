"""Tools that act on no element: scrolling, addresses, history, tabs, waiting, reading on, and ending the episode."""

from turnwise.envs.gui.base import ElementId, PageEnv
from turnwise.envs.gui.by_id import MAX_SCROLL
from turnwise.envs.gui.sites import Ended
from turnwise.envs.tools import InvalidCall, ToolFailed, tool
from turnwise.envs.types import StopReason

MAX_WAIT_MS = 10_000


class Moving(PageEnv):
    """Actions on the page as a whole, on tabs and on the episode."""

    @tool
    async def scroll(self, dx: float, dy: float, id: ElementId | None = None) -> str:  # noqa: A002
        """Scroll the page, or the part of it under an element.

        Args:
            dx: Pixels to the right.
            dy: Pixels down; negative for up.
            id: The element over which the mouse wheel is turned; by default the middle of the page.
        """
        if max(abs(dx), abs(dy)) > MAX_SCROLL:
            raise InvalidCall(f"Scroll by at most {MAX_SCROLL} pixels.")
        width, height = self.site.viewport
        x, y = (width / 2, height / 2) if id is None else (await self.aim(id))[1]
        await self.session.active.wheel(x, y, dx, dy)
        return f"Scrolled by ({dx:g}, {dy:g})."

    @tool
    async def goto(self, url: str) -> str:
        """Open an address of the site in the present tab.

        Args:
            url: The whole address, https:// included.
        """
        from turnwise.envs.gui.engine import NavigationRefused

        try:
            await self.session.active.goto(url.strip())
        except NavigationRefused as error:
            raise InvalidCall(str(error)) from error
        return f"Opened {self.session.active.url}."

    @tool
    async def back(self) -> str:
        """Go back to the page before in this tab's history."""
        if not await self.session.active.back():
            raise ToolFailed("There is no page before this one.")
        return "Went back."

    @tool
    async def forward(self) -> str:
        """Go forward again in this tab's history."""
        if not await self.session.active.forward():
            raise ToolFailed("There is no page after this one.")
        return "Went forward."

    @tool
    async def tab_new(self) -> str:
        """Open an empty tab."""
        await self.session.new_tab()
        return "Opened a tab."

    @tool
    async def tab_close(self, index: int | None = None) -> str:
        """Close a tab; the last one stays.

        Args:
            index: Its number in the list of tabs; by default the present one.
        """
        tabs = self.session.tabs
        if len(tabs) == 1:
            raise ToolFailed("This is the only tab; it stays open.")
        await self.session.close_tab(self._numbered(index))
        return "Closed the tab."

    @tool
    async def tab_focus(self, index: int) -> str:
        """Go to another tab.

        Args:
            index: Its number in the list of tabs.
        """
        await self.session.focus_tab(self._numbered(index))
        return f"This is tab {index}."

    @tool
    async def wait(self, ms: int = 1000) -> str:
        """Do nothing while the page goes on.

        Args:
            ms: Milliseconds of the page's own time.
        """
        if not 0 <= ms <= MAX_WAIT_MS:
            raise InvalidCall(f"ms is {ms}; it can be 0 to {MAX_WAIT_MS}.")
        await self.session.active.settle(ms)
        return f"{ms} ms passed on the page."

    @tool
    async def more(self, part: int) -> str:
        """Read another part of a page that is too long to be shown at once.

        Args:
            part: Which part, 1 for the first.
        """
        if not 1 <= part <= self._parts_of_page:
            raise InvalidCall(f"The page has {self._parts_of_page} parts; there is no part {part}.")
        self._part = part
        return f"Part {part}:"

    @tool
    async def answer(self, text: str) -> str:
        """Give the answer, or say that the task is done. This ends the episode.

        Args:
            text: The answer.
        """
        self.site.ended = Ended("answer", text)
        self.finish(StopReason.ENDED)
        return "The answer is recorded."

    @tool
    async def infeasible(self, reason: str) -> str:
        """Say that the task cannot be done on these pages. This ends the episode.

        Args:
            reason: Why.
        """
        self.site.ended = Ended("infeasible", reason)
        self.finish(StopReason.GAVE_UP)
        return "It is recorded that this cannot be done."

    def _numbered(self, index: int | None) -> int:
        tabs = self.session.tabs
        if index is None:
            return tabs.index(self.session.active)
        if not 0 <= index < len(tabs):
            raise InvalidCall(f"There is no tab {index}; there are 0 to {len(tabs) - 1}.")
        return index
