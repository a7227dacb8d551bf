"""The scripted solutions: JavaScript that looks at the page and says the next step, for the harness only.

A script sees the instruction's fields and the page as it stands. It may look where an agent cannot (the page's own
variables), and it answers with steps that an agent can take: an element, or a place for what only a pointer reaches.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from turnwise.envs.gui.miniwob.pages import DATA
from turnwise.envs.gui.sites import GoldStep
from turnwise.errors import EnvError

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Tab


@cache
def script() -> str:
    """Return all scripts as one function of page, fields and the part of the step that is wanted."""
    folder = DATA / "gold"
    others = sorted(path for path in folder.glob("*.js") if path.name != "helpers.js")
    body = "\n".join(path.read_text(encoding="utf-8") for path in (folder / "helpers.js", *others))
    return (
        f"(page, fields, part) => {{\nconst gold = {{}};\n{body}\n"
        "const found = gold[page] ? gold[page](fields) : null;\n"
        "if (!found) return null;\n"
        "const {tool, element, to, args} = found;\n"
        "return part ? {element, to}[part] : {tool, args, element: Boolean(element), to: Boolean(to)};\n}"
    )


async def next_step(tab: "Tab", page: str, fields: Mapping[str, str]) -> GoldStep:
    """Return the next step of a page's solution.

    Raises:
        EnvError: The page has no script, or its script finds no way on.
    """
    told: dict[str, JsonValue] = {**fields}
    said: dict[str, Any] | None = await tab.main(script(), page, told, None)
    if said is None:
        raise EnvError(f"page {page!r}: no scripted solution leads on from here")
    node = await tab.main_node(script(), page, told, "element") if said["element"] else None
    to = await tab.main_node(script(), page, told, "to") if said["to"] else None
    return GoldStep(tool=said["tool"], node=node, to=to, args=said["args"])
