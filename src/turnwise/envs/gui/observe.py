"""A page as text: its accessibility tree flattened, or its HTML without what cannot be seen.

The tree's form is BrowserGym's, ``[id] role 'name', value='…'``. Ids count elements in order of appearance and stay
with an element as long as its document lives. Nothing here depends on fonts or layout, so that the same page gives the
same text on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST = 300
"""Characters of one name or value that are shown."""
PASSED_OVER = frozenset(
    {
        "generic", "none", "presentation", "paragraph", "form", "strong", "emphasis", "LabelText", "Legend",
        "Section", "MenuListPopup", "Ruby",
    }
)  # fmt: skip
"""Roles that are shown only where they can be acted on or are called something; what is in them stands there."""
TRANSPARENT = frozenset({"LabelText", "Legend", "MenuListPopup", "paragraph", "strong", "emphasis"})
"""Roles that are never shown: their text stands for them."""
NAMED_BY_TEXT = frozenset(
    {
        "button", "link", "heading", "option", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "checkbox",
        "radio", "switch", "cell", "gridcell", "columnheader", "rowheader", "treeitem", "tooltip", "textbox",
        "searchbox", "combobox", "spinbutton", "DisclosureTriangle",
    }
)  # fmt: skip
"""Roles whose name or value is the text in them, which is not said again."""
DROPPED = frozenset({"InlineTextBox", "LineBreak", "ListMarker"})
WHOLE = frozenset({"Date", "DateTime", "InputTime", "ColorWell"})
"""Fields whose parts are the browser's own, another in each version, and are not shown."""
ACTIONABLE = frozenset(
    {
        "button", "checkbox", "combobox", "gridcell", "link", "listbox", "menuitem", "menuitemcheckbox",
        "menuitemradio", "option", "radio", "searchbox", "slider", "spinbutton", "switch", "tab", "textbox",
        "treeitem", "Date", "DateTime", "InputTime", "ColorWell", "DisclosureTriangle", "Canvas",
    }
)  # fmt: skip
"""Roles that people act on: what a random agent tries, and what is marked on screenshots."""
FLAGS = ("disabled", "focused", "required", "readonly", "modal")
STATES = ("checked", "pressed", "selected", "expanded", "invalid", "hasPopup")
_QUIET = {"invalid": ("false",), "hasPopup": ("false",), "selected": ("false",)}


@dataclass(slots=True)
class Shown:
    """One element as it is shown."""

    id: str
    node: int
    role: str
    name: str
    value: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How errors and answers call it."""
        name = f" {quoted(self.name[:60])}" if self.name else ""
        return f"[{self.id}] {self.role}{name}"


class Numbers:
    """Gives elements their ids."""

    def __init__(self) -> None:
        self._document: object = None
        self._ids: dict[int, str] = {}

    def open(self, document: object) -> bool:
        """Begin at 1 again where the document is another; tell whether it is."""
        if document == self._document:
            return False
        self._document, self._ids = document, {}
        return True

    def of(self, node: int) -> str:
        """Return an element's id, a new one where it is seen first."""
        return self._ids.setdefault(node, str(len(self._ids) + 1))


class Tree:
    """One accessibility tree, flattened.

    Args:
        nodes: DevTools' ``AXNode`` objects, over all frames.
        clickable: ``backendNodeId`` of the elements that listen to the mouse.
        numbers: Where ids come from.
    """

    def __init__(self, nodes: list[dict[str, Any]], clickable: frozenset[int], numbers: Numbers) -> None:
        self.lines: list[str] = []
        self.shown: dict[str, Shown] = {}
        """Every element with an id, in order."""
        self._numbers = numbers
        self._clickable = clickable
        self._said: list[str] = []
        self._saying: tuple[int, int] = (0, 0)
        self._nodes = {node["nodeId"]: node for node in nodes}
        roots = [node for node in nodes if node.get("parentId") not in self._nodes]
        self._walk(roots)
        self._speak()

    def _walk(self, roots: list[dict[str, Any]]) -> None:
        # A loop with a stack of its own: pages may nest deeper than Python's.
        stack = [(root, 0, "", 0) for root in reversed(roots)]
        while stack:
            node, depth, above, element = stack.pop()
            inside, said, own = self._line(node, depth, above, element)
            if _text(node.get("role")) in WHOLE:
                continue
            children = [self._nodes[child] for child in node.get("childIds", ()) if child in self._nodes]
            stack.extend((child, inside, said, own) for child in reversed(children))

    def _line(self, node: dict[str, Any], depth: int, above: str, element: int) -> tuple[int, str, int]:
        """Write a node's line if it has one; return what its children need: depth, the name above, the element.

        ``element`` is 0 where the line above stands for the element itself.
        """
        role, name, backend = _text(node.get("role")), _text(node.get("name")), node.get("backendDOMNodeId", 0)
        if role in DROPPED:
            return depth, above, element
        if role == "StaticText":
            if " ".join(name.split()) not in above:
                self._static(name, depth, element)
            return depth, above, element
        if node.get("ignored") or self._passed_over(node, role, name, backend):
            return depth, above, backend or element
        clickable = role in PASSED_OVER and backend in self._clickable
        only = "" if name else self._only_text(node)
        role = "StaticText" if only and clickable else role
        self._speak()
        shown = Shown(
            self._numbers.of(backend), backend, role, name or only, _text(node.get("value")), _properties(node)
        )
        self.shown[shown.id] = shown
        self.lines.append("  " * depth + _described(shown, clickable=clickable))
        said = f"{shown.name}\n{shown.value}" if only or role in NAMED_BY_TEXT else ""
        return depth + 1, " ".join(said.split()), 0

    def _only_text(self, node: dict[str, Any]) -> str:
        """Return the text in a node that holds nothing but text."""
        children = [self._nodes[child] for child in node.get("childIds", ()) if child in self._nodes]
        if any(_text(child.get("role")) not in ("StaticText", *DROPPED) for child in children):
            return ""
        return " ".join(_text(child.get("name")) for child in children if _text(child.get("role")) == "StaticText")

    def _passed_over(self, node: dict[str, Any], role: str, name: str, backend: int) -> bool:
        if not backend:
            return True
        if role not in PASSED_OVER:
            return False
        return role in TRANSPARENT or not (name or backend in self._clickable or _properties(node).get("focused"))

    def _static(self, text: str, depth: int, element: int) -> None:
        """Take a text up; what follows in the same element continues its line."""
        if self._said and self._saying != (depth, element):
            self._speak()
        self._saying = (depth, element)
        self._said.append(text)

    def _speak(self) -> None:
        """Show the text taken up; it carries its element's id where no line stands for that."""
        text, self._said = " ".join("".join(self._said).split()), []
        depth, element = self._saying
        if not text:
            return
        name = self._numbers.of(element) if element else ""
        if not name or name in self.shown:
            self.lines.append("  " * depth + f"StaticText {quoted(text)}")
            return
        self.shown[name] = Shown(name, element, "StaticText", text)
        self.lines.append("  " * depth + f"[{name}] StaticText {quoted(text)}")


def actionable(shown: Shown, clickable: frozenset[int]) -> bool:
    """Whether people would act on an element."""
    if shown.properties.get("disabled"):
        return False
    return shown.role in ACTIONABLE or shown.node in clickable


def quoted(text: str) -> str:
    """Return a text in quotes, on one line and not too long."""
    text = " ".join(text.split())
    return repr(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def pages(lines: list[str], size: int) -> list[str]:
    """Cut lines into pages of at most ``size`` characters; a longer line is cut off."""
    made: list[str] = []
    page: list[str] = []
    room = size
    for line in (line[:size] for line in lines):
        if page and len(line) + 1 > room:
            made.append("\n".join(page))
            page, room = [], size
        page.append(line)
        room -= len(line) + 1
    return [*made, "\n".join(page)]


def _described(shown: Shown, *, clickable: bool) -> str:
    words = [f"[{shown.id}] {shown.role}" + (f" {quoted(shown.name)}" if shown.name else "")]
    if shown.value and shown.value != shown.name:
        words.append(f"value={quoted(shown.value)}")
    words += [
        f"{name}={value}"
        for name in STATES
        if (value := _plain(shown.properties.get(name))) and value not in _QUIET.get(name, ())
    ]
    low, high = (shown.properties.get(name) for name in ("valuemin", "valuemax"))
    words += [f"from {low:g} to {high:g}"] if isinstance(low, int | float) and high and high > low else []
    words += [name for name in FLAGS if shown.properties.get(name) not in (None, False, "false")]
    if clickable:
        words.append("clickable")
    return ", ".join(words)


def _properties(node: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry["value"].get("value") for entry in node.get("properties", ())}


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value.get("value", ""))
