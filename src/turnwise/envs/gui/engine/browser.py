"""One running browser as an event loop uses it: its sessions, fresh and spare ones, and its end."""

import asyncio
import contextlib
from functools import partial
from typing import Any

from turnwise.envs.gui.engine.cdp import Connection
from turnwise.envs.gui.engine.config import EngineConfig, find_executable
from turnwise.envs.gui.engine.keeper import Chromium, Keeper
from turnwise.envs.gui.engine.session import Session
from turnwise.errors import EnvError

PATIENCE_S = 0.1
"""Seconds that what can wait for a page to load waits for one."""


class Browser:
    """A browser and the sessions in it."""

    def __init__(self, config: EngineConfig, chromium: Chromium) -> None:
        self.config, self.chromium = config, chromium
        self.connection = Connection(chromium.pipe, self._died)
        self.root = self.connection.root
        self.root.events = self._event
        self.sessions: dict[str, Session] = {}
        self.spares: list[Session] = []
        self.left: list[Session] = []
        """Sessions that are over, whose contexts have yet to be thrown away."""
        self.wanting = False
        """Whether a spare session is to be made."""
        self.opened = 0
        self.drawing = asyncio.Lock()
        self.alive = True
        self.retired = False
        self._work: set[asyncio.Task[Any]] = set()

    @classmethod
    async def launch(cls, config: EngineConfig) -> "Browser":
        """Start a browser for the running event loop.

        Raises:
            EnvError: It does not start; the message holds what it said.
        """
        chromium = await Keeper.shared().launch(config)
        browser = cls(config, chromium)
        try:
            async with asyncio.timeout(config.launch_timeout_s):
                await browser._listen()
        except (EnvError, TimeoutError) as error:
            said = chromium.last_words()
            await browser.end()
            raise EnvError(f"the browser {find_executable(config)} did not start. It said: {said or error}") from error
        return browser

    @classmethod
    async def adopt(cls, old: "Browser") -> "Browser":
        """Go on with the browser of an event loop that is closed; all that ran in it is thrown away."""
        browser = cls(old.config, old.chromium)
        browser.connection.take_over(old.connection)
        browser.opened = old.opened
        async with asyncio.timeout(old.config.launch_timeout_s):
            left = (await browser.root.send("Target.getBrowserContexts"))["browserContextIds"]
            for context in left:
                browser.root.send("Target.disposeBrowserContext", browserContextId=context)
            await browser._listen()
        return browser

    async def _listen(self) -> None:
        """Have every page attached before it runs anything."""
        pages = [{"type": "page", "exclude": False}]
        await self.root.send(
            "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True, filter=pages
        )

    async def take(self) -> Session:
        """Return a session in a fresh context; the next spare one is made when there is time."""
        self.opened += 1
        session = self._spare() or await self._fresh()
        self.wanting = True
        self._later()
        return session

    def relieve(self) -> None:
        """Do what has waited until a page is busy with itself: the browser's one thread is then free for it."""
        self.clear()
        wanting, self.wanting = self.wanting, False
        if wanting and len(self.spares) < self.config.spares and not self.retired:
            self._spawn(self._stock())

    def clear(self) -> None:
        """Throw away the contexts of sessions that are over."""
        left, self.left = self.left, []
        for session in left:
            disposed = self.root.send("Target.disposeBrowserContext", browserContextId=session.context)
            disposed.add_done_callback(partial(_gone, session))

    def _later(self) -> None:
        """Relieve the browser soon, whether or not a page loads meanwhile."""
        self.connection.loop.call_later(PATIENCE_S, self.relieve)

    def _spare(self) -> Session | None:
        while self.spares:
            session = self.spares.pop()
            if session.broken is None:
                return session
            session.abandon()
        return None

    def drop(self, session: Session) -> None:
        """Take note of a session that is over; a retired browser ends with its last one."""
        self.sessions.pop(session.context, None)
        self.left.append(session)
        self._later()
        if self.retired:
            self.retire()

    def retire(self) -> None:
        """Take no more episodes, and end when the last one is over."""
        self.retired = True
        while self.spares:
            self.spares.pop().leave()
        if not self.sessions:
            self._spawn(self.end())

    async def end(self) -> None:
        """End the browser now; what still runs in it fails."""
        self.alive = False
        self.connection.close()
        self.sessions.clear()
        self.clear()
        await Keeper.shared().end(self.chromium)

    async def _fresh(self) -> Session:
        context = await self._context()
        session = self.sessions[context] = Session(self, context)
        try:
            async with asyncio.timeout(self.config.launch_timeout_s):
                await session.prepare()
        except BaseException:
            session.abandon()
            raise
        return session

    async def _context(self) -> str:
        made = self.root.send("Target.createBrowserContext", disposeOnDetach=True)
        try:
            return str((await asyncio.shield(made))["browserContextId"])
        except asyncio.CancelledError:
            # The browser makes it all the same, and nobody else would learn its name.
            made.add_done_callback(self._discard)
            raise

    def _discard(self, made: "asyncio.Future[dict[str, Any]]") -> None:
        if made.exception() is None:
            self.root.send("Target.disposeBrowserContext", browserContextId=made.result()["browserContextId"])

    async def _stock(self) -> None:
        with contextlib.suppress(Exception):
            session = await self._fresh()
            if self.retired:
                session.leave()
            else:
                self.spares.append(session)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Target.attachedToTarget":
            info = params["targetInfo"]
            session = self.sessions.get(info.get("browserContextId", ""))
            if session is None:
                self.root.send("Target.closeTarget", targetId=info["targetId"])
            else:
                session.attached(params["sessionId"], info)
        elif method == "Target.detachedFromTarget":
            for session in list(self.sessions.values()):
                session.detached(params["sessionId"])

    def _died(self) -> str:
        self.alive = False
        self.sessions.clear()
        self.spares.clear()
        if not self.connection.loop.is_closed():
            self.connection.loop.call_soon(self.clear)
            self._spawn(Keeper.shared().end(self.chromium))
        return self.chromium.last_words()


def _gone(session: Session, _: "asyncio.Future[dict[str, Any]]") -> None:
    if session.gone is not None and not session.gone.done():
        session.gone.set_result(None)
