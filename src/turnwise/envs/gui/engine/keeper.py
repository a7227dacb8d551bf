"""Starts Chromium through Playwright and keeps it, in a thread of its own, for all event loops of the process.

Playwright starts the browser, makes and removes its profile and kills its process group. The DevTools pipe itself goes
to us (see ``launcher``), since a command through Playwright's driver costs three times one on the pipe. So Playwright
attaches to nothing, and what it says at its own start is answered here.
"""

import asyncio
import atexit
import contextlib
import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from turnwise.envs.gui.engine.config import EngineConfig, find_executable
from turnwise.errors import EnvError, MissingExtraError

LAUNCHER = Path(__file__).with_name("launcher.py")
FLAGS = (
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-new-content-rendering-timeout",
    "--disable-threaded-animation",
    "--disable-threaded-scrolling",
    "--disable-checker-imaging",
    "--disable-image-animation-resync",
    "--disable-features=DeferRendererTasksAfterInput,PaintHoldingForIframes",
    "--disable-gpu",
    "--disable-site-isolation-trials",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--js-flags=--random-seed=1,--max-old-space-size=512",
    "--lang=en-US",
    "--font-render-hinting=none",
    "--deny-permission-prompts",
    "--disable-notifications",
    "--disable-file-system",
    "--disable-databases",
    "--disable-crash-reporter",
)
"""What Playwright's own flags leave open: frames only when asked for, no network, no prompts."""


class Chromium:
    """A running browser, its process group ``pid``, and our end of its pipe."""

    def __init__(self, pipe: socket.socket, pid: int, errors: Path, *, network_isolated: bool) -> None:
        self.pipe, self.pid, self.errors, self.network_isolated = pipe, pid, errors, network_isolated
        self.handle: Any = None
        self.talk: list[socket.socket] = []
        """Playwright's ends of the pipe it made: what it says, what it hears."""

    def last_words(self) -> str:
        """Return what it wrote to its standard error lately."""
        with contextlib.suppress(OSError):
            lines = [line for line in self.errors.read_text(errors="replace").splitlines() if line.strip()]
            telling = [line for line in lines if "FATAL" in line or "Error" in line] or lines
            return " ".join(telling[-3:])[-500:]
        return ""


class Keeper:
    """The thread in which Playwright lives. One per process, made when first needed."""

    _one: "Keeper | None" = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="turnwise-browsers", daemon=True)
        self.thread.start()
        self.playwright: Any = None
        self.running: set[Chromium] = set()
        self.folder = tempfile.mkdtemp(prefix="turnwise-browser-")
        Path(self.folder).chmod(0o700)
        self.starting = asyncio.Lock()

    @classmethod
    def shared(cls) -> "Keeper":
        """Return the process's keeper."""
        with cls._lock:
            if cls._one is None:
                cls._one = cls()
                atexit.register(cls._one.stop)
            return cls._one

    async def launch(self, config: EngineConfig) -> Chromium:
        """Start a browser; called from any event loop.

        Raises:
            EnvError: There is no browser, or it does not start; the message holds what it said.
        """
        executable = find_executable(config)
        if not config.chromium_sandbox:
            warnings.warn("Chromium runs without its sandbox: a page that breaks it is out.", UserWarning, stacklevel=3)
        return await asyncio.wrap_future(self._do(self._launch(config, executable)))

    async def end(self, chromium: Chromium) -> None:
        """Stop a browser and wait until its processes and profile are gone."""
        await asyncio.wrap_future(self._do(self._end(chromium)))

    def end_soon(self, chromium: Chromium) -> None:
        """Stop a browser that no event loop looks after any more."""
        self._do(self._end(chromium))

    def stop(self) -> None:
        """Stop all browsers and the thread; what the interpreter's exit calls."""
        with contextlib.suppress(Exception):
            self._do(self._stop()).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def _launch(self, config: EngineConfig, executable: str) -> Chromium:
        async with self.starting:
            await self._start_playwright()
            path = str(Path(self.folder) / "handover")
            with _listener(path) as listener:
                return await self._handed_over(config, listener, path, self._script(path, executable, config.uid))

    async def _start_playwright(self) -> None:
        if self.playwright is not None:
            return
        try:
            from playwright.async_api import async_playwright
        except ImportError as error:
            raise MissingExtraError.of("gui", "playwright") from error
        self.playwright = await async_playwright().start()

    def _script(self, path: str, executable: str, uid: int) -> str:
        words = [sys.executable, "-I", "-S", str(LAUNCHER), path, executable, str(uid)]
        script = Path(self.folder) / "chromium"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        script.chmod(0o700)
        return str(script)

    async def _handed_over(self, config: EngineConfig, listener: socket.socket, path: str, script: str) -> Chromium:
        opening = asyncio.create_task(self._open(config, script))
        accepting = asyncio.create_task(_accept(listener, path))
        try:
            await asyncio.wait((opening, accepting), return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                opening.result()
            chromium = accepting.result()
            self.running.add(chromium)
            self._answer(chromium)
            chromium.handle = await opening
        except Exception as error:
            raise EnvError(f"the browser did not start: {_brief(error)}") from error
        finally:
            accepting.cancel()
        return chromium

    async def _open(self, config: EngineConfig, script: str) -> Any:
        return await self.playwright.chromium.launch(
            executable_path=script,
            args=list(FLAGS),
            chromium_sandbox=config.chromium_sandbox,
            timeout=config.launch_timeout_s * 1000,
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )

    def _answer(self, chromium: Chromium) -> None:
        """Answer what Playwright says at its start and end: its version question, and that nothing needs attaching."""
        hears, speaks = chromium.talk
        held = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):
                data = hears.recv(65536)
                held.extend(data)
                if not data:
                    self.loop.remove_reader(hears)
            while (end := held.find(b"\0")) >= 0:
                message = json.loads(bytes(held[:end]))
                del held[: end + 1]
                with contextlib.suppress(OSError):
                    speaks.sendall(json.dumps({"id": message["id"], "result": _answers(message)}).encode() + b"\0")

        self.loop.add_reader(hears, read)

    async def _end(self, chromium: Chromium) -> None:
        if chromium not in self.running:
            return
        self.running.discard(chromium)
        chromium.pipe.close()
        for end in chromium.talk:
            self.loop.remove_reader(end)
            end.close()
        with contextlib.suppress(Exception):
            await chromium.handle.close()
        with contextlib.suppress(OSError):
            chromium.errors.unlink()

    async def _stop(self) -> None:
        await asyncio.gather(*(self._end(chromium) for chromium in list(self.running)))
        if self.playwright is not None:
            await self.playwright.stop()


def _listener(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    listener.settimeout(0)
    return listener


async def _accept(listener: socket.socket, path: str) -> Chromium:
    loop = asyncio.get_running_loop()
    channel, _ = await loop.sock_accept(listener)
    with channel:
        readable = asyncio.Event()
        loop.add_reader(channel, readable.set)
        await readable.wait()
        loop.remove_reader(channel)
        word, handed, _, _ = socket.recv_fds(channel, 64, 3)
    hears, speaks, pipe = (socket.socket(fileno=handle) for handle in handed)
    pid, isolated = word.split()
    pipe.settimeout(0)
    hears.settimeout(0)
    chromium = Chromium(pipe, int(pid), Path(f"{path}.{int(pid)}"), network_isolated=isolated == b"1")
    chromium.talk = [hears, speaks]
    return chromium


def _answers(message: dict[str, Any]) -> dict[str, str]:
    if message["method"] != "Browser.getVersion":
        return {}
    return {"product": "HeadlessChrome/100.0.0.0", "revision": "", "userAgent": "HeadlessChrome", "jsVersion": ""}


def _brief(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:600]


def _forget() -> None:
    """A forked child has neither the thread nor the browsers, and must not hold their pipes open."""
    keeper, Keeper._one = Keeper._one, None
    Keeper._lock = threading.Lock()
    for chromium in keeper.running if keeper is not None else ():
        for end in (chromium.pipe, *chromium.talk):
            end.close()


os.register_at_fork(after_in_child=_forget)
