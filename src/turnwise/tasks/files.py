"""Task files: JSON Lines, and with the ``data`` extra Parquet. A malformed line is refused by file, line and field.

Task files are hostile input: whatever is not a plain task raises ``TaskError``, whatever its shape.
"""

import importlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from turnwise.errors import MissingExtraError, TaskError
from turnwise.tasks.base import Task, TaskSet

SUFFIXES = (".jsonl", ".parquet")
_JSON_COLUMNS = ("data", "gold")


def load_tasks(path: str | Path, *, name: str | None = None, version: str | None = None) -> TaskSet:
    """Read a task set from a ``.jsonl`` or ``.parquet`` file.

    Args:
        path: The file; a name such as ``quiz@2.jsonl`` gives the set its name and version.
        name: The set's name instead of the file's.
        version: The set's version instead of the file name's, which is "1" where it has none.

    Raises:
        TaskError: The file cannot be read, or a task in it is malformed, repeated or not plain JSON; the message
            names file, line and field.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise TaskError(f"{file}: a task file ends in {' or '.join(SUFFIXES)}")
    if not file.is_file():
        raise TaskError(f"{file}: there is no such file")
    rows = _parquet_rows(file) if file.suffix == ".parquet" else _jsonl_rows(file)
    tasks: dict[str, Task] = {}
    for where, row in rows:
        task = _task(where, row)
        if task.id in tasks:
            raise TaskError(f"{where}: field 'id': {task.id!r} occurs a second time; ids must be unique")
        tasks[task.id] = task
    if not tasks:
        raise TaskError(f"{file}: holds no task")
    stem_name, _, stem_version = file.stem.partition("@")
    return TaskSet(name=name or stem_name, version=version or stem_version or "1", tasks=tuple(tasks.values()))


def save_tasks(tasks: TaskSet, path: str | Path) -> None:
    """Write a task set to a ``.jsonl`` or ``.parquet`` file, whole or not at all.

    Raises:
        TaskError: The file cannot be written, or its suffix is unknown.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise TaskError(f"{file}: a task file ends in {' or '.join(SUFFIXES)}")
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        os.close(handle)
        try:
            _write(tasks, Path(temporary), file.suffix)
            os.chmod(temporary, 0o644)
            os.replace(temporary, file)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise TaskError(f"{file}: cannot be written: {error.strerror or error}") from error


def _write(tasks: TaskSet, path: Path, suffix: str) -> None:
    rows = [task.model_dump(mode="json") for task in tasks]
    if suffix == ".parquet":
        _write_parquet(rows, path)
        return
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)


def _jsonl_rows(path: Path) -> Iterator[tuple[str, object]]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    where = f"{path}:{number}"
                    yield where, _parse(where, line)
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse(where: str, text: bytes | str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise TaskError(f"{where}: not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise TaskError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise TaskError(f"{where}: not JSON: {reason}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return made


def _task(where: str, row: object) -> Task:
    if not isinstance(row, dict):
        raise TaskError(f"{where}: a task is a JSON object, got {type(row).__name__}")
    try:
        task = Task.model_validate(row)
        _ = task.key
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise TaskError(f"{where}: field {field!r}: {first['msg']}") from error
    except (TaskError, RecursionError) as error:
        reason = str(error) if isinstance(error, TaskError) else "nested too deeply"
        raise TaskError(f"{where}: field 'data' or 'gold': {reason}") from error
    return task


def _arrow() -> Any:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError.of("data", "pyarrow") from error
    return importlib.import_module("pyarrow")


def _parquet_rows(path: Path) -> Iterator[tuple[str, object]]:
    arrow = _arrow()
    try:
        rows = arrow.parquet.read_table(path).to_pylist()
    except (OSError, arrow.ArrowException) as error:
        raise TaskError(f"{path}: cannot be read as Parquet: {error}") from error
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        present = {key: value for key, value in row.items() if value is not None}
        for column in _JSON_COLUMNS:
            if isinstance(present.get(column), str):
                present[column] = _parse(f"{where}: field {column!r}", present[column])
        yield where, present


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    # Tasks of one set differ in the shape of data and gold, so these two columns are JSON text.
    arrow = _arrow()
    for row in rows:
        row.update({column: json.dumps(row[column], ensure_ascii=False, sort_keys=True) for column in _JSON_COLUMNS})
    text, texts = arrow.string(), arrow.list_(arrow.string())
    types = dict.fromkeys(Task.model_fields, text) | {"difficulty": arrow.int64(), "hints": texts, "tags": texts}
    arrow.parquet.write_table(arrow.Table.from_pylist(rows, schema=arrow.schema(list(types.items()))), path)
