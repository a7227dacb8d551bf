"""Environments by name: an entry point of the group ``turnwise.envs``, or ``module:Class``."""

import importlib
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from turnwise.envs.base import Env
from turnwise.errors import ConfigError, UnknownNameError

GROUP = "turnwise.envs"


def names() -> list[str]:
    """Return the registered environments' names, sorted; nothing is imported."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def env_class(name: str) -> type[Env]:
    """Return an environment's class.

    Args:
        name: A registered name or ``module:Class``.

    Raises:
        UnknownNameError: Nothing is registered by that name, or the class cannot be imported.
        ConfigError: What the name leads to is no environment.
    """
    target = name if ":" in name else _registered(name)
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnknownNameError(f"environment {name!r}: there is no module {error.name!r}") from error
        raise
    except AttributeError as error:
        raise UnknownNameError(f"environment {name!r}: module {module!r} has no {attribute!r}") from error
    if not (isinstance(found, type) and issubclass(found, Env)):
        raise ConfigError(f"{name!r} is no environment: {found!r} does not inherit turnwise.envs.Env")
    return found


def make(name: str, **config: Any) -> Env:
    """Make an environment.

    Args:
        name: A registered name or ``module:Class``.
        **config: Fields of the environment's ``Config``.

    Raises:
        UnknownNameError: There is no such environment.
        ConfigError: A setting is unknown or of the wrong type.
    """
    cls = env_class(name)
    try:
        return cls(cls.Config(**config))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(cls.Config.model_fields)
        raise ConfigError(f"environment {name!r}: setting {field!r}: {first['msg']}; settings: {known}") from error


def _registered(name: str) -> str:
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in found:
        raise UnknownNameError.of("environment", name, found, hint="Is the package that brings it installed?")
    return found[name]
