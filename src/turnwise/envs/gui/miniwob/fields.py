"""What an instruction says, as fields, and the sub-instructions that they make.

The fields come from the page where it tells them, else from the parsers of the ``miniwob`` distribution. The
decomposition follows the curriculum of QWeb (Gur et al. 2019, "Learning to Navigate the Web", section 4.2), which cuts
an instruction into one sub-instruction per field and lets an agent begin where some are done. Our reading: the paper's
code is not public.
"""

import re
from collections.abc import Mapping
from typing import Any

from turnwise.envs.gui.miniwob import wheel


def read(page: str, said: Any) -> tuple[str, dict[str, str]]:
    """Return an instruction and its fields.

    Args:
        page: The page.
        said: What the page's ``core.getUtterance()`` returned: a text, or ``{"utterance", "fields"}``.
    """
    if isinstance(said, Mapping):
        return str(said["utterance"]), {str(key): str(value) for key, value in said["fields"].items() if value}
    return str(said), parse(page, str(said))


def parse(page: str, utterance: str) -> dict[str, str]:
    """Return the fields of an instruction; none where the page has no template for it."""
    extract = wheel.extractor(page)
    if extract is None:
        return {}
    try:
        return dict(extract(utterance))
    except ValueError:
        return {}


def steps(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return one sub-instruction per field, in the instruction's order: ``username: "myron"``."""
    return tuple(f'{_words(name)}: "{value}"' for name, value in fields.items() if value)


def _words(name: str) -> str:
    """``target 0`` is ``target 1`` for people."""
    return re.sub(r"\d+$", lambda number: str(int(number[0]) + 1), name) if name.startswith("target ") else name
