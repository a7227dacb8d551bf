"""Private writable views of images, as directories: made, copied into snapshots and removed here, used in workers."""

import os
import shutil
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from turnwise.envs.sql.databases import image
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.worker.view import BASE
from turnwise.errors import EnvError
from turnwise.tasks import assets

KIND = "sql-wal@1"
LOG = BASE + "-wal"


@lru_cache(maxsize=256)
def _wal_image(digest: str) -> Path:
    """Return a copy of an image in WAL mode, made once per machine; views link to it."""
    source = image(digest)

    def build(directory: Path) -> None:
        ask_now({"op": "wal_image", "image": source, "target": str(directory / BASE)})

    return assets.cache_dir(KIND, digest, build) / BASE


def make_view(digest: str, log: bytes | None = None) -> str:
    """Make a view of an image and return its directory. Blocks for well under a millisecond.

    Args:
        digest: The image.
        log: A packed log to begin with, from ``read_log``.
    """
    base = _wal_image(digest)
    views = base.parent.parent.parent / "sql-views"
    _sweep(views)
    directory = tempfile.mkdtemp(dir=views, prefix=f"{os.getpid()}-")
    # Beside the image, since a hard link cannot cross file systems.
    os.link(base, os.path.join(directory, BASE))
    if log:
        Path(directory, LOG).write_bytes(_unpacked(log))
    return directory


@lru_cache(maxsize=16)
def _sweep(views: Path) -> None:
    """Remove, once per process, the views of processes that were killed."""
    views.mkdir(exist_ok=True)
    for directory in views.iterdir():
        owner = directory.name.partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc").exists():
            shutil.rmtree(directory, ignore_errors=True)


def drop_view(directory: str) -> None:
    """Remove a view; the image stays."""
    shutil.rmtree(directory, ignore_errors=True)


def read_log(directory: str, length: int) -> bytes:
    """Return the committed part of a view's log, packed."""
    path = Path(directory, LOG)
    if not length or not path.is_file():
        return b""
    with path.open("rb") as stream:
        return zlib.compress(stream.read(length), 1)


def _unpacked(log: bytes) -> bytes:
    limit = 512_000_000
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(log, limit)
    except zlib.error as error:
        raise EnvError(f"the snapshot's log is damaged: {error}") from error
    if unpacker.unconsumed_tail:
        raise EnvError(f"the snapshot's log is larger than {limit} bytes")
    return data


def view_request(view: str, sql: str, limits: dict[str, Any], keep: int) -> dict[str, Any]:
    """Return the request that runs a statement in a view."""
    return {"op": "view", "view": view, "sql": sql, "limits": limits, "keep": keep}
