"""One canonical form for everything that is hashed: RFC 8785 JSON, so that keys agree on every machine."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import rfc8785
from pydantic import JsonValue

from turnwise.errors import TaskError


def canonical_json(value: JsonValue | Mapping[str, object] | Sequence[object]) -> bytes:
    """Encode plain JSON data by RFC 8785 (JSON Canonicalization Scheme).

    Raises:
        TaskError: The value is not plain JSON, holds NaN or infinity, or an integer beyond 2**53.
    """
    if _plain(value):
        try:
            return _COMMON.encode(value).encode()
        except UnicodeEncodeError:
            pass  # a lone surrogate; the library names it
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except rfc8785.CanonicalizationError as error:
        raise TaskError(
            f"cannot be hashed: {error}; use plain JSON values, and text for integers past 2**53"
        ) from error


_COMMON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)
"""Writes what ``_plain`` lets through as RFC 8785 does, in a fraction of the time: a step hashes twice."""


def _plain(value: object) -> bool:
    """Tell whether both encoders agree: no floats or long integers, and keys whose order no encoding changes."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -(2**53) < value < 2**53  # type: ignore[operator]
    if kind is dict:
        return all(type(key) is str and key.isascii() and _plain(item) for key, item in value.items())  # type: ignore[attr-defined]
    return (kind is list or kind is tuple) and all(map(_plain, value))  # type: ignore[call-overload]


def digest(value: JsonValue | Mapping[str, object] | Sequence[object]) -> str:
    """Return the sha256 of a value's canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def fingerprint(value: JsonValue | Mapping[str, object] | Sequence[object]) -> str:
    """Return the digest of JSON-like data that a model may have had a hand in: it never refuses a value.

    Plain JSON gives what ``digest`` gives. What JSON's canonical form has no room for (NaN, infinity, integers past
    2**53, lone surrogates) is told apart by its text.
    """
    try:
        return digest(value)
    except TaskError:
        return digest(_tame(value))


def _tame(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {_utf8(str(key)): _tame(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tame(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    return _utf8(value if isinstance(value, str) else f"{type(value).__name__} {value!r}")


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def file_digest(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes: the name by which tasks refer to large assets."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
