"""Frames between host and supervisor: two big-endian lengths, a JSON header, a body of bytes."""

from __future__ import annotations

import marshal
import os
import select
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Header = dict[str, Any]

LENGTHS = struct.Struct(">II")
MAX_HEADER = 1 << 20
MAX_BODY = 4 << 20


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
        import json

        remaining = self.expires - time.monotonic()
        if not self._poll.poll(None if remaining == float("inf") else max(0, int(remaining * 1000))):
            self.leave()
        head, body = self._read_frame()
        header: Header = json.loads(head)
        return header, body

    def receive_configuration(self) -> tuple[Header, bytes]:
        """Wait for the first frame, whose header is marshalled: `json` is not loaded yet."""
        head, body = self._read_frame()
        config: Header = marshal.loads(head)  # noqa: S302 - from the host, which this process trusts
        return config, body

    def _read_frame(self) -> tuple[bytes, bytes]:
        head, body = LENGTHS.unpack(self._read(LENGTHS.size))
        if head > MAX_HEADER or body > MAX_BODY:
            self.leave()
        return self._read(head), self._read(body)

    def send(self, header: Header, body: bytes = b"") -> None:
        """Send one frame; leaves the process when nobody listens."""
        import json

        self.send_raw(json.dumps(header).encode(), body)

    def send_raw(self, head: bytes, body: bytes = b"") -> None:
        """Send a frame whose header is encoded already."""
        rest = memoryview(LENGTHS.pack(len(head), len(body)) + head + body)
        try:
            while rest:
                rest = rest[os.write(self.writer, rest) :]
        except OSError:
            self.leave()

    def leave(self) -> NoReturn:
        """End the supervisor, which as process 1 takes the whole sandbox with it."""
        self.on_leave()
        os._exit(0)
