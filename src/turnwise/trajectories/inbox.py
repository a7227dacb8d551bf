"""One writer per store: who holds the lock writes the database, everybody else leaves finished records in its inbox.

A file appears in the inbox whole (written aside, synced, renamed) and is removed only after the transaction that took
its records, which ignores a record it already has. So neither side can be killed at a moment that loses or repeats one.
"""

import fcntl
import os
import uuid
from pathlib import Path
from typing import BinaryIO


class WriterLock:
    """The right to write a store; the kernel frees it when its process dies."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(f"{store.name}.lock")
        self._file: BinaryIO | None = None

    def acquire(self) -> bool:
        """Try to become the writer; returns at once."""
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Stop being the writer; the file stays, since removing it would let two processes lock two files."""
        if self._file:
            self._file.close()
            self._file = None


class Inbox:
    """The directory beside a store where other processes leave records, as lines of the export format."""

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(f"{store.name}.inbox")

    def put(self, lines: list[str]) -> None:
        """Leave records; they are on disk when this returns."""
        self.path.mkdir(exist_ok=True)
        name = f"{uuid.uuid4().hex}"
        aside, final = self.path / f"{name}.part", self.path / f"{name}.jsonl"
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(final)

    def waiting(self) -> list[Path]:
        """Return the files left so far, oldest first."""
        try:
            entries = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(self.path)]
        except FileNotFoundError:
            return []
        return [Path(path) for _, path in sorted(entries) if path.endswith(".jsonl")]

    @staticmethod
    def refuse(path: Path) -> None:
        """Set a file aside that cannot be read, so that it is neither lost nor tried for ever."""
        path.rename(path.with_suffix(".refused"))
