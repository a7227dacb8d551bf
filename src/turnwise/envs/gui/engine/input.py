"""Mouse and keyboard by DevTools' Input commands, which wait for no frame."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import JsonValue

from turnwise.envs.gui.engine.errors import PageGone

if TYPE_CHECKING:
    from turnwise.envs.gui.engine.cdp import Channel

MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
BUTTONS = {"left": 1, "right": 2, "middle": 4}


WHEEL = """(x, y, deltaX, deltaY) => {
  let page = document, at = page.elementFromPoint(x, y);
  while (at?.contentDocument) {
    const box = at.getBoundingClientRect();
    [x, y, page] = [x - box.x - at.clientLeft, y - box.y - at.clientTop, at.contentDocument];
    at = page.elementFromPoint(x, y);
  }
  const told = {deltaX, deltaY, clientX: x, clientY: y, bubbles: true, cancelable: true, composed: true, view: window};
  if (at && !at.dispatchEvent(new WheelEvent("wheel", told))) return;
  for (; at; at = at.parentElement ?? at.getRootNode().host ?? null) {
    const root = at === page.scrollingElement, style = getComputedStyle(at);
    const free = (way, far) => way && (root || /auto|scroll|overlay/.test(far)) ? way : 0;
    const before = [at.scrollLeft, at.scrollTop];
    at.scrollBy({left: free(deltaX, style.overflowX), top: free(deltaY, style.overflowY), behavior: "instant"});
    if (at.scrollLeft !== before[0] || at.scrollTop !== before[1]) return;
  }
  page.defaultView.scrollBy({left: deltaX, top: deltaY, behavior: "instant"});
}"""
"""What a wheel does: told to the element under the pointer, it scrolls the nearest part that can move."""


class Key(NamedTuple):
    """A key as DevTools wants it told."""

    key: str
    code: str
    number: int
    text: str = ""


_NAMED = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Backspace": (8, ""),
    "Delete": (46, ""),
    "Escape": (27, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
    "PageUp": (33, ""),
    "PageDown": (34, ""),
    "Insert": (45, ""),
    "CapsLock": (20, ""),
    **{f"F{number}": (111 + number, "") for number in range(1, 13)},
}
_ALIASES = {
    "Ctrl": "Control",
    "ControlOrMeta": "Control",
    "Cmd": "Meta",
    "Esc": "Escape",
    "Return": "Enter",
    "Left": "ArrowLeft",
    "Right": "ArrowRight",
    "Up": "ArrowUp",
    "Down": "ArrowDown",
    "Space": " ",
}
_MODIFIER_NUMBERS = {"Alt": 18, "Control": 17, "Meta": 91, "Shift": 16}
_PUNCTUATION = {
    ";": ("Semicolon", 186), "=": ("Equal", 187), ",": ("Comma", 188), "-": ("Minus", 189), ".": ("Period", 190),
    "/": ("Slash", 191), "`": ("Backquote", 192), "[": ("BracketLeft", 219), "\\": ("Backslash", 220),
    "]": ("BracketRight", 221), "'": ("Quote", 222),
}  # fmt: skip
_SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))


def key_of(name: str) -> Key | None:
    """Return the key of a name (``Enter``, ``ArrowUp``, ``a``, ``%``); None if there is none."""
    name = _ALIASES.get(name, name)
    if name in _NAMED:
        number, text = _NAMED[name]
        return Key(name, name, number, text)
    if name in _MODIFIER_NUMBERS:
        return Key(name, name + "Left", _MODIFIER_NUMBERS[name])
    if len(name) != 1:
        return None
    base = _SHIFTED.get(name, name).lower()
    if base == " ":
        return Key(" ", "Space", 32, " ")
    if "a" <= base <= "z":
        return Key(name, "Key" + base.upper(), ord(base.upper()), name)
    if "0" <= base <= "9":
        return Key(name, "Digit" + base, ord(base), name)
    code, number = _PUNCTUATION.get(base, ("", 0))
    return Key(name, code, number, name)


def combination(keys: str) -> tuple[list[str], Key] | None:
    """Read ``Control+Shift+a``: the modifiers' names and the key; None if there is no such key."""
    names = keys.split("+")
    if len(names) > 1 and names[-1] == "":
        names = [*names[:-2], "+"]
    held = [_ALIASES.get(name, name) for name in names[:-1]]
    key = key_of(names[-1])
    if key is None or any(name not in MODIFIERS for name in held):
        return None
    return held, key


class Input:
    """The input half of a tab."""

    channel: "Channel"
    pointer: tuple[float, float] = (0.0, 0.0)
    """Where the pointer was last."""

    async def _await(self, future: "asyncio.Future[dict[str, Any]]") -> dict[str, Any]:
        raise NotImplementedError

    async def _all(self, sent: Sequence["asyncio.Future[dict[str, Any]]"]) -> None:
        """Wait for events to be handled; one that closes the tab ends them."""
        with contextlib.suppress(PageGone):
            for future in sent:
                await self._await(future)

    async def mouse_move(self, x: float, y: float) -> None:
        """Move the pointer, in CSS pixels of the viewport."""
        await self.heed()
        await self._move(x, y)

    async def isolated(self, function: str, *args: JsonValue) -> Any:
        """Call a function in the world of our own."""
        raise NotImplementedError

    async def heed(self) -> None:
        """Make sure that the page hears what comes next."""
        raise NotImplementedError

    async def mouse_click(
        self, x: float, y: float, button: str = "left", clicks: int = 1, modifiers: Sequence[str] = ()
    ) -> None:
        """Move to a point and click there."""
        await self.heed()
        mask = _mask(modifiers)
        sent = [self._mouse("mouseMoved", x, y, modifiers=mask)]
        for count in range(1, clicks + 1):
            sent += [
                self._mouse(kind, x, y, button=button, clickCount=count, modifiers=mask, buttons=held)
                for kind, held in (("mousePressed", BUTTONS[button]), ("mouseReleased", 0))
            ]
        await self._all(sent)

    async def mouse_down(self, x: float, y: float, button: str = "left") -> None:
        """Press a button and hold it."""
        await self.heed()
        moved = self._mouse("mouseMoved", x, y)
        await self._await(self._mouse("mousePressed", x, y, button=button, clickCount=1, buttons=BUTTONS[button]))
        await self._await(moved)

    async def mouse_up(self, x: float, y: float, button: str = "left") -> None:
        """Let a button go."""
        await self._await(self._mouse("mouseReleased", x, y, button=button, clickCount=1))

    async def mouse_drag(self, x: float, y: float, to_x: float, to_y: float, steps: int = 5) -> None:
        """Press at one point, move to another and let go there."""
        await self.mouse_down(x, y)
        for step in range(1, steps + 1):
            part = step / steps
            await self._move(x + (to_x - x) * part, y + (to_y - y) * part, button="left", buttons=1)
        await self.mouse_up(to_x, to_y)

    async def wheel(self, x: float, y: float, dx: float, dy: float) -> None:
        """Turn the wheel over a point, by CSS pixels; without inertia, which would take frames."""
        await self.isolated(WHEEL, x, y, dx, dy)

    async def press(self, keys: str) -> bool:
        """Press and release a key or combination (``Enter``, ``Control+a``); False if there is no such key."""
        read = combination(keys)
        if read is None:
            return False
        held, key = read
        await self.heed()
        sent, mask = [], 0
        for name in held:
            mask |= MODIFIERS[name]
            sent.append(self._key("rawKeyDown", key_of(name), mask))
        typed = key.text if not mask & ~MODIFIERS["Shift"] else ""
        if key.key in MODIFIERS:
            mask |= MODIFIERS[key.key]
        sent.append(self._key("keyDown" if typed else "rawKeyDown", key, mask, typed))
        mask &= ~MODIFIERS.get(key.key, 0)
        sent.append(self._key("keyUp", key, mask))
        for name in reversed(held):
            mask &= ~MODIFIERS[name]
            sent.append(self._key("keyUp", key_of(name), mask))
        await self._all(sent)
        return True

    async def key_down(self, name: str) -> bool:
        """Press a key and hold it; False if there is no such key."""
        key = key_of(name)
        if key is not None:
            await self.heed()
            kind = "keyDown" if key.text else "rawKeyDown"
            await self._await(self._key(kind, key, MODIFIERS.get(key.key, 0), key.text))
        return key is not None

    async def key_up(self, name: str) -> bool:
        """Let a key go; False if there is no such key."""
        key = key_of(name)
        if key is not None:
            await self._await(self._key("keyUp", key, 0))
        return key is not None

    async def insert_text(self, text: str) -> None:
        """Type a text into the focused element, as an input method would."""
        await self.heed()
        await self._await(self.channel.send("Input.insertText", text=text))

    async def _move(self, x: float, y: float, **more: Any) -> None:
        """Move the pointer and have the page told at once.

        Moves wait for the next frame, and a frame that is asked for meanwhile may never end; any other event takes
        them along, so a key that does not exist is let go.
        """
        moved = self._mouse("mouseMoved", x, y, **more)
        await self._all([self._key("keyUp", Key("Unidentified", "", 0), 0), moved])

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> "asyncio.Future[dict[str, Any]]":
        self.pointer = (x, y)
        return self.channel.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def _key(self, kind: str, key: Key | None, mask: int, text: str = "") -> "asyncio.Future[dict[str, Any]]":
        assert key is not None
        told = {"text": text, "unmodifiedText": text} if text else {}
        return self.channel.send(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key.key,
            code=key.code,
            windowsVirtualKeyCode=key.number,
            nativeVirtualKeyCode=key.number,
            modifiers=mask,
            **told,
        )


def _mask(modifiers: Sequence[str]) -> int:
    mask = 0
    for name in modifiers:
        mask |= MODIFIERS[_ALIASES.get(name, name)]
    return mask
