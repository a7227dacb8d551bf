"""Documents, and the corpus files of the field that hold them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnwise.errors import TaskError


@dataclass(frozen=True, slots=True)
class Document:
    """One page or passage."""

    id: str
    title: str
    text: str

    @property
    def contents(self) -> str:
        """The passage as Search-R1's corpora and servers write it: quoted title, newline, text."""
        return f'"{self.title}"\n{self.text}'

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Document":
        """Read a row of a corpus: BEIR (``_id, title, text``) or Search-R1 (``id, contents``).

        Raises:
            ValueError: The row has neither shape; the message names what is missing.
        """
        identity = row.get("_id", row.get("id", row.get("docid")))
        if not isinstance(identity, str | int) or isinstance(identity, bool):
            raise ValueError("no 'id' or '_id'")
        contents = row.get("contents")
        if isinstance(contents, str):
            title, _, text = contents.partition("\n")
            title = title[1:-1] if len(title) > 1 and title[0] == title[-1] == '"' else title
            return cls(str(identity), title.strip(), text.strip())
        body = row.get("text")
        if not isinstance(body, str):
            raise ValueError("neither 'contents' nor 'text'")
        return cls(str(identity), str(row.get("title") or ""), body)


def read_corpus(path: Path) -> Iterator[Document]:
    """Stream a corpus file: JSON Lines of BEIR's or Search-R1's shape.

    Raises:
        TaskError: A line is no such row; the message names file and line.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _row(line, f"{path}:{number}")
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror or error}") from error


def _row(line: bytes, where: str) -> Document:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"a JSON object is wanted, got {type(row).__name__}")
        return Document.from_row(row)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{where}: no document: {error}; a row holds id and contents, or _id, title and text") from None
