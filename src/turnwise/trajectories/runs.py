"""What a run was: its whole configuration, and the machine and packages it ran on."""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import Field, JsonValue

from turnwise.envs.base import Env
from turnwise.trajectories.records import PanelRef, Record

PACKAGES = ("turnwise", "openai", "pydantic", "anyio", "httpx", "numpy", "sqlite-utils", "sqlglot", "tantivy", "torch")

OPERATIONAL = frozenset(
    {"base_url", "timeout_s", "retries", "longest_wait_s", "concurrency", "requests_per_minute", "tokens_per_minute"}
)
"""Settings of an agent that change how fast it answers, and not what."""


class RunRecord(Record):
    """One run: enough to repeat it, and to refuse a comparison or a resume that would not be one."""

    run: str
    kind: Literal["eval", "train", "import", "other"] = "eval"
    created_at: float | None = None
    """Unix seconds; volatile."""
    env: str
    env_version: str
    config_digest: str
    env_config: dict[str, JsonValue] = Field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    agent: str
    agent_config: dict[str, JsonValue] = Field(default_factory=dict)
    model: str | None = None
    base_url: str | None = None
    """Without user name and password."""
    panel: PanelRef | None = None
    seed: int = 0
    samples: int = 1
    episodes: int | None = None
    """How many the run is to hold when complete."""
    limits: dict[str, float | None] = Field(default_factory=dict)
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """Further settings: concurrency, retries, a trainer's whole configuration."""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, JsonValue] = Field(default_factory=dict)

    def differences(self, other: "RunRecord") -> list[str]:
        """Name what makes two runs two different measurements, as ``field: ours, theirs``; empty: the same."""
        names = ("env", "env_version", "config_digest", "wrappers", "agent", "model", "seed", "limits")
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        pairs["agent_config"] = (_measured(self.agent_config), _measured(other.agent_config))
        return [
            f"{name}: {_brief(here)} here, {_brief(there)} there"
            for name, (here, there) in pairs.items()
            if here != there
        ]


def _measured(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in config.items() if name not in OPERATIONAL}


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def circumstances(env: Env) -> dict[str, Any]:
    """Return what every run's record says of its environment, of the time and of the machine."""
    return {
        "created_at": time.time(),
        "env": env.name,
        "env_version": env.version,
        "config_digest": env.config_digest,
        "env_config": env.config.model_dump(mode="json"),
        "wrappers": env.wrappers,
        "versions": package_versions(),
        "machine": machine(),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that can change a result; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, JsonValue]:
    """Return what machine this is, without its name or address."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "arch": platform.machine(),
        "cpus": os.cpu_count(),
        "python": sys.implementation.name,
    }
