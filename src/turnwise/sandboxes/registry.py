"""Finds sandbox providers by name, loading each only when it is asked for."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from turnwise.errors import ConfigError, UnknownNameError
from turnwise.sandboxes.base import SandboxProvider

GROUP = "turnwise.sandboxes"


def names() -> list[str]:
    """Return the names of the installed providers, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def _load(name: str) -> Any:
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UnknownNameError(f"there is no sandbox provider at {name!r}: {error}") from error
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.load()
    hint = "A class can also be given as 'module:Class'."
    raise UnknownNameError.of("sandbox provider", name, names(), hint=hint)


def provider(name: str, **options: Any) -> SandboxProvider:
    """Return a new provider of sandboxes.

    Args:
        name: ``local``, ``docker``, ``unsafe_local``, another installed name, or ``module:Class``.
        options: Passed to the provider.

    Raises:
        UnknownNameError: There is no provider of that name.
        ConfigError: It does not take these options.
        SandboxUnavailableError: The backend is missing on this machine.
    """
    kind = _load(name)
    try:
        return cast(SandboxProvider, kind(**options))
    except TypeError as error:
        raise ConfigError(f"the sandbox provider {name!r} was given wrong options: {error}") from error
