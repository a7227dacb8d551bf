"""Between a trajectory and the store's rows: JSON text for what is read, compressed bytes for token arrays."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from turnwise.envs.types import ImagePart, Observation, Part, Status
from turnwise.trajectories.records import Record, TokenSequence, Trajectory, Turn
from turnwise.trajectories.schema import ARRAYS

DTYPES: dict[str, str] = dict.fromkeys(ARRAYS, "<f4") | {"token_ids": "<i4", "source": "|u1", "loss_mask": "|b1"}
"""Fixed little-endian types, so that a store reads the same on every machine."""

_APART = frozenset({"turns", "sequences", "tools"})


class Rows(NamedTuple):
    """One trajectory as the tables take it."""

    episode: dict[str, Any]
    turns: list[tuple[Any, ...]]
    """(idx, status, reward, state_key, next_state_key, record)."""
    sequences: list[tuple[Any, ...]]
    """(idx, opened_by, tokenizer, *arrays)."""
    shared: dict[str, str]
    images: dict[str, tuple[str, bytes]]


def pack(array: npt.NDArray[Any] | None, dtype: str) -> bytes | None:
    """Compress an array; None stays None."""
    return None if array is None else zlib.compress(np.ascontiguousarray(array, dtype=dtype).tobytes(), 1)


def unpack(blob: bytes | None, dtype: str) -> npt.NDArray[Any] | None:
    """Undo ``pack``; the array is one-dimensional and writable."""
    return None if blob is None else np.frombuffer(bytearray(zlib.decompress(blob)), dtype=dtype)


def encode(trajectory: Trajectory) -> Rows:
    """Turn a trajectory into rows."""
    tools = json.dumps([spec.model_dump(mode="json") for spec in trajectory.tools])
    tools_digest = hashlib.sha256(tools.encode()).hexdigest()
    return Rows(
        episode=_columns(trajectory) | {"tools": tools_digest, "record": _slim(trajectory, _APART)},
        turns=[_turn_row(turn) for turn in trajectory.turns],
        sequences=[_sequence_row(index, sequence) for index, sequence in enumerate(trajectory.sequences)],
        shared={tools_digest: tools},
        images={part.digest: (part.media_type, part.data) for part in images_of(trajectory) if part.data},
    )


def decode(record: str, tools: str, turns: Sequence[str], sequences: Sequence[Mapping[str, Any]]) -> Trajectory:
    """Build the trajectory that ``encode`` was given; images come without their bytes."""
    whole = f'{record[:-1]},"tools":{tools},"turns":[{",".join(turns)}]}}'
    trajectory = Trajectory.model_validate_json(whole)
    trajectory.sequences = tuple(_sequence(row) for row in sequences)
    return trajectory


def images_of(trajectory: Trajectory) -> Iterator[ImagePart]:
    """Yield every image of a trajectory, in order of appearance."""
    for observation in _observations(trajectory):
        for part in _parts(observation):
            if isinstance(part, ImagePart):
                yield part


def with_images(trajectory: Trajectory, images: Mapping[str, bytes]) -> Trajectory:
    """Return the trajectory with the images' bytes put back by digest."""

    def filled(observation: Observation) -> Observation:
        if not any(isinstance(part, ImagePart) for part in _parts(observation)):
            return observation
        results = tuple(r.model_copy(update={"parts": _filled(r.parts, images)}) for r in observation.results)
        return observation.model_copy(update={"parts": _filled(observation.parts, images), "results": results})

    last = trajectory.final_observation
    return trajectory.model_copy(
        update={
            "first_observation": filled(trajectory.first_observation),
            "final_observation": filled(last) if last else None,
            "turns": tuple(t.model_copy(update={"observation": filled(t.observation)}) for t in trajectory.turns),
        }
    )


def _filled(parts: tuple[Part, ...], images: Mapping[str, bytes]) -> tuple[Part, ...]:
    return tuple(
        part.model_copy(update={"data": images.get(part.digest, part.data)}) if isinstance(part, ImagePart) else part
        for part in parts
    )


def _observations(trajectory: Trajectory) -> Iterator[Observation]:
    yield trajectory.first_observation
    yield from (turn.observation for turn in trajectory.turns)
    if trajectory.final_observation:
        yield trajectory.final_observation


def _parts(observation: Observation) -> Iterator[Part]:
    yield from observation.parts
    for result in observation.results:
        yield from result.parts


def _slim(record: Record, apart: frozenset[str] = frozenset()) -> str:
    """Dump a record without its fields that are None: most are, and they would double the store."""
    empty = {name for name, field in type(record).model_fields.items() if _unset(record, name, field.default)}
    return record.model_dump_json(exclude=empty | apart)


def _unset(record: Record, name: str, default: object) -> bool:
    return default is None and getattr(record, name) is None


def _columns(t: Trajectory) -> dict[str, Any]:
    return {
        "episode_id": t.episode_id,
        "attempt": t.attempt,
        "run": t.run,
        "env": t.env,
        "agent": t.agent,
        "model": t.model,
        "task_id": t.task_id,
        "task_key": t.task_key,
        "split": t.split,
        "difficulty": t.difficulty,
        "seed": t.seed,
        "sample": t.sample,
        "step": t.step,
        "group_uid": t.group_uid,
        "parent_uid": t.parent_uid,
        "stop_reason": t.stop_reason.value,
        "scored": int(t.scored),
        "score": t.score,
        "success": None if t.success is None else int(t.success),
        "reward": t.reward,
        "n_turns": len(t.turns),
        "n_calls": t.tool_calls_total,
        "n_invalid": sum(turn.status is Status.INVALID for turn in t.turns),
        "prompt_tokens": t.usage.prompt_tokens,
        "completion_tokens": t.usage.completion_tokens,
        "cost": t.usage.cost,
        "wall_s": t.wall_s,
        "failure_kind": t.failure.kind if t.failure else None,
        "failure": f"{t.failure.error}: {t.failure.message}" if t.failure else None,
        "ended_at": t.ended_at,
        "tags": json.dumps(t.tags),
    }


def _turn_row(turn: Turn) -> tuple[Any, ...]:
    return (turn.index, turn.status.value, turn.reward, turn.state_key, turn.next_state_key, _slim(turn))


def _sequence_row(index: int, sequence: TokenSequence) -> tuple[Any, ...]:
    arrays = (pack(getattr(sequence, name), DTYPES[name]) for name in ARRAYS)
    return (index, sequence.opened_by, sequence.tokenizer, *arrays)


def _sequence(row: Mapping[str, Any]) -> TokenSequence:
    arrays = {name: unpack(row[name], DTYPES[name]) for name in ARRAYS}
    return TokenSequence(opened_by=row["opened_by"], tokenizer=row["tokenizer"], **arrays)
