"""The export format: one JSON document a line, each a run, an episode with its images, a credit result or a metric."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Base64Bytes, Field, ValidationError

from turnwise.errors import StoreError
from turnwise.trajectories.codec import images_of, with_images
from turnwise.trajectories.records import Record, Trajectory
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.tables import CreditRow, Measured, MetricRow

Item = RunRecord | Trajectory | CreditRow | MetricRow | Measured

_KINDS: dict[str, type[Any]] = {
    "run": RunRecord,
    "episode": Trajectory,
    "credit": CreditRow,
    "metric": MetricRow,
    "measured": Measured,
}


class Line(Record):
    """A line of an exported file."""

    kind: Literal["run", "episode", "credit", "metric", "measured"]
    record: dict[str, Any]
    images: dict[str, Base64Bytes] = Field(default_factory=dict)
    """An episode's images by digest."""


def to_line(item: Item) -> str:
    """Write one record as a line, without the newline."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(item, cls))
    images = images_of(item) if isinstance(item, Trajectory) else ()
    encoded = {part.digest: base64.b64encode(part.data).decode("ascii") for part in images if part.data}
    return f'{{"kind":"{kind}","record":{item.model_dump_json()},"images":{json.dumps(encoded)}}}'


def of_line(text: str | bytes, where: str) -> Item:
    """Read a line.

    Args:
        text: The line.
        where: File and line number, for the error.

    Raises:
        StoreError: The line is no JSON or does not fit; the message names the place and the field.
    """
    try:
        line = Line.model_validate_json(text)
        item: Item = _KINDS[line.kind].model_validate_json(json.dumps(line.record))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "line"
        raise StoreError(f"{where}: {field}: {first['msg']}") from error
    return with_images(item, line.images) if isinstance(item, Trajectory) and line.images else item


def read_lines(path: Path) -> Iterable[Item]:
    """Yield the records of an exported file.

    Raises:
        StoreError: The file cannot be read, or a line does not fit; the message names file, line and field.
    """
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield of_line(text, f"{path}:{number}")
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
