"""The keys of a turn: what was done, and all that had been shown and done before."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from turnwise.agents.base import Generation
from turnwise.envs.types import Action, Observation


def action_key(action: Action) -> str:
    """Hash an action: its calls without their ids, or its text where it calls nothing."""
    calls = [[call.name, call.arguments] for call in action.calls]
    return _sha(calls or action.text)


def first_history_key(system_prompt: str | None, first: Observation) -> str:
    """Hash what opens an episode."""
    return _sha([system_prompt, first.model_dump_json()])


def next_history_key(history: str, action: str, observation: Observation) -> str:
    """Extend a history by a turn: the action's key and what answered it."""
    return _sha([history, action, observation.model_dump_json()])


def _sha(value: Any) -> str:
    # Escaped and sorted: a model may write half a surrogate pair, an integer of any size, or its arguments reordered.
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def sound(generation: Generation) -> Generation:
    """Replace what no UTF-8 text can hold: JSON lets a model write half of a surrogate pair, and no file takes it."""
    try:
        generation.action.model_dump_json()
        written = [generation.text, generation.reasoning, generation.message, [a.text for a in generation.attempts]]
        json.dumps(written, ensure_ascii=False).encode()
    except (UnicodeEncodeError, ValueError):
        return replace(
            generation,
            action=Action.model_validate(_mended(generation.action.model_dump())),
            text=_mended(generation.text),
            reasoning=_mended(generation.reasoning),
            message=_mended(generation.message),
            attempts=tuple(a.model_copy(update={"text": _mended(a.text)}) for a in generation.attempts),
        )
    return generation


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item) for item in value]
    return value
