"""Tools that act on an element by the id that the page's text shows."""

from pydantic import JsonValue

from turnwise.envs.gui import elements
from turnwise.envs.gui.base import Button, ElementId, Modifier, PageEnv
from turnwise.envs.gui.keys import checked
from turnwise.envs.tools import InvalidCall, tool

MAX_TEXT = 20_000
MAX_SCROLL = 100_000


class ById(PageEnv):
    """Actions by element id."""

    @tool
    async def click(
        self,
        id: ElementId,  # noqa: A002
        button: Button = "left",
        clicks: int = 1,
        modifiers: tuple[Modifier, ...] = (),
    ) -> str:
        """Click an element.

        Args:
            id: The element's id.
            button: Mouse button.
            clicks: 2 for a double click.
            modifiers: Keys held meanwhile.
        """
        if not 1 <= clicks <= 3:
            raise InvalidCall(f"clicks is {clicks}; it can be 1, 2 or 3.")
        shown, at = await self.aim(id)
        await self.session.active.mouse_click(at.x, at.y, button=button, clicks=clicks, modifiers=modifiers)
        return f"Clicked {shown.label}."

    @tool
    async def fill(self, id: ElementId, text: str) -> str:  # noqa: A002
        """Replace what a text field holds.

        Args:
            id: The field's id.
            text: What it shall hold; empty to clear it. Dates as YYYY-MM-DD, times as HH:MM.
        """
        shown, tab = self.element(id), self.session.active
        if len(text) > MAX_TEXT:
            raise InvalidCall(f"The text has {len(text)} characters; at most {MAX_TEXT} can be typed at once.")
        ready = await elements.ask(tab, shown.node, shown.label, elements.READY_TO_TYPE, text)
        if not ready["set"]:
            await self._typed(text, empty=bool(ready["empty"]))
        return f"Filled {shown.label}."

    async def _typed(self, text: str, *, empty: bool) -> None:
        if text:
            await self.session.active.insert_text(text)
        elif not empty:
            await self.session.active.press("Delete")

    @tool
    async def select(self, id: ElementId, options: tuple[str, ...] | str) -> str:  # noqa: A002
        """Choose from a list of options.

        Args:
            id: The list's id.
            options: The option's text; a list of texts where several may be chosen.
        """
        shown = self.element(id)
        wanted: list[JsonValue] = [options] if isinstance(options, str) else [*options]
        await elements.ask(self.session.active, shown.node, shown.label, elements.CHOOSE, wanted)
        return f"Chose {', '.join(map(repr, wanted)) or 'nothing'} in {shown.label}."

    @tool
    async def press(self, keys: str, id: ElementId | None = None) -> str:  # noqa: A002
        """Press a key or a combination, such as Enter, Tab, ArrowDown or Control+a.

        Args:
            keys: Names as browsers have them, joined by +.
            id: The element that gets the focus first; by default the focus stays where it is.
        """
        combination = checked(keys)
        if id is not None:
            await self._focused(id)
        await self.session.active.press(combination)
        return f"Pressed {combination}."

    @tool
    async def hover(self, id: ElementId) -> str:  # noqa: A002
        """Move the mouse over an element.

        Args:
            id: The element's id.
        """
        shown, at = await self.aim(id)
        await self.session.active.mouse_move(at.x, at.y)
        return f"The mouse is over {shown.label}."

    @tool
    async def focus(self, id: ElementId) -> str:  # noqa: A002
        """Move the keyboard focus to an element.

        Args:
            id: The element's id.
        """
        return f"Focused {await self._focused(id)}."

    @tool
    async def drag(self, from_id: ElementId, to_id: ElementId) -> str:
        """Drag one element onto another.

        Args:
            from_id: Where the mouse button goes down.
            to_id: Where it is let go.
        """
        target, _ = await self.aim(to_id)
        source, start = await self.aim(from_id)
        # Scrolling to the one may have moved the other.
        end = await elements.aim(self.session.active, target.node, target.label)
        start = await elements.aim(self.session.active, source.node, source.label)
        await self.session.active.mouse_drag(start.x, start.y, end.x, end.y)
        return f"Dragged {source.label} onto {target.label}."

    @tool
    async def upload(self, id: ElementId, files: tuple[str, ...] | str) -> str:  # noqa: A002
        """Give files to a file field.

        Args:
            id: The field's id.
            files: Names of the files that the task lets you upload.
        """
        shown = self.element(id)
        names = [files] if isinstance(files, str) else [*files]
        known = self.site.uploads
        if missing := [name for name in names if name not in known]:
            raise InvalidCall(f"There is no file {missing[0]!r} to upload. There are: {', '.join(known)}.")
        tab = self.session.active
        await elements.ask(tab, shown.node, shown.label, elements.FILES, len(names))
        await tab.upload(shown.node, names)
        return f"Gave {', '.join(names)} to {shown.label}."

    async def _focused(self, element_id: str) -> str:
        shown = self.element(element_id)
        await elements.ask(self.session.active, shown.node, shown.label, elements.FOCUS)
        return shown.label
