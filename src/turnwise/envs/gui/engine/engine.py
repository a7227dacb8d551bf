"""The shared engine: hands out sessions, replaces a browser that died or has served long enough."""

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from turnwise.envs.gui.engine.browser import Browser
from turnwise.envs.gui.engine.config import EngineConfig
from turnwise.envs.gui.engine.errors import BrowserDied, PageCrashed
from turnwise.envs.gui.engine.keeper import Keeper
from turnwise.envs.gui.engine.session import Session
from turnwise.envs.gui.engine.web import Site
from turnwise.errors import EnvError


class Engine:
    """One browser for all episodes of an event loop that want the same configuration."""

    _engines: ClassVar[dict[tuple[EngineConfig, int], "Engine"]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.loop = asyncio.get_running_loop()
        self.browser: Browser | None = None
        self.inherited: Browser | None = None
        """What an event loop that is closed left behind."""
        self.loading = asyncio.Semaphore(config.loads)
        """Held by an episode while its first page loads."""
        self._starting = asyncio.Lock()

    @classmethod
    async def shared(cls, config: EngineConfig | None = None) -> "Engine":
        """Return this event loop's engine of that configuration; its browser starts with the first session."""
        config = config or EngineConfig()
        loop = asyncio.get_running_loop()
        with cls._lock:
            left = cls._left(config)
            engine = cls._engines.setdefault((config, id(loop)), cls(config))
            engine.inherited = engine.inherited or left
            return engine

    @classmethod
    def _left(cls, config: EngineConfig) -> Browser | None:
        """Return a browser that a closed event loop left behind, and end the others of that kind."""
        found = None
        for key, engine in list(cls._engines.items()):
            if not engine.loop.is_closed():
                continue
            del cls._engines[key]
            for browser in (engine.browser, engine.inherited):
                if browser is None or not browser.alive:
                    continue
                if found is None and engine.config == config and not browser.retired:
                    found = browser
                else:
                    Keeper.shared().end_soon(browser.chromium)
        return found

    async def open(
        self,
        sites: Mapping[str, Site],
        *,
        viewport: tuple[int, int] = (1024, 768),
        uploads: Sequence[str | Path] = (),
        init_scripts: Sequence[str] = (),
        library: str = "",
    ) -> Session:
        """Open a session in a fresh context with one empty tab.

        Args:
            sites: What answers requests, by host name; nothing else can be reached.
            viewport: Width and height in CSS pixels.
            uploads: Files that may be given to the pages' file fields.
            init_scripts: Run in every document before its own scripts.
            library: Run in the isolated world of every document, which calls its functions by name.

        Raises:
            EnvError: There is no browser, or it died.
        """
        for last in (False, True):
            session = await self._fresh()
            try:
                await session.begin(
                    sites, viewport=viewport, uploads=uploads, init_scripts=init_scripts, library=library
                )
            except (PageCrashed, BrowserDied):
                # A spare one may have died unseen; a fresh one has not.
                session.abandon()
                if last:
                    raise
            except BaseException:
                session.abandon()
                raise
            else:
                return session
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """End the browser and whatever runs in it."""
        browser, self.browser = self.browser, None
        if browser is not None:
            await browser.end()

    async def _fresh(self) -> Session:
        browser = await self._current()
        try:
            return await browser.take()
        except (BrowserDied, TimeoutError):
            await browser.end()
        try:
            return await (await self._current()).take()
        except TimeoutError as error:
            raise BrowserDied(f"the browser made no context within {self.config.launch_timeout_s:g} s") from error

    async def _current(self) -> Browser:
        async with self._starting:
            inherited, self.inherited = self.inherited, None
            if inherited is not None and self.browser is None:
                self.browser = await _adopted(inherited)
            browser = self.browser
            if browser is not None and browser.alive and browser.opened >= self.config.restart_after:
                browser.retire()
                browser = None
            if browser is None or not browser.alive:
                browser = self.browser = await Browser.launch(self.config)
            return browser


async def _adopted(browser: Browser) -> Browser | None:
    try:
        return await Browser.adopt(browser)
    except (EnvError, TimeoutError):
        await Keeper.shared().end(browser.chromium)
        return None


os.register_at_fork(after_in_child=Engine._engines.clear)
