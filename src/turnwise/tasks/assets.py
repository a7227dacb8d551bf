"""Large read-only files by content digest, and things built from them, kept under ``$TURNWISE_HOME``.

A task names a catalogue, corpus, database or image as ``sha256:<hex>``; where the bytes lie is this machine's affair.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from turnwise.errors import ConfigError, TaskError
from turnwise.tasks.canonical import file_digest

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")
_seen: dict[tuple[str, int, int], str] = {}


def home() -> Path:
    """Return the directory for assets and caches: ``$TURNWISE_HOME``, by default ``~/.cache/turnwise``."""
    return Path(os.environ.get("TURNWISE_HOME") or "~/.cache/turnwise").expanduser()


def find(digest: str, *, dirs: Sequence[str | Path] = ()) -> Path:
    """Return the file with the given content.

    Args:
        digest: ``sha256:<64 hex digits>``.
        dirs: Directories of the caller's package data to search too; their files are hashed once per process.

    Raises:
        TaskError: The digest is malformed, or no such file is on this machine.
    """
    stored = _stored(digest)
    for directory in dirs:
        for file in sorted(path for path in Path(directory).rglob("*") if path.is_file()):
            if known_digest(file) == digest:
                return file
    if stored.is_file():
        return stored
    looked = ", ".join(map(str, [*dirs, stored.parent]))
    raise TaskError(
        f"asset {digest} is not on this machine (looked in {looked}); "
        f"import the data it comes from, or add the file with turnwise.tasks.assets.put(path)"
    )


def put(path: str | Path) -> str:
    """Copy a file into the asset directory and return its digest; a file that is already there is not copied again.

    Raises:
        TaskError: The file cannot be read.
        ConfigError: The asset directory cannot be written.
    """
    source = Path(path)
    try:
        digest = file_digest(source)
    except OSError as error:
        raise TaskError(f"{source}: cannot be read: {error.strerror or error}") from error
    target = _stored(digest)
    if not target.is_file():
        with _writing(target.parent) as directory, _temporary_file(directory) as temporary:
            shutil.copyfile(source, temporary)
            if file_digest(temporary) != digest:
                raise TaskError(f"{source}: changed while it was copied")
            os.chmod(temporary, 0o444)
            os.replace(temporary, target)
    return digest


def known_digest(path: Path) -> str:
    """Return a file's ``sha256:<hex>``, hashed once per process as long as its size and time do not change."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _seen:
        _seen[key] = file_digest(path)
    return _seen[key]


def cache_dir(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the directory of something that is built once per machine, such as a search index.

    Processes that ask at the same time build it once; a build that fails or is killed leaves nothing behind that
    could be mistaken for a whole one.

    Args:
        kind: What it is, with the version of the code that builds it ("search-index@2").
        key: What it is built from: a hex digest or another plain name.
        build: Fills the empty directory it is given.

    Returns:
        The directory, to be read only.

    Raises:
        ConfigError: The cache cannot be written, or ``kind`` or ``key`` is no plain name.
    """
    name = key.removeprefix("sha256:")
    for part in (kind, name):
        if not _KEY.fullmatch(part):
            raise ConfigError(f"cache name {part!r}: use letters, digits and _ . @ -, at most 128")
    target = home() / "cache" / kind / name
    if target.is_dir():
        return target
    with _writing(target.parent) as parent, _locked(parent / f".{name}.lock"):
        if not target.is_dir():
            _publish(build, target)
    return target


def _publish(build: Callable[[Path], None], target: Path) -> None:
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        build(temporary)
        os.chmod(temporary, 0o755)  # noqa: S103 - mkdtemp made it private; a cache may be shared
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _stored(digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise TaskError(f"asset {digest[:80]!r}: an asset is named sha256:<64 hex digits>")
    value = digest.removeprefix("sha256:")
    return home() / "assets" / value[:2] / value


@contextmanager
def _writing(directory: Path) -> Iterator[Path]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
    except OSError as error:
        raise ConfigError(
            f"cannot write under {home()}: {error.strerror or error}; set TURNWISE_HOME to a writable directory"
        ) from error


@contextmanager
def _temporary_file(directory: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=directory, prefix=".")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
