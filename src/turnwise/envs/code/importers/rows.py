"""Reading what importers read: rows of JSON, JSON lines, both perhaps gzipped; fields with clear complaints."""

import gzip
import json
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from turnwise.errors import TaskError

MOST = 1 << 30
"""Bytes a file may have after unpacking."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON list or of JSON lines.

    Raises:
        TaskError: The file cannot be read so.
    """
    try:
        text = _text(path)
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(s) for s in text.splitlines() if s.strip()]
        )
    except (OSError, ValueError, EOFError, RecursionError) as error:
        raise TaskError(f"{path}: cannot be read as JSON or JSON lines: {error}") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise TaskError(f"{path}: must hold objects, one per problem")
    return list(rows)


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if not packed:
        return path.read_text(encoding="utf-8")
    with gzip.open(path) as unpacked:
        data = unpacked.read(MOST + 1)
    if len(data) > MOST:
        raise ValueError(f"it unpacks to more than {MOST} bytes")
    return data.decode("utf-8")


def field(path: Path, number: int, row: dict[str, Any], *names: str) -> str:
    """Return the first of some text fields that is there, with plain line ends.

    Raises:
        TaskError: None is.
    """
    for name in names:
        if isinstance(row.get(name), str) and row[name].strip():
            return str(row[name]).replace("\r\n", "\n")
    raise TaskError(f"{path}: problem {number}: field {' or '.join(map(repr, names))} is missing or no text")


def submitting(source: str) -> list[JsonValue]:
    """Return the actions of a gold solution that is one file."""
    return [{"calls": [{"id": "gold", "name": "submit", "arguments": {"code": source}}]}]
