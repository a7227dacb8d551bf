"""Parts found by name: an entry point of a group, loaded only when asked for, or ``module:attribute``."""

import importlib
from importlib.metadata import entry_points
from typing import Any

from turnwise.errors import UnknownNameError


def registered(group: str) -> dict[str, str]:
    """Return the names registered in an entry-point group with their ``module:attribute``; nothing is imported."""
    return {point.name: point.value for point in sorted(entry_points(group=group), key=lambda p: (p.name, p.value))}


def load(target: str, *, kind: str) -> Any:
    """Import ``module:attribute``.

    Args:
        target: Where the part lives.
        kind: What it is, as a noun, for the error.

    Raises:
        UnknownNameError: There is no such module or attribute.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnknownNameError(f"{kind} {target!r}: there is no module {error.name!r}") from error
        raise
    except AttributeError as error:
        raise UnknownNameError(f"{kind} {target!r}: module {module!r} has no {attribute!r}") from error


def find(group: str, name: str, *, kind: str) -> Any:
    """Load a part by its registered name, or by ``module:attribute``.

    Raises:
        UnknownNameError: Nothing is registered by that name; the nearest name is suggested.
    """
    if ":" in name:
        return load(name, kind=kind)
    known = registered(group)
    if name not in known:
        raise UnknownNameError.of(kind, name, known, hint="Is the package that brings it installed?")
    return load(known[name], kind=kind)
