"""Tools that act on a point of the screenshot, for agents that see."""

from turnwise.envs.gui.base import Button, Modifier, PageEnv
from turnwise.envs.gui.by_id import MAX_SCROLL, MAX_TEXT
from turnwise.envs.gui.keys import key as checked_key
from turnwise.envs.tools import InvalidCall, tool


class ByPoint(PageEnv):
    """Actions by coordinates: CSS pixels from the viewport's top left corner."""

    @tool
    async def click_at(
        self, x: float, y: float, button: Button = "left", clicks: int = 1, modifiers: tuple[Modifier, ...] = ()
    ) -> str:
        """Click a point of the screenshot.

        Args:
            x: Pixels from the left.
            y: Pixels from the top.
            button: Mouse button.
            clicks: 2 for a double click.
            modifiers: Keys held meanwhile.
        """
        if not 1 <= clicks <= 3:
            raise InvalidCall(f"clicks is {clicks}; it can be 1, 2 or 3.")
        await self._at(x, y)
        await self.session.active.mouse_click(x, y, button=button, clicks=clicks, modifiers=modifiers)
        return f"Clicked at ({x:g}, {y:g})."

    @tool
    async def hover_at(self, x: float, y: float) -> str:
        """Move the mouse to a point of the screenshot.

        Args:
            x: Pixels from the left.
            y: Pixels from the top.
        """
        await self._at(x, y)
        await self.session.active.mouse_move(x, y)
        return f"The mouse is at ({x:g}, {y:g})."

    @tool
    async def drag_at(self, from_x: float, from_y: float, to_x: float, to_y: float) -> str:
        """Drag from one point of the screenshot to another.

        Args:
            from_x: Where the mouse button goes down.
            from_y: Where the mouse button goes down.
            to_x: Where it is let go.
            to_y: Where it is let go.
        """
        self._inside(to_x, to_y)
        await self._at(from_x, from_y)
        await self.session.active.mouse_drag(from_x, from_y, to_x, to_y)
        return f"Dragged from ({from_x:g}, {from_y:g}) to ({to_x:g}, {to_y:g})."

    @tool
    async def scroll_at(self, x: float, y: float, dx: float, dy: float) -> str:
        """Turn the mouse wheel over a point of the screenshot.

        Args:
            x: Pixels from the left.
            y: Pixels from the top.
            dx: Pixels to the right.
            dy: Pixels down; negative for up.
        """
        self._inside(x, y)
        if max(abs(dx), abs(dy)) > MAX_SCROLL:
            raise InvalidCall(f"Scroll by at most {MAX_SCROLL} pixels.")
        await self.session.active.wheel(x, y, dx, dy)
        return f"Scrolled by ({dx:g}, {dy:g})."

    @tool
    async def mouse_down(self, x: float, y: float, button: Button = "left") -> str:
        """Press a mouse button at a point and hold it.

        Args:
            x: Pixels from the left.
            y: Pixels from the top.
            button: Mouse button.
        """
        await self._at(x, y)
        await self.session.active.mouse_down(x, y, button=button)
        return f"The {button} button is down at ({x:g}, {y:g})."

    @tool
    async def mouse_up(self, x: float, y: float, button: Button = "left") -> str:
        """Move to a point and let a mouse button go.

        Args:
            x: Pixels from the left.
            y: Pixels from the top.
            button: Mouse button.
        """
        self._inside(x, y)
        await self.session.active.mouse_up(x, y, button=button)
        return f"The {button} button is up at ({x:g}, {y:g})."

    @tool
    async def type_text(self, text: str) -> str:
        """Type text where the focus is.

        Args:
            text: What to type.
        """
        if len(text) > MAX_TEXT:
            raise InvalidCall(f"The text has {len(text)} characters; at most {MAX_TEXT} can be typed at once.")
        if text:
            await self.session.active.insert_text(text)
        return "Typed the text."

    @tool
    async def key_down(self, key: str) -> str:
        """Press a key and hold it.

        Args:
            key: Its name, such as Shift.
        """
        name = checked_key(key)
        await self.session.active.key_down(name)
        return f"{name} is down."

    @tool
    async def key_up(self, key: str) -> str:
        """Let a key go.

        Args:
            key: Its name.
        """
        name = checked_key(key)
        await self.session.active.key_up(name)
        return f"{name} is up."

    async def _at(self, x: float, y: float) -> None:
        """Check a point, and note what lies there where that is compared with the gold."""
        self._inside(x, y)
        if self.compares:
            found = await self.session.active.cdp("DOM.getNodeForLocation", x=int(x), y=int(y))
            self._hit = found.get("backendNodeId")

    def _inside(self, x: float, y: float) -> None:
        width, height = self.site.viewport
        if not (0 <= x < width and 0 <= y < height):
            raise InvalidCall(f"({x:g}, {y:g}) lies outside of the page's {width} x {height} pixels.")
