"""The host's end of the channel to a supervisor. Everything that arrives is data of unknown intent."""

import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import anyio

from turnwise.errors import SandboxError

LENGTHS = struct.Struct(">II")
MAX_HEADER = 1 << 20
MAX_BODY = 64 << 20
DOCKER_HEADER = struct.Struct(">BxxxI")
Header = dict[str, Any]
_encode = json.JSONEncoder(separators=(",", ":")).encode


class ChannelClosed(SandboxError):  # noqa: N818 - a state, told apart from a malformed frame
    """The other end is gone."""


class MalformedFrame(SandboxError):  # noqa: N818 - a state, told apart from a closed channel
    """The other end sent something that is no frame."""


class Channel:
    """Frames over a connected stream socket.

    Args:
        sock: The socket, taken over by this object.
        multiplexed: The stream is Docker's, whose chunks carry a header of eight bytes of their own.
    """

    def __init__(self, sock: socket.socket, *, multiplexed: bool = False) -> None:
        self._sock = sock
        self._sock.settimeout(0)
        self._multiplexed = multiplexed
        self._raw = bytearray()
        self._buffer = bytearray()
        self.closed = False

    async def send(self, header: Header, body: bytes | memoryview = b"") -> None:
        """Send one frame.

        Raises:
            ChannelClosed: The other end is gone.
        """
        await self.send_encoded(_encode(header).encode(), body)

    async def send_encoded(self, text: bytes, body: bytes | memoryview = b"") -> None:
        """Send one frame whose header is encoded already."""
        await self.send_raw(LENGTHS.pack(len(text), len(body)) + text + body)

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._sock)
            except OSError as error:
                raise ChannelClosed(f"the sandbox is gone: {error.strerror}") from error

    async def receive(self) -> tuple[Header, bytes]:
        """Wait for one frame.

        Raises:
            ChannelClosed: The other end is gone.
            MalformedFrame: Its lengths or its header are not what a supervisor sends.
        """
        head, body = LENGTHS.unpack(await self._exactly(LENGTHS.size))
        if head > MAX_HEADER or body > MAX_BODY:
            raise MalformedFrame(f"a frame of {head} + {body} bytes is larger than any that a supervisor sends")
        try:
            header = json.loads(await self._exactly(head))
        except (ValueError, RecursionError) as error:
            raise MalformedFrame(f"a frame's header is not JSON: {error}") from error
        if not isinstance(header, dict):
            raise MalformedFrame(f"a frame's header is {type(header).__name__}, not an object")
        return header, await self._exactly(body)

    async def replies(self) -> AsyncIterator[tuple[Header, bytes]]:
        """Yield the frames of one answer, the last of which has no ``more``."""
        while True:
            header, body = await self.receive()
            yield header, body
            if not header.get("more"):
                return

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            chunk = await self._some()
            self._buffer += self._demultiplex(chunk) if self._multiplexed else chunk
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def _some(self) -> bytes:
        while True:
            try:
                chunk = self._sock.recv(1 << 18)
            except BlockingIOError:
                await anyio.wait_readable(self._sock)
                continue
            except OSError as error:
                raise ChannelClosed(f"the sandbox is gone: {error.strerror}") from error
            if not chunk:
                raise ChannelClosed("the sandbox is gone: its channel ended")
            return chunk

    def _demultiplex(self, chunk: bytes) -> bytes:
        """Take Docker's chunks apart, keeping those of stdout."""
        self._raw += chunk
        out = bytearray()
        while len(self._raw) >= DOCKER_HEADER.size:
            stream, size = DOCKER_HEADER.unpack_from(self._raw)
            end = DOCKER_HEADER.size + size
            if len(self._raw) < end:
                break
            if stream == 1:
                out += self._raw[DOCKER_HEADER.size : end]
            del self._raw[:end]
        return bytes(out)

    def close(self) -> None:
        """Close the socket, which tells the supervisor to end."""
        if not self.closed:
            self.closed = True
            self._sock.close()
