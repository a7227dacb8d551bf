"""The scripted solutions: JavaScript that looks at the page and says the next step, for the harness only.

A script sees the instruction's fields and the page as it stands. It may look where an agent cannot (the page's own
variables), and it answers with steps that an agent can take: an element, or a place for what only a pointer reaches.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from pydantic import JsonValue

from turnwise.envs.gui.miniwob.pages import DATA
from turnwise.envs.gui.sites import GoldStep
from turnwise.errors import EnvError

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Tab

_FOLDER = DATA / "gold"
_PAGE = re.compile(r'^gold\["([^"]+)"\] = ', re.MULTILINE)


@cache
def script(page: str) -> str:
    """Return a page's solution as a function of the instruction's fields; it returns the next step, or null.

    Raises:
        EnvError: The page has no script.
    """
    if page not in _files():
        raise EnvError(f"page {page!r} has no scripted solution")
    helpers = (_FOLDER / "helpers.js").read_text(encoding="utf-8")
    return f"fields => {{\nconst gold = {{}};\n{helpers}\n{_files()[page]}\nreturn gold[{page!r}](fields);\n}}"


@cache
def _files() -> dict[str, str]:
    """Return, for each page with a solution, the text of the file that holds it."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("*.js"))]
    return {page: text for text in texts for page in _PAGE.findall(text)}


async def next_step(tab: "Tab", page: str, fields: Mapping[str, str]) -> GoldStep:
    """Return the next step of a page's solution.

    Raises:
        EnvError: The page has no script, or its script finds no way on.
    """
    told: dict[str, JsonValue] = {**fields}
    said, nodes = await tab.main_nodes(script(page), told, nodes=("element", "to"))
    if not said:
        raise EnvError(f"page {page!r}: no scripted solution leads on from here")
    return GoldStep(tool=said["tool"], node=nodes.get("element"), to=nodes.get("to"), args=said["args"])
