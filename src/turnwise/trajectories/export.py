"""Episodes out of a store and into one: JSON lines both ways, Parquet and ``datasets`` for analysis."""

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from turnwise.errors import ConfigError, MissingExtraError, StoreError
from turnwise.trajectories.lines import Item, read_lines, to_line
from turnwise.trajectories.records import Trajectory, Turn
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import ROW_COLUMNS, EpisodeRow

Format = Literal["jsonl", "parquet", "dataset"]

CHUNK = 256
"""Episodes held in memory at a time."""


def format_of(path: Path) -> Format:
    """Tell the format from the name: ``.jsonl``, ``.parquet``; a name without a suffix is a ``datasets`` directory.

    Raises:
        ConfigError: Another suffix.
    """
    known: dict[str, Format] = {".jsonl": "jsonl", ".parquet": "parquet", "": "dataset"}
    if path.suffix not in known:
        raise ConfigError(
            f"cannot tell the format of {path}: end it in .jsonl or .parquet, or name one of {', '.join(_formats())}"
        )
    return known[path.suffix]


def _formats() -> tuple[str, ...]:
    return get_args(Format)


def export(store: Store, run: str | None, path: Path, *, form: Format | None = None, attempts: bool = False) -> int:
    """Write a run, or the whole store, to a file; an older file of the name is replaced once the new one is whole.

    Args:
        store: Where to read.
        run: Of this run only.
        path: The file, or for ``dataset`` the directory.
        form: The format; by default told from the name.
        attempts: Also failed attempts that a later attempt replaced.

    Returns:
        How many episodes were written.

    Raises:
        StoreError: There is no such run, or the file cannot be written.
        MissingExtraError: Parquet and datasets need the extra ``data``.
    """
    if run is not None:
        store.run(run)
    form = form or format_of(path)
    aside = path.with_name(f".{path.name}.part")
    try:
        if form == "dataset":
            return _write_dataset(store.episodes(run, attempts=attempts), path)
        write = _write_jsonl if form == "jsonl" else _write_parquet
        count = write(store, run, aside, attempts)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return count


def import_file(store: Store, path: Path) -> dict[str, int]:
    """Add the records of an exported JSON-lines file; what the store has already stays as it is.

    The whole file is checked before anything is added.

    Returns:
        How many records of each kind the file held.

    Raises:
        StoreError: A line does not fit (file, line and field are named), or the store cannot be written.
    """
    counts = check_file(path)
    items = iter(read_lines(path))
    while chunk := list(itertools.islice(items, CHUNK)):
        store.append(chunk)
    return counts


def check_file(path: Path) -> dict[str, int]:
    """Read a whole exported file and count its records by kind.

    Raises:
        StoreError: A line does not fit; file, line and field are named.
    """
    return dict(Counter(type(item).__name__ for item in read_lines(path)))


def to_dataset(episodes: Iterable[Trajectory]) -> Any:
    """Return a ``datasets.Dataset`` with one row per episode: its summary, and its turns as a list of records.

    Raises:
        MissingExtraError: The extra ``data`` is not installed.
    """
    try:
        from datasets import Dataset
    except ImportError as error:
        raise MissingExtraError.of("data", "datasets") from error
    return Dataset.from_list([_row(episode) for episode in episodes])


def _write_jsonl(store: Store, run: str | None, path: Path, attempts: bool) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for item in _items(store, run, attempts=attempts):
            file.write(to_line(item) + "\n")
            count += isinstance(item, Trajectory)
        file.flush()
        os.fsync(file.fileno())
    return count


def _items(store: Store, run: str | None, *, attempts: bool) -> Iterator[Item]:
    runs = store.runs() if run is None else [store.run(run)]
    yield from runs
    yield from store.episodes(run, attempts=attempts, images=True)
    for record in runs:
        yield from store.credit(record.run)
        yield from store.metrics(record.run)


def _write_parquet(store: Store, run: str | None, path: Path, attempts: bool) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError.of("data", "pyarrow") from error
    schema = _arrow_schema(pa)
    episodes, count = store.episodes(run, attempts=attempts), 0
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := [_row(episode) for episode in itertools.islice(episodes, CHUNK)]:
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    return count


def _write_dataset(episodes: Iterator[Trajectory], path: Path) -> int:
    dataset = to_dataset(episodes)
    dataset.save_to_disk(str(path))
    return len(dataset)


def _row(episode: Trajectory) -> dict[str, Any]:
    from turnwise.trajectories.codec import encode

    columns = encode(episode).episode | {"tags": list(episode.tags), "scored": episode.scored}
    columns["success"] = episode.success
    row = {name: columns[name] for name in ROW_COLUMNS}
    return row | {"turns": [_turn(turn) for turn in episode.turns], "record": episode.model_dump_json()}


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "index": turn.index,
        "text": turn.text,
        "calls": [call.model_dump_json() for call in turn.calls],
        "observation": turn.observation.text,
        "status": turn.status.value,
        "reward": turn.reward,
        "state_key": turn.state_key,
        "action_key": turn.action_key,
    }


def _arrow_schema(pa: Any) -> Any:
    """One fixed schema, since a column that is empty in the first chunk has no type to be guessed from."""
    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    fields = [(name, kinds[_kind(name)]) for name in ROW_COLUMNS if name != "tags"]
    turn = {"index": int, "text": str, "observation": str, "status": str, "reward": float}
    turn |= {"state_key": str, "action_key": str}
    shape = [(name, kinds[kind]) for name, kind in turn.items()] + [("calls", pa.list_(pa.string()))]
    lists = [("tags", pa.list_(pa.string())), ("turns", pa.list_(pa.struct(shape)))]
    return pa.schema([*fields, *lists, ("record", pa.string())])


def _kind(name: str) -> type:
    annotation = EpisodeRow.__dataclass_fields__[name].type
    plain = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    assert isinstance(plain[0], type)
    return plain[0]
