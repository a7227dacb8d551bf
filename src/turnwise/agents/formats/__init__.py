"""How an agent's message says which tool it calls, and how observations are shown to it."""

from turnwise.agents.formats.base import ActionFormat, Parsed, Unparsable
from turnwise.agents.formats.native import Native
from turnwise.agents.formats.text import Text
from turnwise.agents.formats.written import Brackets, Json, Tags
from turnwise.errors import UnknownNameError

FORMATS: dict[str, type[ActionFormat]] = {kind.name: kind for kind in (Native, Tags, Brackets, Json)}
"""The formats in which an agent calls tools, by name."""


def make_format(name: str) -> ActionFormat:
    """Make a format by name: one of ``FORMATS``, or ``text``.

    Raises:
        UnknownNameError: There is no such format.
    """
    known = FORMATS | {Text.name: Text}
    if name not in known:
        raise UnknownNameError.of("action format", name, known)
    return known[name]()


__all__ = [
    "FORMATS",
    "ActionFormat",
    "Brackets",
    "Json",
    "Native",
    "Parsed",
    "Tags",
    "Text",
    "Unparsable",
    "make_format",
]
