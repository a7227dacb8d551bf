"""Panels by name: ``sql/chinook@1`` is an entry point of the group ``turnwise.panels``.

An entry is named ``name@version`` and leads to a function without parameters that returns the ``TaskSet``: read from
package data, or built from a fixed seed. A changed panel is a new version, so that results stay comparable.
"""

import re
from functools import lru_cache
from pathlib import Path

from turnwise.errors import ConfigError, UnknownNameError
from turnwise.tasks import plugins
from turnwise.tasks.base import TaskSet
from turnwise.tasks.files import SUFFIXES, load_tasks

GROUP = "turnwise.panels"


def panel_names() -> list[str]:
    """Return the registered panels as ``name@version``, sorted; nothing is imported."""
    return sorted(plugins.registered(GROUP), key=_order)


def load_panel(name: str, split: str | None = None) -> TaskSet:
    """Return a panel, or one split of it.

    Args:
        name: ``name@version``; ``name`` alone for its newest version; ``module:function``; or the path of a
            ``.jsonl`` or ``.parquet`` file.
        split: The split to return; None: all.

    Raises:
        UnknownNameError: There is no such panel or version.
        TaskError: A file is malformed, or the panel has no such split.
    """
    tasks = load_tasks(name) if _is_file(name) else _named(name)
    return tasks if split is None else tasks.split(split)


def _is_file(name: str) -> bool:
    return name.endswith(SUFFIXES) or Path(name).is_file()


def _named(name: str) -> TaskSet:
    if ":" in name:
        return _built(name, None)
    known = plugins.registered(GROUP)
    exact = name if "@" in name else _newest(name, list(known))
    if exact is None or exact not in known:
        raise UnknownNameError.of("panel", name, known, hint="A path to a .jsonl file works too.")
    return _built(known[exact], exact)


@lru_cache(maxsize=32)
def _built(target: str, name: str | None) -> TaskSet:
    tasks = plugins.load(target, kind="panel")()
    if not isinstance(tasks, TaskSet):
        raise ConfigError(f"panel {name or target!r}: {target} returned {type(tasks).__name__}, not a TaskSet")
    if name is not None and f"{tasks.name}@{tasks.version}" != name:
        raise ConfigError(
            f"panel {name!r}: {target} returned the task set {tasks.name}@{tasks.version}; the names must agree"
        )
    return tasks


def _newest(name: str, known: list[str]) -> str | None:
    versions = [entry for entry in known if entry.partition("@")[0] == name]
    return max(versions, key=_order, default=None)


def _order(entry: str) -> tuple[str, list[tuple[int, str]]]:
    """Sort 10 after 9 and 1.10 after 1.9."""
    name, _, version = entry.partition("@")
    return name, [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.\-]", version)]
