"""Environments by name: an entry point of the group ``turnwise.envs``, or ``module:Class``."""

from typing import Any

from pydantic import ValidationError

from turnwise.envs.base import Env
from turnwise.errors import ConfigError
from turnwise.tasks import plugins

GROUP = "turnwise.envs"


def names() -> list[str]:
    """Return the registered environments' names, sorted; nothing is imported."""
    return list(plugins.registered(GROUP))


def env_class(name: str) -> type[Env]:
    """Return an environment's class.

    Args:
        name: A registered name or ``module:Class``.

    Raises:
        UnknownNameError: Nothing is registered by that name, or the class cannot be imported.
        ConfigError: What the name leads to is no environment.
    """
    found = plugins.find(GROUP, name, kind="environment")
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
    return build(env_class(name), config, name)


def build(cls: type[Env], config: dict[str, Any], name: str | None = None) -> Env:
    """Make an environment of a class.

    Args:
        cls: The class.
        config: Fields of its ``Config``.
        name: What it was asked for by, for the error.

    Raises:
        ConfigError: A setting is unknown or of the wrong type.
    """
    try:
        return cls(cls.Config(**config))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(cls.Config.model_fields)
        raise ConfigError(
            f"environment {name or cls.name!r}: setting {field!r}: {first['msg']}; settings: {known}"
        ) from error
