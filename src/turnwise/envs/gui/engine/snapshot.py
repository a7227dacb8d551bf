"""What is on a page, taken in one pass: the accessibility tree and the DOM over all frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnwise.envs.gui.engine.tab import Tab


@dataclass(frozen=True, kw_only=True)
class PageSnapshot:
    """One moment of a page."""

    url: str
    title: str
    ax: list[dict[str, Any]]
    """DevTools' ``AXNode``s of all frames as one tree: the root first, a frame's root a child of its ``Iframe`` node;
    ``nodeId``, ``parentId`` and ``childIds`` are unique over frames."""
    dom: Any
    """DevTools' ``DOMSnapshot.captureSnapshot``, or what it was read as."""
    focused: int | None
    """``backendNodeId`` of the focused element."""
    scroll: tuple[float, float]
    """How far the page is scrolled, in CSS pixels."""
    frames: dict[int, str]
    """For elements in frames: ``backendNodeId`` to the frame."""


STYLES = ("visibility", "opacity", "pointer-events", "cursor")
"""Computed styles in ``dom``, in this order."""


async def take(tab: "Tab", read: Callable[[dict[str, Any]], Any]) -> PageSnapshot:
    """Take a snapshot of a tab.

    Args:
        tab: The tab.
        read: Called with ``DOMSnapshot.captureSnapshot``'s answer (``documents`` and ``strings``; document 0 is the
            page's) while the browser still writes the accessibility tree.
    """
    send = tab.channel.send
    asked = send(
        "DOMSnapshot.captureSnapshot", computedStyles=list(STYLES), includePaintOrder=False, includeDOMRects=False
    )
    tree = send("Accessibility.getFullAXTree")
    dom = await tab._await(asked)
    strings, documents = dom["strings"], dom["documents"]
    page = read(dom)
    ax: list[dict[str, Any]] = (await tab._await(tree))["nodes"]
    inner = [(document, strings[document["frameId"]]) for document in documents[1:]]
    trees = [send("Accessibility.getFullAXTree", frameId=frame) for _, frame in inner]
    for (document, frame), more in zip(inner, trees, strict=True):
        _graft(ax, (await tab._await(more))["nodes"], frame, _owner(documents, document))
    frames = {int(node): frame for document, frame in inner for node in document["nodes"]["backendNodeId"]}
    first = documents[0]
    return PageSnapshot(
        url=_text(strings, first["documentURL"]),
        title=_text(strings, first["title"]),
        ax=ax,
        dom=page,
        focused=_focused(ax),
        scroll=(first.get("scrollOffsetX", 0.0), first.get("scrollOffsetY", 0.0)),
        frames=frames,
    )


def _text(strings: list[str], index: int) -> str:
    return strings[index] if index >= 0 else ""


def _owner(documents: list[dict[str, Any]], inner: dict[str, Any]) -> int | None:
    """Return the ``backendNodeId`` of the element that shows a document."""
    number = documents.index(inner)
    for document in documents:
        shows = document["nodes"]["contentDocumentIndex"]
        for node, index in zip(shows["index"], shows["value"], strict=True):
            if index == number:
                return int(document["nodes"]["backendNodeId"][node])
    return None


def _graft(ax: list[dict[str, Any]], nodes: list[dict[str, Any]], frame: str, owner: int | None) -> None:
    """Hang a frame's tree below the node of the element that shows it."""
    for node in nodes:
        node["nodeId"] = f"{frame}.{node['nodeId']}"
        node["childIds"] = [f"{frame}.{child}" for child in node.get("childIds", ())]
        if "parentId" in node:
            node["parentId"] = f"{frame}.{node['parentId']}"
    host = next((node for node in ax if node.get("backendDOMNodeId") == owner), None)
    if host is not None and nodes:
        host["childIds"] = [*host.get("childIds", ()), nodes[0]["nodeId"]]
        nodes[0]["parentId"] = host["nodeId"]
    ax.extend(nodes)


def _focused(ax: list[dict[str, Any]]) -> int | None:
    found = None
    for node in ax:
        for entry in node.get("properties", ()):
            if entry["name"] == "focused" and entry["value"].get("value"):
                found = node.get("backendDOMNodeId", found)
    return found
