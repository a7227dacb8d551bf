"""Names of keys, as browsers and Playwright have them."""

import difflib

from turnwise.envs.tools import InvalidCall

MODIFIERS = ("Alt", "Control", "ControlOrMeta", "Meta", "Shift")
NAMED = (
    *("ArrowDown", "ArrowLeft", "ArrowRight", "ArrowUp", "Backspace", "Delete", "End", "Enter", "Escape", "Home"),
    *("Insert", "PageDown", "PageUp", "Space", "Tab"),
    *(f"F{number}" for number in range(1, 13)),
)
_OTHER = {name.lower(): name for name in (*NAMED, *MODIFIERS)}
_OTHER |= {"ctrl": "Control", "cmd": "Meta", "command": "Meta", "option": "Alt", "esc": "Escape", "return": "Enter"}
_OTHER |= {"del": "Delete", "up": "ArrowUp", "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight"}
_OTHER |= {"pgup": "PageUp", "pgdn": "PageDown", "spacebar": "Space", "ins": "Insert"}


def checked(keys: str) -> str:
    """Return a combination such as ``Control+a`` with its keys by their proper names.

    Raises:
        InvalidCall: A key is unknown, or what stands before the last one is no modifier.
    """
    *held, last = _split(keys)
    modifiers = [_OTHER.get(name.lower(), name) for name in held]
    if wrong := [name for name in modifiers if name not in MODIFIERS]:
        raise InvalidCall(f"{wrong[0]!r} cannot be held down in {keys[:40]!r}; it can be: {', '.join(MODIFIERS)}.")
    return "+".join([*modifiers, key(last)])


def key(name: str) -> str:
    """Return one key by its proper name.

    Raises:
        InvalidCall: There is no such key.
    """
    if len(name) == 1 and name.isprintable():
        return "Space" if name == " " else name
    found = _OTHER.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name, NAMED, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise InvalidCall(f"There is no key {name[:40]!r}.{meant} Write one character, or: {', '.join(NAMED)}.")
    return found


def _split(keys: str) -> list[str]:
    """Split at ``+``; one that stands last is the plus key itself."""
    if keys == "+" or not keys:
        return [keys]
    if keys.endswith("++"):
        return [*keys[:-2].split("+"), "+"]
    return keys.split("+")
