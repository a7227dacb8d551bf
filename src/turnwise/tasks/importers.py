"""Importers: the field's own files turned into task sets, found by name.

An importer is a function ``(path: Path, **options) -> TaskSet`` under the entry-point group ``turnwise.importers``;
its keyword parameters are the options of ``turnwise tasks import``.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import plugins
from turnwise.tasks.base import TaskSet

GROUP = "turnwise.importers"


def importer_names() -> list[str]:
    """Return the registered importers' names, sorted; nothing is imported."""
    return list(plugins.registered(GROUP))


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """Return an importer's options by name.

    Raises:
        UnknownNameError: There is no such importer.
    """
    return dict(list(inspect.signature(_importer(name), eval_str=True).parameters.items())[1:])


def import_tasks(name: str, path: str | Path, **options: Any) -> TaskSet:
    """Run an importer on a file or directory.

    Args:
        name: A registered name or ``module:function``.
        path: What to import.
        **options: The importer's own; texts are turned into the annotated types.

    Raises:
        UnknownNameError: There is no such importer.
        ConfigError: An option is unknown or of the wrong type.
        TaskError: The path does not exist, or its content is malformed.
    """
    function = _importer(name)
    source = Path(path)
    if not source.exists():
        raise TaskError(f"{source}: there is no such file or directory")
    tasks: object = function(source, **_checked(name, options))
    if not isinstance(tasks, TaskSet):
        raise ConfigError(f"importer {name!r} returned {type(tasks).__name__}, not a TaskSet")
    return tasks


def _checked(name: str, options: dict[str, Any]) -> dict[str, Any]:
    known = options_of(name)
    made: dict[str, Any] = {}
    for option, value in options.items():
        if option not in known:
            raise ConfigError(f"importer {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}")
        try:
            made[option] = TypeAdapter(known[option].annotation).validate_python(value)
        except ValidationError as error:
            raise ConfigError(f"importer {name!r}: option {option!r}: {error.errors()[0]['msg']}") from error
    return made


def _importer(name: str) -> Callable[..., TaskSet]:
    found = plugins.find(GROUP, name, kind="importer")
    if not callable(found):
        raise ConfigError(f"{name!r} is no importer: {found!r} cannot be called")
    function: Callable[..., TaskSet] = found
    return function
