"""Frames between host and supervisor: two big-endian lengths, a JSON header, a body of bytes."""

import json
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Any, NoReturn

LENGTHS = struct.Struct(">II")
MAX_HEADER = 1 << 20
MAX_BODY = 4 << 20
Header = dict[str, Any]


def pack(header: Header, body: bytes = b"") -> bytes:
    """Encode one frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


class Control:
    """The supervisor's end of the channel; the end of the channel is the end of the sandbox."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer
        self.expires = float("inf")
        self.on_leave: Callable[[], None] = lambda: None
        self._poll = select.poll()
        self._poll.register(reader, select.POLLIN)

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            chunk = os.read(self.reader, count - len(parts))
            if not chunk:
                self.leave()
            parts += chunk
        return bytes(parts)

    def receive(self) -> tuple[Header, bytes]:
        """Wait for the next request; leaves the process when the owner is gone or the time to live is over."""
        remaining = self.expires - time.monotonic()
        if not self._poll.poll(None if remaining == float("inf") else max(0, int(remaining * 1000))):
            self.leave()
        head, body = LENGTHS.unpack(self._read(LENGTHS.size))
        if head > MAX_HEADER or body > MAX_BODY:
            self.leave()
        header: Header = json.loads(self._read(head))
        return header, self._read(body)

    def send(self, header: Header, body: bytes = b"") -> None:
        """Send one frame; leaves the process when nobody listens."""
        rest = memoryview(pack(header, body))
        try:
            while rest:
                rest = rest[os.write(self.writer, rest) :]
        except OSError:
            self.leave()

    def leave(self) -> NoReturn:
        """End the supervisor, which as process 1 takes the whole sandbox with it."""
        self.on_leave()
        os._exit(0)
