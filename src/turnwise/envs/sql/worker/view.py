"""Private views of one shared image, for tasks that write.

A view is a directory with a hard link to an image in WAL mode; what an episode writes goes to the view's own ``-wal``
file, and nothing ever writes the image. A clean close or a checkpoint would: so every statement runs in a child
process that ends by ``os._exit``, checkpoints are off, and the pragmas that would make one are refused.
"""

import hashlib
import os
import resource
import shutil
import sqlite3
import struct
from collections.abc import Iterator

from turnwise.envs.sql.worker.engine import Result, execute
from turnwise.envs.sql.worker.guard import Guard
from turnwise.envs.sql.worker.limits import Limits
from turnwise.envs.sql.worker.variant import quoted

BASE = "base.sqlite"
_HEADER, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_VOLATILE = (slice(24, 28), slice(92, 100))
"""Bytes of page 1 that count changes and name the library's version, not contents."""


def make_wal_image(source: str, target: str) -> None:
    """Copy a database and put the copy into WAL mode, with nothing in its log."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o600)
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


_never_closed: list[sqlite3.Connection] = []


def open_view(directory: str, limits: Limits) -> tuple[sqlite3.Connection, Guard]:
    """Open a view, in a child process only: the connection lives until the process ends."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.wal_bytes, limits.wal_bytes))
    connection = sqlite3.connect(os.path.join(directory, BASE), isolation_level=None, cached_statements=0)
    _never_closed.append(connection)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    for pragma in (
        "wal_autocheckpoint=0",
        "synchronous=OFF",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        f"hard_heap_limit={limits.heap_bytes}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection, Guard(connection, limits, writable=True)


def run_in_view(directory: str, sql: str, limits: Limits) -> Result:
    """Run one statement in a view; it is a transaction of its own."""
    connection, guard = open_view(directory, limits)
    before = connection.total_changes
    result = execute(connection, guard, sql)
    result.changes = connection.total_changes - before
    return result


def contents(directory: str, limits: Limits) -> dict[str, str]:
    """Return a digest of each table's columns and rows, whatever the rows' order, and of each view and trigger."""
    _, guard = open_view(directory, limits)
    schema = guard.own("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
    found = {}
    for kind, name, sql in schema:
        if kind == "table":
            found[f"table {name.lower()}"] = _table_digest(guard, name)
        elif kind != "index":
            found[f"{kind} {name.lower()}"] = hashlib.sha256(" ".join(str(sql).lower().split()).encode()).hexdigest()
    return found


def _table_digest(guard: Guard, name: str) -> str:
    columns = [
        (row[1].lower(), row[2].upper(), row[3], row[5]) for row in guard.own(f"PRAGMA table_info({quoted(name)})")
    ]
    total, count = 0, 0
    for row in guard.each(f"SELECT * FROM {quoted(name)}"):
        cells = [int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in row]
        total = (total + int.from_bytes(hashlib.sha256(repr(cells).encode("utf-8", "replace")).digest())) % (1 << 256)
        count += 1
    return hashlib.sha256(f"{columns} {count} {total}".encode()).hexdigest()


def state(directory: str) -> str:
    """Return a digest of the pages in which a view differs from its image; empty while nothing differs."""
    base, log = os.path.join(directory, BASE), os.path.join(directory, BASE + "-wal")
    pages, size = committed_pages(log)
    changed = hashlib.sha256()
    some = False
    with open(base, "rb") as image:
        for number, page in sorted(pages.items()):
            image.seek((number - 1) * len(page))
            if _masked(number, image.read(len(page))) != _masked(number, page):
                changed.update(struct.pack(">I", number) + hashlib.sha256(_masked(number, page)).digest())
                some = True
    return hashlib.sha256(changed.digest() + struct.pack(">I", size)).hexdigest() if some else ""


def committed_pages(log: str) -> tuple[dict[int, bytes], int]:
    """Read the last committed contents of each page in a write-ahead log, and the database's size in pages."""
    pages: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    size = 0
    for number, total, page in _frames(log):
        pending[number] = page
        if total:
            pages |= pending
            pending, size = {}, total
    return {number: page for number, page in pages.items() if number <= size}, size


def committed_length(log: str) -> int:
    """Return how many bytes of a log are committed."""
    length, place = 0, _HEADER.size
    for _, total, page in _frames(log):
        place += _FRAME.size + len(page)
        length = place if total else length
    return length


def _frames(log: str) -> Iterator[tuple[int, int, bytes]]:
    try:
        stream = open(log, "rb")  # noqa: SIM115 - closed below, where a missing log is no error
    except FileNotFoundError:
        return
    with stream:
        header = stream.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        _, _, page_size, _, salt_one, salt_two, _, _ = _HEADER.unpack(header)
        while len(head := stream.read(_FRAME.size)) == _FRAME.size:
            number, total, one, two, _, _ = _FRAME.unpack(head)
            page = stream.read(page_size)
            if (one, two) != (salt_one, salt_two) or len(page) < page_size:
                return
            yield number, total, page


def _masked(number: int, page: bytes) -> bytes:
    if number != 1:
        return page
    plain = bytearray(page)
    for part in _VOLATILE:
        plain[part] = bytes(len(plain[part]))
    return bytes(plain)
