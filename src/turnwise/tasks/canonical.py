"""One canonical form for everything that is hashed: RFC 8785 JSON, so that keys agree on every machine."""

import hashlib
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
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except rfc8785.CanonicalizationError as error:
        raise TaskError(
            f"cannot be hashed: {error}; use plain JSON values, and text for integers past 2**53"
        ) from error


def digest(value: JsonValue | Mapping[str, object] | Sequence[object]) -> str:
    """Return the sha256 of a value's canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_digest(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes: the name by which tasks refer to large assets."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
