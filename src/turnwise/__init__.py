"""Turnwise: a gym for LLM agents that gives every turn its credit.

The names below are loaded when they are first used, so that ``import turnwise`` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnwise.envs import Env, ToolEnv, make, tool
    from turnwise.tasks import Task, TaskSet, load_panel

__version__ = "0.1.0"
__all__ = ["Env", "Task", "TaskSet", "ToolEnv", "load_panel", "make", "tool"]

_HOMES = {
    "Env": "turnwise.envs",
    "Task": "turnwise.tasks",
    "TaskSet": "turnwise.tasks",
    "ToolEnv": "turnwise.envs",
    "load_panel": "turnwise.tasks",
    "make": "turnwise.envs",
    "tool": "turnwise.envs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'turnwise' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
