"""From the rows of a JSONL file to a batch: exported trajectories, or a minimal form."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.fields import ALIASES, FIELDS
from turnwise.trainers.credit.records import derived_fields, from_trajectories
from turnwise.trajectories import Trajectory

Row = Mapping[str, Any]
_OWN = {"group_uid", "traj_uid", "turns", "outcome", "shard"}
_OWN_TURN = {"reward"}


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a JSONL file.

    Raises:
        CreditError: The file cannot be read, or a line is no JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CreditError(f"cannot read {path}: {error}") from error
    rows = [_object(line, f"{path}, line {n}") for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [_record(row) for row in rows if row.get("kind", "episode") == "episode"]


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """Take the record out of a line that a store exported; other rows are as they are."""
    inside = row.get("record")
    return inside if "kind" in row and isinstance(inside, dict) else row


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CreditError(f"{where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise CreditError(f"{where}: expected an object, got {type(value).__name__}")
    return value


def is_record(row: Row) -> bool:
    """Whether a row is an exported trajectory rather than the minimal form."""
    return "episode_id" in row and "task_key" in row


def from_rows(rows: Sequence[Row]) -> CreditBatch:
    """Build a batch from rows.

    Each row is an exported trajectory, or ``{group_uid, traj_uid, turns: [{reward, …}], outcome, …}`` with the fields
    of ``FIELDS``. Turn rewards contain what the outcome pays; where no turn of a trajectory has a reward, its outcome
    is its last turn's. Without ``outcome``, it is the sum of the turn rewards.

    Raises:
        CreditError: A row lacks what it must have, or has a field of no known name.
    """
    if rows and all(is_record(row) for row in rows):
        return from_trajectories([_trajectory(row, i) for i, row in enumerate(rows)])
    _check_rows(rows)
    turns = [turn for row in rows for turn in row["turns"]]
    names = [f"{_uid(row, i)}, turn {t}" for i, row in enumerate(rows) for t in range(len(row["turns"]))]
    tokens, offsets = _token_fields(turns, names)
    fields = tokens | _turn_fields(turns, names, skip=set(tokens)) | _trajectory_fields(rows)
    if offsets is not None:
        fields = derived_fields(fields, offsets) | fields
    counts = None if offsets is None else np.diff(offsets)
    return CreditBatch.build(
        group=segments.codes([str(row["group_uid"]) for row in rows]),
        turns=[len(row["turns"]) for row in rows],
        reward=[reward for row in rows for reward in _rewards(row)],
        outcome=[_outcome(row) for row in rows],
        action_tokens=counts,
        traj_uids=[_uid(row, i) for i, row in enumerate(rows)],
        group_uids=list(dict.fromkeys(str(row["group_uid"]) for row in rows)),
        shard=[int(row.get("shard", 0)) for row in rows],
        **fields,
    )


def unequal_outcomes(batch: CreditBatch) -> int:
    """How many trajectories have an outcome that is not the sum of their turn rewards."""
    paid = segments.total(batch.reward, batch.traj_of_turn, len(batch))
    return int(np.sum(~np.isclose(paid, batch.outcome, atol=1e-9)))


def _trajectory(row: Row, index: int) -> Trajectory:
    try:
        return Trajectory.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CreditError(f"row {index + 1} is no trajectory: {place}: {first['msg']}") from error


def _uid(row: Row, index: int) -> str:
    return str(row.get("traj_uid", index))


def _check_rows(rows: Sequence[Row]) -> None:
    seen: set[str] = set()
    for i, row in enumerate(rows):
        name = f"row {i + 1}"
        if is_record(row):
            raise CreditError(f"{name} is an exported trajectory among rows of the minimal form: use one form per file")
        if "group_uid" not in row:
            raise CreditError(f"{name} has no group_uid: the name its group shares")
        if not isinstance(row.get("turns"), list) or not all(isinstance(turn, dict) for turn in row["turns"]):
            raise CreditError(f"{name} needs turns: a list of objects, got {str(row.get('turns'))[:60]}")
        _check_names(row, _OWN, "trajectory", name)
        for t, turn in enumerate(row["turns"]):
            _check_names(turn, _OWN_TURN, "turn", f"{name}, turn {t}")
        if _uid(row, i) in seen:
            raise CreditError(f"{name} repeats traj_uid {_uid(row, i)!r}")
        seen.add(_uid(row, i))


def _check_names(given: Row, own: set[str], level: str, where: str) -> None:
    for name in given:
        if name in own or name.startswith("x_"):
            continue
        field = FIELDS.get(ALIASES.get(name, ""))
        if field is None or (field.level == "trajectory") != (level == "trajectory"):
            raise CreditError(f"{where}: {name!r} is no field of a {level}; names of your own must begin with x_")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CreditError(f"{what} must be a number, got {value!r}")
    return float(value)


def _rewards(row: Row) -> list[float]:
    given = [turn.get("reward") for turn in row["turns"]]
    if given and all(value is None for value in given):
        return [0.0] * (len(given) - 1) + [_outcome(row)]
    name = row.get("traj_uid")
    return [0.0 if value is None else _number(value, f"reward of {name}, turn {t}") for t, value in enumerate(given)]


def _outcome(row: Row) -> float:
    value = row.get("outcome")
    if value is not None:
        return _number(value, f"outcome of {row.get('traj_uid')}")
    given = [turn.get("reward") for turn in row["turns"]]
    if all(item is None for item in given):
        raise CreditError(f"trajectory {row.get('traj_uid')!r} has neither an outcome nor a turn with a reward")
    return sum(_number(item, f"reward of {row.get('traj_uid')}") for item in given if item is not None)


def _value(row: Row, name: str) -> Any:
    for alias in (name, *FIELDS[name].aliases):
        if alias in row:
            return row[alias]
    return None


def _token_fields(turns: Sequence[Row], names: Sequence[str]) -> tuple[dict[str, Any], segments.Ints | None]:
    """Fields given as lists, one value per action token, and token offsets where every turn tells its length."""
    lists: dict[str, list[list[float]]] = {}
    for name in (name for name, field in FIELDS.items() if field.level == "token"):
        column = [_value(turn, name) for turn in turns]
        if any(isinstance(value, list) for value in column):
            lists[name] = [_list(value, f"{name} of {where}") for value, where in zip(column, names, strict=True)]
    lengths = _lengths(turns, names, lists)
    if lengths is None:
        return {}, None
    return {
        name: np.array([v for part in parts for v in part], dtype=np.float64) for name, parts in lists.items()
    }, segments.offsets_of(lengths)


def _list(value: Any, what: str) -> list[float]:
    if not isinstance(value, list):
        raise CreditError(f"{what} must be a list with one number per action token, got {value!r}")
    return [_number(item, what) for item in value]


def _lengths(turns: Sequence[Row], names: Sequence[str], lists: Mapping[str, list[list[float]]]) -> list[int] | None:
    given = [_action_tokens(turn, name) for turn, name in zip(turns, names, strict=True)]
    for k, name in enumerate(names):
        sizes = {field: len(parts[k]) for field, parts in lists.items()}
        if given[k] is not None:
            sizes["action_tokens"] = int(given[k] or 0)
        if len(set(sizes.values())) > 1:
            raise CreditError(f"{name}: token lists of different lengths: {sizes}")
        given[k] = next(iter(sizes.values()), None)
    if turns and any(size is not None for size in given) and None in given:
        raise CreditError(f"{names[given.index(None)]} has no action_tokens, which other turns have")
    return [size for size in given if size is not None] if turns and None not in given else None


def _action_tokens(turn: Row, where: str) -> int | None:
    value = turn.get("action_tokens")
    if value is None:
        return None
    size = _number(value, f"action_tokens of {where}")
    if size < 0 or size != int(size):
        raise CreditError(f"action_tokens of {where} must be a whole number from 0, got {value!r}")
    return int(size)


def _turn_fields(turns: Sequence[Row], names: Sequence[str], *, skip: set[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if field.level != "turn" or name == "action_tokens":
            continue
        column = [_value(turn, name) for turn in turns]
        if name == "turn_entropy" and "entropy" not in skip:  # a scalar `entropy` is the turn's mean
            column = [turn.get("entropy") if v is None else v for v, turn in zip(column, turns, strict=True)]
        if any(value is not None for value in column):
            fields[name] = _column(name, field.kind, column, names)
    return fields


def _column(name: str, kind: str, column: Sequence[Any], names: Sequence[str]) -> Any:
    if kind == "key":
        return segments.codes([None if value is None else json.dumps(value, sort_keys=True) for value in column])
    if kind == "text":
        return list(column)
    if kind == "flag":
        return np.array([True if value is None else bool(value) for value in column], dtype=np.bool_)
    pairs = zip(column, names, strict=True)
    numbers = [
        math.nan if value is None else _measured(name, _number(value, f"{name} of {where}")) for value, where in pairs
    ]
    return np.array(numbers, dtype=np.float64)


def _measured(name: str, value: float) -> float:
    """Tell a gain that came out as NaN, which counts as none, from one that was not given."""
    return math.inf if name in ("info_gain", "gold_logprob") and math.isnan(value) else value


def _trajectory_fields(rows: Sequence[Row]) -> dict[str, Any]:
    names = [f"trajectory {_uid(row, i)}" for i, row in enumerate(rows)]
    fields: dict[str, Any] = {}
    for name, field in FIELDS.items():
        column = [_value(row, name) for row in rows]
        if field.level != "trajectory" or all(value is None for value in column):
            continue
        if name == "components":
            fields[name] = _components(column, names)
        elif field.kind == "special":
            fields[name] = list(column)
        elif field.kind == "flag":
            fields[name] = np.array([bool(value) for value in column], dtype=np.bool_)
        else:
            fields[name] = _column(name, field.kind, column, names)
    return fields


def _components(column: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    for value, where in zip(column, names, strict=True):
        if not isinstance(value, dict):
            raise CreditError(f"components of {where} must be an object of numbers, got {value!r}")
    shared: Iterable[str] = sorted(set.intersection(*(set(value) for value in column)))
    return {
        key: np.array([_number(v[key], f"components.{key} of {w}") for v, w in zip(column, names, strict=True)])
        for key in shared
    }


def schema() -> dict[str, Any]:
    """JSON Schema of a row of the minimal form; an exported trajectory has the schema of the records."""
    turn: dict[str, Any] = {"reward": {"type": ["number", "null"], "description": "the turn's reward"}}
    row: dict[str, Any] = {
        "group_uid": {"type": ["string", "integer"], "description": "what the trajectories to be compared share"},
        "traj_uid": {"type": ["string", "integer"], "description": "a name of its own; default: the row's number"},
        "outcome": {"type": ["number", "null"], "description": "R; default: the sum of the turn rewards"},
        "shard": {"type": "integer", "description": "the update it belongs to, for statistics over the batch"},
    }
    for name, field in FIELDS.items():
        target = row if field.level == "trajectory" else turn
        target[name] = {**_TYPES[field.level == "token", field.kind], "description": field.doc}
        for alias in field.aliases:
            target[alias] = {"description": f"the same as {name}"}
    turn["entropy"] = {"type": ["array", "number"], "description": "per action token, or the turn's mean"}
    allowed = {"patternProperties": {"^x_": {}}, "additionalProperties": False}
    turns = {"type": "array", "items": {"type": "object", "properties": turn, **allowed}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Row of turnwise credit --input",
        "type": "object",
        "required": ["group_uid", "turns"],
        "properties": {**row, "turns": turns},
        **allowed,
    }


_TYPES: dict[tuple[bool, str], dict[str, Any]] = {
    (False, "number"): {"type": ["number", "null"]},
    (True, "number"): {"type": "array", "items": {"type": "number"}},
    (False, "flag"): {"type": ["boolean", "null"]},
    (False, "text"): {"type": "string"},
    (False, "key"): {},
    (False, "special"): {"type": ["object", "array"]},
}
