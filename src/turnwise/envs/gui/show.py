"""What an agent is shown of a page: text, a screenshot, marks."""

from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import JsonValue

from turnwise.envs.gui import marks
from turnwise.envs.gui.base import PageEnv
from turnwise.envs.gui.dom import Dom
from turnwise.envs.gui.observe import Numbers, Shown, Tree, actionable, pages, quoted
from turnwise.envs.types import ImagePart, Part, TextPart

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import PageSnapshot, Tab

MOST_NOTES = 5
"""Dialogs and refused requests that one observation tells."""


class Showing(PageEnv):
    """Writes observations."""

    async def page_parts(self) -> tuple[Part, ...]:
        """Look at the active tab and describe it."""
        tab = self.session.active
        snapshot = await self._look()
        page: Dom = snapshot.dom
        self._dom = page
        numbers = self._numbers.setdefault(tab, Numbers())
        if numbers.open(page.root):
            self._part = 1
        self._fresh = [page.digest, page.place(snapshot.focused)]
        self._tree, self._tab = Tree(snapshot.ax, page.clickable, numbers), tab
        parts: list[Part] = [TextPart(text=self._text(tab, numbers))]
        if self.config.screenshot != "none":
            parts.append(ImagePart.of(await self._picture(tab)))
        return tuple(parts)

    async def _look(self) -> "PageSnapshot":
        ahead, self._ahead = self._ahead, None
        return ahead or await self.session.active.snapshot(Dom)

    async def _looked(self) -> JsonValue:
        """Return what of the present page goes into the state key."""
        snapshot = await self._look()
        page: Dom = snapshot.dom
        return [page.digest, page.place(snapshot.focused)]

    def actionable(self) -> list[Shown]:
        """Return the elements that people would act on, in order."""
        return [shown for shown in self._shown() if actionable(shown, self._dom.clickable)]

    def shown_for(self, node: int) -> Shown | None:
        """Return how an element is shown: itself, else the nearest one in it, else the nearest around it."""
        by_node = {shown.node: shown for shown in self._shown()}
        if node in by_node:
            return by_node[node]
        inside = next((by_node[child] for child in self._dom.inside(node) if child in by_node), None)
        return inside or next((by_node[outer] for outer in self._dom.around(node) if outer in by_node), None)

    def _shown(self) -> list[Shown]:
        return list(self._tree.shown.values()) if self._tree else []

    def _text(self, tab: "Tab", numbers: Numbers) -> str:
        lines = [*self._notes(), *self._tabs(), f"URL: {tab.url}"]
        if self.config.page == "none":
            return "\n".join(lines)
        parts = pages(self._lines(numbers), self.config.page_chars)
        self._parts_of_page = len(parts)
        self._part = min(self._part, len(parts))
        lines.append(parts[self._part - 1])
        if len(parts) > 1:
            lines.append(f"(Part {self._part} of {len(parts)} of the page; call more to read another.)")
        return "\n".join(lines)

    def _lines(self, numbers: Numbers) -> list[str]:
        tree = self._tree
        assert tree is not None
        if self.config.page == "axtree":
            return tree.lines
        lines, written = self._dom.pruned(numbers)
        for name, (node, tag) in written.items():
            tree.shown.setdefault(name, Shown(name, node, f"<{tag}>", ""))
        return lines

    def _tabs(self) -> list[str]:
        tabs = self.session.tabs
        if len(tabs) == 1:
            return []
        here = self.session.active
        return [f"Tab {index}{' (this one)' if tab is here else ''}: {tab.url}" for index, tab in enumerate(tabs)]

    def _notes(self) -> list[str]:
        """Tell what happened since the last observation: dialogs, and requests that were refused."""
        dialogs = self.session.dialogs[self._told_dialogs :]
        blocked = self.session.blocked[self._told_blocked :]
        self._told_dialogs, self._told_blocked = len(self.session.dialogs), len(self.session.blocked)
        said = [f"The page said: {quoted(message)} (closed)" for message in dialogs]
        refused = [f"Refused: {quoted(what)}" for what in blocked]
        return [*said[-MOST_NOTES:], *refused[-MOST_NOTES:]]

    async def _picture(self, tab: "Tab") -> bytes:
        png = await tab.screenshot()
        if self.config.screenshot == "plain":
            return png
        boxes = {shown.id: box for shown in self.actionable() if (box := self._dom.box(shown.node)) is not None}
        return await anyio.to_thread.run_sync(marks.draw, png, boxes)
