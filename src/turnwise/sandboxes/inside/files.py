"""Files of the workspace, reached component by component without following a link."""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Entry = dict[str, Any]

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK = 1 << 20
MAX_DEPTH = 64


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A path that will not be opened, with the reason for the caller."""


def components(path: str, workdir: str) -> list[str]:
    """Split a path below the workspace; refuse what could lead out of it.

    Raises:
        Refused: Empty, absolute outside the workspace, with ``..`` or NUL, or too deep.
    """
    if path == workdir or path.startswith(workdir + "/"):
        path = path[len(workdir) :].lstrip("/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or len(parts) > MAX_DEPTH:
        raise Refused(f"{path!r} is not a path below {workdir}")
    return parts


def _open_parent(parts: list[str], workdir: str, *, create: bool) -> int:
    """Open the directory that holds the last component; the caller closes it."""
    fd = os.open(workdir, DIRECTORY)
    for part in parts[:-1]:
        try:
            if create:
                _make(part, fd)
            step = os.open(part, DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = step
    return fd


def _make(name: str, parent: int) -> None:
    try:  # noqa: SIM105 - contextlib would be loaded for it
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        pass


def _open_file(path: str, workdir: str, flags: int, mode: int = 0o644) -> int:
    """Open a regular file; links, directories, FIFOs and the like are refused without blocking."""
    parts = components(path, workdir)
    if not parts:
        raise Refused(f"{path!r} is a directory, not a file")
    parent = _open_parent(parts, workdir, create=bool(flags & os.O_CREAT))
    try:
        fd = os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=parent)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused(f"{path!r} is not a regular file")
    return fd


def read(path: str, workdir: str, most: int) -> Iterator[bytes]:
    """Yield the content of a file in chunks.

    Raises:
        Refused: Not a regular file below the workspace.
        OverflowError: It is larger than ``most`` bytes (its size is looked at before anything is read).
    """
    fd = _open_file(path, workdir, os.O_RDONLY)
    try:
        yield from _chunks(fd, path, most)
    finally:
        os.close(fd)


def _chunks(fd: int, path: str, most: int) -> Iterator[bytes]:
    size, left = os.fstat(fd).st_size, most
    if size > most:
        raise OverflowError(f"{path!r} has {size} bytes, the limit is {most}")
    while chunk := os.read(fd, CHUNK):
        left -= len(chunk)
        if left < 0:
            raise OverflowError(f"{path!r} grew past the limit of {most} bytes while it was read")
        yield chunk
        if len(chunk) < CHUNK:
            return


def write(path: str, workdir: str, data: bytes, mode: int, *, append: bool) -> None:
    """Write a file (or its next chunk), making the directories above it."""
    fd = _open_file(path, workdir, os.O_WRONLY | os.O_CREAT, mode)
    try:
        if append:
            os.lseek(fd, 0, os.SEEK_END)
        else:
            os.ftruncate(fd, 0)
            os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def place(path: str, workdir: str, kind: str, target: str) -> None:
    """Make a directory or a symbolic link of a restored workspace."""
    parts = components(path, workdir)
    if not parts:
        return
    parent = _open_parent(parts, workdir, create=True)
    try:
        if kind == "directory":
            _make(parts[-1], parent)
        else:
            os.symlink(target, parts[-1], dir_fd=parent)
    finally:
        os.close(parent)


def change_mode(path: str, workdir: str, mode: int) -> None:
    """Give a file or directory of a restored workspace its mode."""
    parts = components(path, workdir)
    parent = _open_parent(parts, workdir, create=False)
    try:
        os.chmod(parts[-1], mode, dir_fd=parent)
    finally:
        os.close(parent)


def walk(path: str, workdir: str) -> Iterator[tuple[Entry, int]]:
    """Yield what is below a directory, sorted by path: regular files, directories and links, nothing else.

    Each comes with a descriptor of the directory that holds it, for `content`.
    """
    parts = components(path, workdir)
    top = _open_parent([*parts, ""], workdir, create=False)
    try:
        yield from _walk(top, "", 0)
    finally:
        os.close(top)


def _walk(fd: int, prefix: str, depth: int) -> Iterator[tuple[Entry, int]]:
    if depth > MAX_DEPTH:
        raise Refused(f"more than {MAX_DEPTH} directories deep: {prefix[:80]!r}")
    for name in sorted(os.listdir(fd)):
        info = os.lstat(name, dir_fd=fd)
        mode = stat.S_IMODE(info.st_mode)
        entry = {"path": prefix + name, "mode": mode, "size": 0}
        if stat.S_ISREG(info.st_mode):
            yield {**entry, "kind": "file", "size": info.st_size}, fd
        elif stat.S_ISLNK(info.st_mode):
            yield {**entry, "kind": "link", "target": os.readlink(name, dir_fd=fd)}, fd
        elif stat.S_ISDIR(info.st_mode):
            yield {**entry, "kind": "directory"}, fd
            child = _open_own(name, fd, DIRECTORY, mode, 0o500)
            try:
                yield from _walk(child, prefix + name + "/", depth + 1)
            finally:
                _close_own(child, mode, 0o500)


def _open_own(name: str, folder: int, flags: int, mode: int, need: int) -> int:
    """Open an entry of the workspace also where its mode keeps its owner out: it belongs to the state all the same."""
    if need & ~mode:
        os.chmod(name, mode | need, dir_fd=folder)
    return os.open(name, flags, dir_fd=folder)


def _close_own(fd: int, mode: int, need: int) -> None:
    if need & ~mode:
        os.fchmod(fd, mode)
    os.close(fd)


def content(entry: Entry, folder: int, most: int) -> Iterator[bytes]:
    """Yield the content of a file that `walk` named, in chunks.

    Raises:
        OverflowError: It is larger than ``most`` bytes.
    """
    name = entry["path"].rpartition("/")[2]
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = _open_own(name, folder, flags, entry["mode"], 0o400)
    try:
        yield from _chunks(fd, entry["path"], most)
    finally:
        _close_own(fd, entry["mode"], 0o400)


def digest(workdir: str, most: int) -> str:
    """Hash the names, modes, links and contents of the workspace; equal content gives the same on every machine.

    Contents are read each time. A tmpfs does not record when a file was last written through a mapping, so neither
    times nor inodes can tell that it is the same.

    Raises:
        OverflowError: The files have more than ``most`` bytes, which only holes can make up.
    """
    import _blake2

    state, left = _blake2.blake2b(digest_size=32), most
    for entry, folder in walk("", workdir):
        state.update(ascii(sorted(entry.items())).encode())
        if entry["kind"] == "file":
            data = _blake2.blake2b(digest_size=32)
            for chunk in content(entry, folder, left):
                left -= len(chunk)
                data.update(chunk)
            state.update(data.digest())
    return state.hexdigest()


def clear(workdir: str) -> None:
    """Remove everything in the workspace, following nothing."""
    fd = os.open(workdir, DIRECTORY)
    try:
        _clear(fd)
    finally:
        os.close(fd)


def _clear(fd: int) -> None:
    for name in os.listdir(fd):
        try:
            os.unlink(name, dir_fd=fd)
        except IsADirectoryError:
            os.chmod(name, 0o700, dir_fd=fd)
            child = os.open(name, DIRECTORY, dir_fd=fd)
            try:
                _clear(child)
            finally:
                os.close(child)
            os.rmdir(name, dir_fd=fd)


def reason(error: OSError | Refused) -> str:
    """Say in one line why a path was not opened."""
    if isinstance(error, OSError):
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return "a part of the path is a link or not a directory, which is not followed"
        return os.strerror(error.errno) if error.errno else str(error)
    return str(error)
