"""Plain data about methods and results, for ``--json``, tables and the documentation."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from turnwise.trainers.credit import params as parameters
from turnwise.trainers.credit.base import Credit, get, names
from turnwise.trainers.credit.batch import CreditBatch


def methods() -> list[dict[str, Any]]:
    """Describe every registered method, sorted by name."""
    return [method(name) for name in names()]


def method(name: str) -> dict[str, Any]:
    """Describe one method: what it needs, what it takes, what it claims."""
    found = get(name)
    return {
        "name": name,
        "level": found.level,
        "stage": found.stage,
        "summary": (found.__doc__ or "").strip().split("\n\n")[0].replace("\n", " "),
        "required_fields": list(found.required_fields),
        "composes_after": list(found.composes_after),
        "unbiased": found.unbiased,
        "source": found.source,
        "parameters": [_parameter(found.Params, field) for field in dataclasses.fields(found.Params)],
    }


def _parameter(cls: type, field: "dataclasses.Field[Any]") -> dict[str, Any]:
    hint = parameters.hints(cls)[field.name]
    out: dict[str, Any] = {"name": field.name, "type": _type(hint)}
    if typing.get_origin(hint) is Literal:
        out["choices"] = list(typing.get_args(hint))
    if field.default is not dataclasses.MISSING:
        out["default"] = plain(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        out["default"] = plain(field.default_factory())
    else:
        out["required"] = True
    return out


def _type(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return "choice"
    if origin in (types.UnionType, typing.Union):
        return " | ".join("null" if arg is type(None) else _type(arg) for arg in typing.get_args(hint))
    if origin is tuple:
        return f"list of {_type(typing.get_args(hint)[0])}"
    if origin is dict or dataclasses.is_dataclass(hint):
        return "object"
    return {float: "number", int: "integer", bool: "boolean", str: "string"}.get(hint, str(hint))


def result(batch: CreditBatch, credit: Credit) -> dict[str, Any]:
    """Turn a result into plain data: one entry per turn, float64, in the order of the batch."""
    out = {
        "advantages": _per_turn(batch, credit.advantages),
        "returns": _per_turn(batch, credit.returns),
        "weights": _per_turn(batch, credit.weights),
        "diagnostics": plain(credit.diagnostics),
    }
    for name in ("tokens", "token_returns", "value_mask"):
        values = getattr(credit, name)
        if values is not None:
            out[name] = _per_token(batch, values)
    return out


def _turns(batch: CreditBatch) -> list[tuple[str, int]]:
    uids = [batch.uid(i) for i in range(len(batch))]
    return [(uids[i], int(t)) for i, t in zip(batch.traj_of_turn, batch.turn_index, strict=True)]


def _per_turn(batch: CreditBatch, values: Any) -> list[dict[str, Any]]:
    pairs = zip(_turns(batch), values.tolist(), strict=True)
    return [{"trajectory": uid, "turn": turn, "value": value} for (uid, turn), value in pairs]


def _per_token(batch: CreditBatch, values: Any) -> list[dict[str, Any]]:
    assert batch.token_offsets is not None, "token results come from batches that know tokens"
    parts = np.split(values, batch.token_offsets[1:-1]) if batch.turns else []
    pairs = zip(_turns(batch), parts, strict=True)
    return [{"trajectory": uid, "turn": turn, "values": part.tolist()} for (uid, turn), part in pairs]


def plain(value: Any) -> Any:
    """Turn dataclasses, arrays and tuples into what JSON holds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
