"""Agents by name: an entry point of the group ``turnwise.agents``, or ``module:Class``."""

import importlib
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from turnwise.agents.base import AgentFactory
from turnwise.errors import ConfigError, UnknownNameError

GROUP = "turnwise.agents"


def agent_names() -> list[str]:
    """Return the registered agents' names, sorted; nothing is imported."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def agent_class(name: str) -> type[AgentFactory]:
    """Return an agent's factory class.

    Args:
        name: A registered name or ``module:Class``.

    Raises:
        UnknownNameError: Nothing is registered by that name, or the class cannot be imported.
        ConfigError: What the name leads to is no agent factory.
    """
    module, _, attribute = (name if ":" in name else _registered(name)).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnknownNameError(f"agent {name!r}: there is no module {error.name!r}") from error
        raise
    except AttributeError as error:
        raise UnknownNameError(f"agent {name!r}: module {module!r} has no {attribute!r}") from error
    if not (isinstance(found, type) and issubclass(found, AgentFactory)):
        raise ConfigError(f"{name!r} is no agent: {found!r} does not inherit turnwise.agents.AgentFactory")
    return found


def make_agent(name: str, **config: Any) -> AgentFactory:
    """Make an agent factory.

    Args:
        name: A registered name or ``module:Class``.
        **config: Fields of the agent's ``Config``.

    Raises:
        UnknownNameError: There is no such agent.
        ConfigError: A setting is unknown or of the wrong type.
    """
    cls = agent_class(name)
    try:
        return cls(cls.Config(**config))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(cls.Config.model_fields) or "none"
        raise ConfigError(f"agent {name!r}: setting {field!r}: {first['msg']}; settings: {known}") from None


def _registered(name: str) -> str:
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in found:
        raise UnknownNameError.of("agent", name, found, hint="Is the package that brings it installed?")
    return found[name]
