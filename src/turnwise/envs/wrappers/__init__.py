"""Wrappers: environments around environments. They compose, are seeded, and are part of digest and snapshot.

from turnwise.envs.wrappers import wrap

env = wrap(turnwise.make("sql"), "failing:p=0.2", "turn_limit:turns=10")
"""

import json
from typing import Any

from turnwise.envs.base import Env
from turnwise.envs.wrappers.base import Settings, Wrapper
from turnwise.envs.wrappers.observations import DelayedObservations, InjectedObservations, NoisyObservations
from turnwise.envs.wrappers.rewards import Recording, RewardShaping
from turnwise.envs.wrappers.tools import FailingTools, StickyTools, TurnLimit
from turnwise.errors import ConfigError, UnknownNameError

__all__ = [
    "WRAPPERS",
    "DelayedObservations",
    "FailingTools",
    "InjectedObservations",
    "NoisyObservations",
    "Recording",
    "RewardShaping",
    "Settings",
    "StickyTools",
    "TurnLimit",
    "Wrapper",
    "wrap",
]

WRAPPERS: dict[str, type[Wrapper]] = {
    cls.kind: cls
    for cls in (
        DelayedObservations,
        FailingTools,
        InjectedObservations,
        NoisyObservations,
        RewardShaping,
        StickyTools,
        TurnLimit,
    )
}
"""The wrappers that a text can name."""


def wrap(env: Env, *specs: str) -> Env:
    """Put wrappers around an environment, the first innermost.

    Args:
        env: What is wrapped.
        *specs: ``name`` or ``name:key=value,key=value``; a value that is JSON is taken as such. A value that holds a
            comma is written as JSON: ``failing:tools=["search","open"]``.

    Raises:
        UnknownNameError: There is no such wrapper.
        ConfigError: A setting is unknown or wrong.
    """
    for spec in specs:
        name, _, rest = spec.partition(":")
        if name not in WRAPPERS:
            raise UnknownNameError.of("wrapper", name, WRAPPERS)
        env = WRAPPERS[name](env, **_settings(spec, rest))
    return env


def _settings(spec: str, text: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    rest = text.strip()
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals:
            raise ConfigError(f"wrapper {spec!r}: settings are written key=value,key=value")
        made[key.strip()], rest = _value(rest)
    return made


def _value(text: str) -> tuple[Any, str]:
    """Split a value from what follows its comma."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        value, end = None, -1
    if end >= 0 and text[end:].lstrip()[:1] in ("", ","):
        return value, text[end:].lstrip().removeprefix(",")
    plain, _, rest = text.partition(",")
    return plain, rest
