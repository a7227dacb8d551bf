"""A workspace as a tar: from the entries that a sandbox packs, and back into the requests that write them."""

import io
import tarfile
from typing import Any

from turnwise.sandboxes.channel import Header

CHUNK = 1 << 20
"""Bytes of a file that one request writes."""
NEW_DIRECTORY, OWNER_WRITES = 0o755, 0o200


def make_tar(entries: list[tuple[dict[str, Any], bytes]]) -> bytes:
    """Write entries as a tar whose bytes depend on names, modes and contents only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry, content in entries:
            info = tarfile.TarInfo(entry["path"])
            info.mode = entry["mode"]
            if entry["kind"] == "directory":
                info.type = tarfile.DIRTYPE
            elif entry["kind"] == "link":
                info.type, info.linkname = tarfile.SYMTYPE, str(entry.get("target"))
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_requests(data: bytes) -> list[tuple[Header, bytes]]:
    """Turn a workspace's tar into the requests that write it; what it names is checked inside the sandbox."""
    requests: list[tuple[Header, bytes]] = []
    modes: list[tuple[Header, bytes]] = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if member.isdir() or member.issym():
                kind = "directory" if member.isdir() else "link"
                requests.append(({"op": "place", "path": member.name, "kind": kind, "target": member.linkname}, b""))
                if member.isdir() and member.mode != NEW_DIRECTORY:
                    modes.append(_mode(member))
                continue
            source = tar.extractfile(member)
            content = source.read() if source else b""
            for start in range(0, max(len(content), 1), CHUNK):
                header = {"op": "write", "path": member.name, "mode": member.mode | OWNER_WRITES, "append": start > 0}
                requests.append((header, content[start : start + CHUNK]))
            if member.mode & ~0o577 != OWNER_WRITES:  # and a write takes set-user-id away
                modes.append(_mode(member))
    # Last, and the inner ones first: a mode may forbid to put anything into a directory, or to reach it.
    return requests + modes[::-1]


def _mode(member: tarfile.TarInfo) -> tuple[Header, bytes]:
    return {"op": "change_mode", "path": member.name, "mode": member.mode}, b""
