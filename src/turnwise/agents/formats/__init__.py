"""How an agent's message says which tool it calls, and how observations are shown to it."""

from turnwise.agents.formats.base import ActionFormat, Parsed, Unparsable
from turnwise.agents.formats.native import Native
from turnwise.agents.formats.written import Brackets, Json, Tags
from turnwise.errors import UnknownNameError

FORMATS: dict[str, type[ActionFormat]] = {kind.name: kind for kind in (Native, Tags, Brackets, Json)}
"""The formats that ship, by name."""


def make_format(name: str) -> ActionFormat:
    """Make a format by name.

    Raises:
        UnknownNameError: There is no such format.
    """
    if name not in FORMATS:
        raise UnknownNameError.of("action format", name, FORMATS)
    return FORMATS[name]()


__all__ = ["FORMATS", "ActionFormat", "Brackets", "Json", "Native", "Parsed", "Tags", "Unparsable", "make_format"]
