"""Question files as rows: JSON, JSON Lines, CSV, TSV and Parquet, each row with its place for error messages."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turnwise.errors import MissingExtraError, TaskError

Row = tuple[str, dict[str, Any]]
_LISTS = ("Data", "data", "questions", "examples")


def read_rows(path: Path) -> Iterator[Row]:
    """Yield ``(place, row)`` of a question file; a directory stands for the one file of these kinds in it.

    Raises:
        TaskError: The file cannot be read, is of no known kind, or a row is no object.
    """
    file = _only_file(path) if path.is_dir() else path
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise TaskError(f"{file}: a question file ends in {', '.join(_READERS)}")
    try:
        for number, row in reader(file):
            if not isinstance(row, dict):
                raise TaskError(f"{file}:{number}: a row is an object, got {type(row).__name__}")
            yield f"{file}:{number}", row
    except UnicodeDecodeError as error:
        raise TaskError(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from error
    except (csv.Error, ValueError, RecursionError) as error:
        if isinstance(error, TaskError):
            raise
        raise TaskError(f"{file}: cannot be read: {error}") from error
    except OSError as error:
        raise TaskError(f"{file}: cannot be read: {error.strerror or error}") from error


def _only_file(directory: Path) -> Path:
    files = sorted(file for file in directory.iterdir() if file.suffix.lower() in _READERS)
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise TaskError(f"{directory}: name one question file; the directory holds {found}")
    return files[0]


def _json(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open(encoding="utf-8-sig") as stream:
        whole = json.load(stream)
    if isinstance(whole, dict):
        whole = next((whole[name] for name in _LISTS if isinstance(whole.get(name), list)), [whole])
    yield from enumerate(whole, start=1)


def _jsonl(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, json.loads(line)


def _table(file: Path) -> Iterator[tuple[int, Any]]:
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream, delimiter=delimiter), start=2):
            yield number, {str(key): value for key, value in row.items()}


def _parquet(file: Path) -> Iterator[tuple[int, Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError.of("data", "pyarrow") from error
    try:
        yield from enumerate(parquet.read_table(file).to_pylist(), start=1)
    except pa.ArrowException as error:
        raise TaskError(f"{file}: cannot be read as Parquet: {error}") from error


_READERS = {".json": _json, ".jsonl": _jsonl, ".csv": _table, ".tsv": _table, ".parquet": _parquet}
