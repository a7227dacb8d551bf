"""The DevTools protocol over Chromium's pipe: commands, answers, events. One connection per browser and event loop."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from turnwise.envs.gui.engine.errors import BrowserDied, PageGone, ProtocolError
from turnwise.errors import EnvError, MissingExtraError

try:
    import orjson
except ImportError as error:
    raise MissingExtraError.of("gui", "orjson") from error

Events = Callable[[str, dict[str, Any]], None]
_READ = 1 << 18
_LONGEST = 256 << 20
"""Bytes of one message after which the browser is given up: no page's snapshot is that large by honest means."""


class Channel:
    """One DevTools session: the browser's or a page's."""

    def __init__(self, connection: "Connection", ident: str, events: Events) -> None:
        self.connection, self.ident, self.events = connection, ident, events
        self.waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.methods: dict[int, str] = {}
        self.expected: asyncio.Future[dict[str, Any]] | None = None
        self.broken: EnvError | None = None

    def send(self, method: str, **params: Any) -> "asyncio.Future[dict[str, Any]]":
        """Send a command at once; the future holds its answer. Commands of one channel arrive in order.

        A future that nobody awaits may fail unseen.
        """
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if (broken := self.broken or self.connection.broken) is not None:
            future.set_exception(type(broken)(str(broken)))
            return future
        number = self.connection.write(self.ident, method, params)
        self.waiting[number], self.methods[number] = future, method
        return future

    def expect(self, future: "asyncio.Future[dict[str, Any]]") -> None:
        """Let a future that an event is to fulfil fail with the channel."""
        future.add_done_callback(_seen)
        self.expected = future

    def answered(self, message: dict[str, Any]) -> None:
        """Take the answer to a command."""
        self.methods.pop(message["id"], None)
        future = self.waiting.pop(message["id"], None)
        if future is None or future.done():
            return
        if "error" in message:
            error = message["error"]
            future.set_exception(ProtocolError(f"{error.get('message')} {error.get('data', '')}".strip()))
        else:
            future.set_result(message["result"])

    def fail(self, error: EnvError) -> None:
        """Let every command fail, those in flight and those to come."""
        self.broken = self.broken or error
        waiting, self.waiting = self.waiting, {}
        for future in (*waiting.values(), self.expected):
            if future is not None and not future.done():
                future.set_exception(type(error)(str(error)))

    def forget(self) -> None:
        """Stop listening."""
        self.connection.channels.pop(self.ident, None)
        self.fail(PageGone("the tab was closed"))


def _seen(future: "asyncio.Future[dict[str, Any]]") -> None:
    if not future.cancelled():
        future.exception()


def _unheard(method: str, params: dict[str, Any]) -> None:
    """Hear nothing."""


def _written(message: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(message)
    except orjson.JSONEncodeError:
        # Half a surrogate pair, which JavaScript's strings may hold.
        return json.dumps(message, separators=(",", ":")).encode()


def _read(text: bytearray) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


class Connection:
    """A browser's pipe, read by this event loop."""

    def __init__(self, pipe: socket.socket, died: Callable[[], str]) -> None:
        self.pipe, self.died = pipe, died
        self.loop = asyncio.get_running_loop()
        self.channels: dict[str, Channel] = {}
        self.broken: EnvError | None = None
        self.numbers = 0
        self.unread = bytearray()
        self.unsent = bytearray()
        self.searched = 0
        self.root = Channel(self, "", _unheard)
        self.channels[""] = self.root
        self.loop.add_reader(pipe, self._readable)

    def channel(self, ident: str, events: Events) -> Channel:
        """Open a channel for a session that the browser has attached."""
        channel = self.channels[ident] = Channel(self, ident, events)
        return channel

    def write(self, ident: str, method: str, params: dict[str, Any]) -> int:
        """Queue a command; return its number."""
        self.numbers += 1
        message: dict[str, Any] = {"id": self.numbers, "method": method, "params": params}
        if ident:
            message["sessionId"] = ident
        if not self.unsent:
            # Not at once: commands that follow now go out together, and wake the browser once.
            self.loop.call_soon(self._flush)
        self.unsent += _written(message) + b"\0"
        return self.numbers

    def _flush(self) -> None:
        self._writable()
        if self.unsent and self.broken is None:
            self.loop.add_writer(self.pipe, self._writable)

    def take_over(self, old: "Connection") -> None:
        """Go on where a connection of another, closed event loop stopped."""
        self.numbers, self.unread, self.searched = old.numbers, old.unread, old.searched
        self.unsent = old.unsent
        if self.unsent:
            self.loop.add_writer(self.pipe, self._writable)

    def close(self) -> None:
        """Leave the pipe alone; all channels break."""
        self._break(BrowserDied("the browser was closed"))

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self.pipe.send(data)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError:
            self._dead()
            return len(data)

    def _writable(self) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            del self.unsent[: self._send(self.unsent)]
        if not self.unsent and self.broken is None:
            self.loop.remove_writer(self.pipe)

    def _readable(self) -> None:
        try:
            data = self.pipe.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data or len(self.unread) > _LONGEST:
            self._dead()
            return
        self.unread += data
        while (end := self.unread.find(b"\0", self.searched)) >= 0:
            message = _read(self.unread[:end])
            del self.unread[: end + 1]
            self.searched = 0
            self._dispatch(message)
        self.searched = len(self.unread)

    def _dispatch(self, message: dict[str, Any]) -> None:
        channel = self.channels.get(message.get("sessionId", ""))
        if channel is None:
            return
        if "id" in message:
            channel.answered(message)
        else:
            channel.events(message["method"], message["params"])

    def _dead(self) -> None:
        if self.broken is None:
            said = self.died()
            self._break(BrowserDied("the browser ended" + (f"; it said: {said}" if said else "")))

    def _break(self, error: EnvError) -> None:
        if self.broken is not None:
            return
        self.broken = error
        if not self.loop.is_closed() and self.pipe.fileno() >= 0:
            self.loop.remove_reader(self.pipe)
            self.loop.remove_writer(self.pipe)
        for channel in list(self.channels.values()):
            channel.fail(error)
