"""Frames between the trainer's process and a worker: four bytes of length, then JSON. Never pickle.

A cell of a result is null, an integer, a float or a string; bytes travel as ``{"hex": "..."}``.
"""

import json
import socket
import struct
from typing import Any

HEADER = struct.Struct(">I")
MAX_FRAME = 256 * 1024 * 1024


def pack(message: dict[str, Any]) -> bytes:
    """Return the message as one frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, Any]:
    """Return the message of a frame's body."""
    message: dict[str, Any] = json.loads(body)
    return message


def receive(sock: socket.socket) -> dict[str, Any] | None:
    """Read one frame from a blocking socket; None at its end."""
    header = _exactly(sock, HEADER.size)
    if header is None:
        return None
    body = _exactly(sock, HEADER.unpack(header)[0])
    return None if body is None else unpack(body)


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(min(count - len(data), 1 << 20))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def cell_out(value: Any) -> Any:
    """Make one cell ready for JSON."""
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def cell_in(value: Any) -> Any:
    """Undo ``cell_out``."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
