"""The trajectory store: one SQLite file with one writer, readers anywhere, and no finished episode ever lost."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from turnwise.envs.types import ImagePart
from turnwise.errors import StoreError
from turnwise.trajectories.codec import decode, images_of, with_images
from turnwise.trajectories.inbox import Inbox, WriterLock
from turnwise.trajectories.lines import Item, read_lines, to_line
from turnwise.trajectories.opening import connect, inspect, tell
from turnwise.trajectories.records import Trajectory
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.schema import STORE_VERSION, migrate, version_of
from turnwise.trajectories.tables import ROW_COLUMNS, CreditRow, EpisodeRow, MetricRow
from turnwise.trajectories.writing import write

Mode = Literal["r", "a"]

WAIT_FOR_WRITER_S = 10.0


class Store:
    """Episodes, runs, credit results and training metrics in one file.

    Open it with ``Store.open``. The first process that opens a store with mode ``a`` is its writer; every other one
    sends what it appends to the writer's inbox, and it makes no difference to the caller. Methods may be called from
    any thread.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None, *, sends: bool) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._sends = sends
        self._inbox = Inbox(path)
        self._guard = threading.RLock()
        self._known: set[str] = set()
        self._closed = False

    @classmethod
    def open(cls, path: str | Path, mode: Mode = "r") -> Self:
        """Open a store.

        Args:
            path: The file.
            mode: ``r`` reads a store that exists; ``a`` also appends, and makes the file where there is none.

        Raises:
            StoreError: The file is missing (``r``), no store, read-only (``a``), or of a newer Turnwise.
        """
        path = Path(path)
        inspect(path, mode)
        if mode == "r":
            return cls(path, connect(path, "ro"), None, sends=False)
        with tell(path):
            return cls._append(path)

    @classmethod
    def _append(cls, path: Path) -> Self:
        lock = WriterLock(path)
        if not lock.acquire():
            return cls(path, _wait_for_tables(path), None, sends=True)
        try:
            connection = connect(path, "rwc")
            migrate(connection, version_of(connection, str(path)))
            store = cls(path, connection, lock, sends=False)
            store.ingest()
        except BaseException:
            lock.release()
            raise
        return store

    # Writing.

    @property
    def writes(self) -> bool:
        """Whether this process is the store's writer (another appends through the inbox)."""
        return self._lock is not None

    def append(self, items: Iterable[Item]) -> None:
        """Add episodes, runs, credit results and metrics; all are durable against a kill when this returns.

        An episode that the store has already (same id and attempt) is left as it is; a run of a known name too. A
        credit result or metric replaces the older one of the same key. ``Measured`` fills in fields of an episode.

        Raises:
            StoreError: The store is open for reading, or cannot be written (a full disk): none of them was added.
        """
        items = list(items)
        with self._guard, tell(self.path):
            if self._sends:
                self._inbox.put([to_line(item) for item in items])
            elif self._lock:
                write(self._connection, items, self._known)
            else:
                raise StoreError(f"{self.path} is open for reading; open it with mode 'a' to add to it")

    def add_run(self, run: RunRecord) -> None:
        """Add a run's configuration."""
        self.append([run])

    def ingest(self) -> int:
        """Take in what other processes left; the writer calls it now and then. Returns how many records came."""
        taken = 0
        with self._guard, tell(self.path):
            for path in self._inbox.waiting() if self._lock else ():
                try:
                    items = list(read_lines(path))
                except StoreError:
                    self._inbox.refuse(path)
                    continue
                write(self._connection, items, self._known)
                path.unlink()
                taken += len(items)
        return taken

    def put_credit(self, rows: Iterable[CreditRow]) -> None:
        """Store credit results."""
        self.append(rows)

    def put_metrics(self, run: str, step: int, values: dict[str, float]) -> None:
        """Store a training run's numbers of one step."""
        now = time.time()
        self.append(MetricRow(run=run, step=step, name=name, value=value, at=now) for name, value in values.items())

    # Reading.

    def runs(self) -> list[RunRecord]:
        """Return the runs, oldest first."""
        return [
            RunRecord.model_validate_json(row["record"]) for row in self._query("SELECT * FROM runs ORDER BY rowid")
        ]

    def run(self, name: str) -> RunRecord:
        """Return one run.

        Raises:
            StoreError: There is no such run; the message names those there are.
        """
        found = self._query("SELECT record FROM runs WHERE run = ?", name)
        if not found:
            known = [row["run"] for row in self._query("SELECT run FROM runs ORDER BY rowid DESC LIMIT 10")]
            raise StoreError(f"{self.path} has no run {name!r}; it has: {', '.join(known) or 'none'}")
        return RunRecord.model_validate_json(found[0]["record"])

    def rows(self, run: str | None = None, *, attempts: bool = False) -> list[EpisodeRow]:
        """Return the episodes' summaries, ordered by task, sample and step.

        Args:
            run: Of this run only.
            attempts: Also the failed attempts that a later attempt replaced.
        """
        where, values = _where(run, attempts=attempts)
        columns = ", ".join(ROW_COLUMNS)
        sql = f"SELECT {columns} FROM episodes {where} ORDER BY run, step, task_id, seed, sample, attempt"
        return [EpisodeRow.of(row) for row in self._query(sql, *values)]

    def episodes(self, run: str | None = None, *, attempts: bool = False, images: bool = False) -> Iterator[Trajectory]:
        """Yield whole trajectories, ordered by episode id and attempt.

        Args:
            run: Of this run only.
            attempts: Also the failed attempts that a later attempt replaced.
            images: Put the images' bytes back.
        """
        where, values = _where(run, attempts=attempts)
        for row in self._query(f"SELECT id FROM episodes {where} ORDER BY episode_id, attempt", *values):
            yield self._load(row["id"], images=images)

    def episode(self, episode_id: str, attempt: int | None = None, *, images: bool = False) -> Trajectory:
        """Return one trajectory: the latest attempt unless one is named. A unique beginning of the id is enough.

        Raises:
            StoreError: There is none, or more than one begins so.
        """
        wanted = "latest = 1" if attempt is None else f"attempt = {int(attempt)}"
        upper = episode_id + "\U0010ffff"
        sql = f"SELECT id, episode_id FROM episodes WHERE episode_id >= ? AND episode_id < ? AND {wanted} LIMIT 2"
        found = self._query(sql, episode_id, upper)
        if len(found) != 1:
            what = "more than one episode" if found else "no episode"
            raise StoreError(f"{self.path} has {what} whose id begins with {episode_id!r}")
        return self._load(found[0]["id"], images=images)

    def finished(self, run: str) -> set[str]:
        """Return the ids of a run's episodes that need no further attempt."""
        sql = "SELECT episode_id FROM episodes WHERE run = ? AND latest = 1 AND scored = 1"
        return {row["episode_id"] for row in self._query(sql, run)}

    def last_attempts(self, run: str) -> dict[str, int]:
        """Return the highest attempt made of each episode of a run."""
        sql = "SELECT episode_id, max(attempt) AS attempt FROM episodes WHERE run = ? GROUP BY episode_id"
        return {row["episode_id"]: row["attempt"] for row in self._query(sql, run)}

    def count(self, run: str | None = None) -> int:
        """Return how many episodes there are, attempts of one counted once."""
        where, values = _where(run, attempts=False)
        return int(self._query(f"SELECT count(*) AS n FROM episodes {where}", *values)[0]["n"])

    def image(self, digest: str) -> ImagePart:
        """Return an image with its bytes.

        Raises:
            StoreError: No image of that digest was stored.
        """
        found = self._query("SELECT media_type, data FROM images WHERE digest = ?", digest)
        if not found:
            raise StoreError(f"{self.path} has no image {digest!r}")
        return ImagePart(media_type=found[0]["media_type"], digest=digest, data=found[0]["data"])

    def credit(self, run: str | None = None, *, episode_id: str | None = None) -> list[CreditRow]:
        """Return credit results, of a run or of an episode."""
        sql = "SELECT * FROM credit WHERE (? IS NULL OR run = ?) AND (? IS NULL OR episode_id = ?) ORDER BY rowid"
        return [CreditRow.of(row) for row in self._query(sql, run, run, episode_id, episode_id)]

    def metrics(self, run: str) -> list[MetricRow]:
        """Return a training run's numbers, by step and name."""
        sql = "SELECT run, step, name, value, at FROM metrics WHERE run = ? ORDER BY step, name"
        return [MetricRow(**row) for row in self._query(sql, run)]

    def query(self, sql: str, *values: Any) -> list[Any]:
        """Run a reading query of one's own on the tables (``turnwise.trajectories.schema`` names them)."""
        return self._query(sql, *values)

    def _query(self, sql: str, *values: Any) -> list[Any]:
        with self._guard, tell(self.path):
            return self._connection.execute(sql, values).fetchall()

    def _load(self, key: int, *, images: bool) -> Trajectory:
        sql = "SELECT e.record, s.value AS tools FROM episodes e JOIN shared s ON s.digest = e.tools WHERE e.id = ?"
        row = self._query(sql, key)[0]
        turns = [r["record"] for r in self._query("SELECT record FROM turns WHERE episode = ? ORDER BY idx", key)]
        sequences = self._query("SELECT * FROM sequences WHERE episode = ? ORDER BY idx", key)
        trajectory = decode(row["record"], row["tools"], turns, sequences)
        return self._with_images(trajectory) if images else trajectory

    def _with_images(self, trajectory: Trajectory) -> Trajectory:
        digests = json.dumps(sorted({part.digest for part in images_of(trajectory)}))
        sql = "SELECT digest, data FROM images WHERE digest IN (SELECT value FROM json_each(?))"
        found = self._query(sql, digests)
        return with_images(trajectory, {row["digest"]: row["data"] for row in found})

    # The end.

    def close(self) -> None:
        """Take in what waits, then close; may be called twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            try:
                self.ingest()
            finally:
                self._connection.close()
                if self._lock:
                    self._lock.release()
        self._leave_nothing_waiting()

    def _leave_nothing_waiting(self) -> None:
        """Take in a record left between the writer's last look and its leaving, since nobody else would."""
        if (self._lock or self._sends) and self._inbox.waiting():
            lock = WriterLock(self.path)
            if lock.acquire():
                lock.release()
                Store.open(self.path, "a").close()

    def discard(self) -> None:
        """Close and remove the store and what lies beside it: for one made by mistake that holds nothing."""
        self.close()
        for suffix in ("", "-wal", "-shm", ".lock"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _where(run: str | None, *, attempts: bool) -> tuple[str, list[Any]]:
    conditions = ["run = ?"] if run is not None else []
    conditions += [] if attempts else ["latest = 1"]
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), [run] if run is not None else []


def _wait_for_tables(path: Path) -> sqlite3.Connection:
    """Connect beside a writer that may have made the file this instant and not its tables yet."""
    deadline = time.monotonic() + WAIT_FOR_WRITER_S
    while True:
        if path.exists():
            connection = connect(path, "ro")
            if version_of(connection, str(path)) == STORE_VERSION:
                return connection
            connection.close()
        if time.monotonic() > deadline:
            raise StoreError(f"another process has been preparing {path} for {WAIT_FOR_WRITER_S:.0f} s; try again")
        time.sleep(0.02)
