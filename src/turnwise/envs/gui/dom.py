"""A page's documents as the browser holds them: what is in what, what a field holds, where a thing lies, and a digest.

Read from one ``DOMSnapshot.captureSnapshot`` of the DevTools protocol, whose tables of numbers it resolves.
"""

import html
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from turnwise.envs.gui.marks import Box

if TYPE_CHECKING:
    from turnwise.envs.gui.observe import Numbers

_ELEMENT, _TEXT = 1, 3
_KEPT = frozenset(
    {
        "type", "placeholder", "title", "alt", "role", "for", "href", "name", "id", "class", "value", "min",
        "max", "step", "pattern", "colspan", "rowspan", "label", "open", "contenteditable", "draggable",
        "required", "readonly", "disabled", "multiple", "target", "download",
    }
)  # fmt: skip
_DROPPED = frozenset({"HEAD", "SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "LINK", "META", "PATH", "DEFS"})
_EMPTY = frozenset({"INPUT", "BR", "HR", "IMG", "AREA", "COL", "EMBED", "SOURCE", "TRACK", "WBR"})
_LONGEST = 120
"""Characters of one attribute that are shown."""


class Dom:
    """All documents of a page, its frames included, as one list of nodes."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._strings: list[str] = raw["strings"]
        self._documents: list[Any] = raw["documents"]
        self._starts: list[int] = []
        total = 0
        for document in self._documents:
            self._starts.append(total)
            total += len(document["nodes"]["backendNodeId"])
        self.backend = [node for document in self._documents for node in document["nodes"]["backendNodeId"]]
        self._place = {node: index for index, node in enumerate(self.backend)}
        self.digest = self._digest()
        """sha256 of everything in the documents and of what their fields hold; no layout, no scroll position."""

    @cached_property
    def parents(self) -> list[int]:
        """For each node its parent's index, -1 for the page's root; a frame's document is in its frame element."""
        parents = [
            start + parent if parent >= 0 else -1
            for start, document in zip(self._starts, self._documents, strict=True)
            for parent in document["nodes"]["parentIndex"]
        ]
        for start, document in zip(self._starts, self._documents, strict=True):
            frames = document["nodes"].get("contentDocumentIndex", {"index": [], "value": []})
            for index, inner in zip(frames["index"], frames["value"], strict=True):
                parents[self._starts[inner]] = start + index
        return parents

    @cached_property
    def clickable(self) -> frozenset[int]:
        """``backendNodeId`` of every element that listens to the mouse itself; labels pass a click on, so not they."""
        return frozenset(self.backend[index] for index in self._marked("isClickable") if self._name(index) != "LABEL")

    def _digest(self) -> str:
        hashed = sha256()
        strings = self._strings
        for document in self._documents:
            nodes = document["nodes"]
            for parent, kind, name, value, attributes in zip(
                nodes["parentIndex"],
                nodes["nodeType"],
                nodes["nodeName"],
                nodes["nodeValue"],
                nodes["attributes"],
                strict=True,
            ):
                words = [strings[word] if word >= 0 else "" for word in (name, value, *attributes)]
                hashed.update(repr((parent, kind, words)).encode("utf-8", "surrogatepass"))
            for field in ("textValue", "inputValue"):
                held = nodes.get(field, {"index": [], "value": []})
                texts = [strings[word] if word >= 0 else "" for word in held["value"]]
                hashed.update(repr((field, held["index"], texts)).encode("utf-8", "surrogatepass"))
            for field in ("inputChecked", "optionSelected"):
                hashed.update(repr((field, nodes.get(field, {"index": []})["index"])).encode())
        return hashed.hexdigest()

    @property
    def root(self) -> int:
        """``backendNodeId`` of the page's document: another one for every document that is loaded."""
        return self.backend[0] if self.backend else 0

    def place(self, node: int | None) -> int:
        """Return where a node stands among all nodes, -1 where it is none of them."""
        return -1 if node is None else self._place.get(node, -1)

    def around(self, node: int) -> Iterator[int]:
        """Yield the elements around a node, the nearest first."""
        place = self._place.get(node, -1)
        while place >= 0 and (place := self.parents[place]) >= 0:
            yield self.backend[place]

    def inside(self, node: int) -> Iterator[int]:
        """Yield the nodes in a node, in document order."""
        start = self._place.get(node, -1)
        held = {start} if start >= 0 else set()
        for place in range(start + 1, len(self.backend)) if held else ():
            if self.parents[place] in held:
                held.add(place)
                yield self.backend[place]

    def box(self, node: int) -> Box | None:
        """Return where an element lies in the viewport, None where it has no box."""
        return self._boxes.get(self._place.get(node, -1))

    @cached_property
    def _boxes(self) -> dict[int, Box]:
        found: dict[int, Box] = {}
        for number, document in enumerate(self._documents):
            layout = document["layout"]
            dx, dy = self._offset(number, found)
            for index, (left, top, width, height) in zip(layout["nodeIndex"], layout["bounds"], strict=True):
                found.setdefault(self._starts[number] + index, Box(left + dx, top + dy, width, height))
        return found

    def _offset(self, number: int, found: Mapping[int, Box]) -> tuple[float, float]:
        """Return how far a document's own coordinates are from the viewport's."""
        document, outer = self._documents[number], self.parents[self._starts[number]]
        dx, dy = -document.get("scrollOffsetX", 0), -document.get("scrollOffsetY", 0)
        frame = found.get(outer) if outer >= 0 else None
        return (dx + frame.left, dy + frame.top) if frame else (dx, dy)

    def _name(self, index: int) -> str:
        number = bisect_right(self._starts, index) - 1
        names: list[int] = self._documents[number]["nodes"]["nodeName"]
        return self._strings[names[index - self._starts[number]]].upper()

    def _marked(self, field: str) -> list[int]:
        return [
            start + index
            for start, document in zip(self._starts, self._documents, strict=True)
            for index in document["nodes"].get(field, {"index": []})["index"]
        ]

    def _held(self, field: str) -> dict[int, str]:
        found = {}
        for start, document in zip(self._starts, self._documents, strict=True):
            entry = document["nodes"].get(field, {"index": [], "value": []})
            for index, word in zip(entry["index"], entry["value"], strict=True):
                found[start + index] = self._strings[word] if word >= 0 else ""
        return found

    # As HTML.

    def pruned(self, numbers: "Numbers") -> tuple[list[str], dict[str, tuple[int, str]]]:
        """Return the page as HTML, a line for each element or text, and the elements: by id the node and its tag.

        What is not rendered is left out; every element that is shown has its id, as ``bid``.
        """
        writer = _Writer(self, numbers)
        return list(writer.lines()), writer.written

    @cached_property
    def nodes(self) -> list[tuple[int, str, str, dict[str, str]]]:
        """For each node its type, name, value and attributes."""
        strings = self._strings
        made = []
        for document in self._documents:
            nodes = document["nodes"]
            for kind, name, value, words in zip(
                nodes["nodeType"], nodes["nodeName"], nodes["nodeValue"], nodes["attributes"], strict=True
            ):
                pairs = {strings[words[i]]: strings[words[i + 1]] for i in range(0, len(words), 2) if words[i + 1] >= 0}
                made.append((kind, strings[name].upper(), strings[value] if value >= 0 else "", pairs))
        return made

    @cached_property
    def children(self) -> list[list[int]]:
        """For each node the indices of its children, in order."""
        made: list[list[int]] = [[] for _ in self.backend]
        for index, parent in enumerate(self.parents):
            if parent >= 0:
                made[parent].append(index)
        return made

    @cached_property
    def rendered(self) -> frozenset[int]:
        """Indices of the nodes that have a layout and are visible."""
        seen = set()
        for start, document in zip(self._starts, self._documents, strict=True):
            layout = document["layout"]
            for index, styles in zip(layout["nodeIndex"], layout["styles"], strict=True):
                if not styles or self._strings[styles[0]] == "visible":
                    seen.add(start + index)
        return frozenset(seen)


class _Writer:
    """Writes pruned HTML."""

    def __init__(self, dom: Dom, numbers: "Numbers") -> None:
        self._dom, self._numbers = dom, numbers
        self.written: dict[str, tuple[int, str]] = {}
        self._values = dom._held("inputValue") | dom._held("textValue")
        self._checked, self._chosen = set(dom._marked("inputChecked")), set(dom._marked("optionSelected"))

    def lines(self) -> Iterator[str]:
        stack: list[tuple[int, int, str]] = [(0, 0, "")] if self._dom.backend else []
        while stack:
            place, depth, closing = stack.pop()
            if closing:
                yield "  " * depth + closing
                continue
            kind, name, value, attributes = self._dom.nodes[place]
            children = self._dom.children[place]
            if kind == _TEXT:
                if (plain := " ".join(value.split())) and place in self._dom.rendered:
                    yield "  " * depth + html.escape(plain, quote=False)
                continue
            if kind == _ELEMENT:
                if not self._seen(place, name):
                    continue
                tag = self._tag(place, name, attributes)
                if name in _EMPTY or not children:
                    yield "  " * depth + tag + ("" if name in _EMPTY else f"</{name.lower()}>")
                    continue
                yield "  " * depth + tag
                stack.append((place, depth, f"</{name.lower()}>"))
                depth += 1
            stack += [(child, depth, "") for child in reversed(children)]

    def _seen(self, place: int, name: str) -> bool:
        if name in _DROPPED:
            return False
        # Options of a closed list and areas of a picture are not laid out, and elements may be only their children.
        return name in ("OPTION", "OPTGROUP", "AREA", "MAP") or place in self._dom.rendered or self._has_rendered(place)

    def _has_rendered(self, place: int) -> bool:
        return any(child in self._dom.rendered for child in self._dom.children[place])

    def _tag(self, place: int, name: str, attributes: Mapping[str, str]) -> str:
        node = self._dom.backend[place]
        words = {"bid": self._numbers.of(node)}
        self.written[words["bid"]] = (node, name.lower())
        words |= {key: text for key, text in attributes.items() if key in _KEPT or key.startswith("aria-")}
        if place in self._values:
            words["value"] = self._values[place]
        words |= {"checked": ""} if place in self._checked else {}
        words |= {"selected": ""} if place in self._chosen else {}
        return f"<{' '.join([name.lower(), *(_attribute(key, text) for key, text in words.items())])}>"


def _attribute(name: str, text: str) -> str:
    if not text:
        return name
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f'{name}="{html.escape(short)}"'
