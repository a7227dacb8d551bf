"""One episode in the browser: a fresh context, its tabs, and what its pages tried."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnwise.envs.gui.engine.errors import PageHung
from turnwise.envs.gui.engine.tab import Tab
from turnwise.envs.gui.engine.web import Site
from turnwise.errors import EnvError

if TYPE_CHECKING:
    from turnwise.envs.gui.engine.browser import Browser

REMEMBERED = 50
"""Dialogs and refused requests that are remembered."""
WINDOWS = 100
"""Windows turned away after which the episode fails."""
LONGEST = 300
"""Characters of a dialog's message or a refused address that are kept."""


def _unheard(method: str, params: dict[str, Any]) -> None:
    """Hear nothing."""


class Session:
    """A fresh browser context. Made by ``Engine.open``."""

    def __init__(self, browser: "Browser", context: str) -> None:
        self.browser, self.context, self.root = browser, context, browser.root
        self.config = browser.config
        self.sites: Mapping[str, Site] = {}
        self.init_scripts: Sequence[str] = ()
        self.library = ""
        """Run in the isolated world of every document."""
        self.viewport = (1024, 768)
        self.tabs: list[Tab] = []
        self.active_index = 0
        self.arrivals: list[Tab] = []
        """Tabs that pages opened and that have not been brought up yet."""
        self.dialogs: list[str] = []
        """What alerts, confirmations and prompts said; each was dismissed."""
        self.blocked: list[str] = []
        """Addresses that pages asked for in vain, and windows beyond the most."""
        self.uploads: dict[str, str] = {}
        """Files that may be uploaded: their names to their paths."""
        self.broken: EnvError | None = None
        self.closed = False
        self.gone: asyncio.Future[None] | None = None
        """Done once the browser has thrown the context away; None while it is open."""
        self._dialogs = 0
        self._windows = 0
        self._arrived: asyncio.Future[Tab] | None = None
        self._folder: str | None = None

    @property
    def active(self) -> Tab:
        """The tab in front."""
        return self.tabs[self.active_index]

    async def prepare(self) -> None:
        """Set up the context and its first tab, before it is known whose it will be."""
        self.root.send("Browser.setDownloadBehavior", behavior="deny", browserContextId=self.context)
        await self.new_tab()

    async def begin(
        self,
        sites: Mapping[str, Site],
        *,
        viewport: tuple[int, int],
        uploads: Sequence[str | Path],
        init_scripts: Sequence[str],
        library: str,
    ) -> None:
        """Make it an episode's."""
        self.library = library
        self.sites, self.viewport, self.init_scripts = sites, viewport, tuple(init_scripts)
        self._lend(uploads)
        await self.active.dress()

    async def new_tab(self) -> Tab:
        """Open an empty tab and bring it to the front."""
        self._arrived = asyncio.get_running_loop().create_future()
        await self.root.send(
            "Target.createTarget", url="about:blank", browserContextId=self.context, enableBeginFrameControl=True
        )
        # Not asyncio.wait_for, which in Python 3.11 loses a cancellation that comes with the answer.
        async with asyncio.timeout(self.config.step_timeout_s):
            tab = await self._arrived
        self.arrivals.clear()
        await tab.ready
        return tab

    async def bring_up(self, tab: Tab, ms: float) -> None:
        """Let the tabs that pages opened since the last time load; have at least one tab."""
        while self.arrivals:
            arrived = self.arrivals.pop(0)
            if arrived is not tab and arrived in self.tabs:
                await arrived.settle(ms)
        if not self.tabs and not self.closed:
            await self.new_tab()

    async def close_tab(self, index: int) -> None:
        """Close a tab; another one comes to the front, a new empty one if it was the last."""
        tab = self.tabs[index]
        await self.root.send("Target.closeTarget", targetId=tab.target)
        self.detached(tab.channel.ident)
        if not self.tabs:
            await self.new_tab()

    async def focus_tab(self, index: int) -> None:
        """Bring a tab to the front."""
        await self.tabs[index].cdp("Page.bringToFront")
        self.active_index = index

    async def close(self) -> None:
        """Throw the context away; returns when the browser has done so."""
        self.abandon()
        if self.gone is not None:
            with contextlib.suppress(EnvError, TimeoutError):
                async with asyncio.timeout(self.config.step_timeout_s):
                    await asyncio.shield(self.gone)

    def abandon(self) -> None:
        """Throw the context away without waiting."""
        self.leave()
        self.browser.clear()

    def leave(self) -> None:
        """Have the context thrown away once the browser has nothing better to do; may be called twice."""
        if self.closed:
            return
        self.closed = True
        self.gone = asyncio.get_running_loop().create_future()
        for tab in self.tabs:
            tab.channel.forget()
        self.tabs = []
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self.browser.drop(self)

    def fail(self, error: EnvError) -> None:
        """Let everything that the episode still does fail with this."""
        self.broken = self.broken or error
        for tab in self.tabs:
            tab.channel.fail(error)

    def refuse(self, what: str) -> None:
        """Remember something that was refused."""
        if len(self.blocked) < REMEMBERED:
            self.blocked.append(what[:LONGEST])

    def said(self, message: str) -> None:
        """Remember a dialog; too many fail the episode."""
        self._dialogs += 1
        if len(self.dialogs) < REMEMBERED:
            self.dialogs.append(message[:LONGEST])
        if self._dialogs > self.config.dialogs:
            self.fail(PageHung(f"the page opened more than {self.config.dialogs} dialogs"))

    def attached(self, ident: str, info: dict[str, Any]) -> None:
        """Take a new page, ours or one that a page opened."""
        if len(self.tabs) >= self.config.tabs or self.closed:
            self._turn_away(ident, info)
            return
        tab = Tab(self, ident, info)
        self.tabs.append(tab)
        self.active_index = len(self.tabs) - 1
        self.arrivals.append(tab)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(tab)

    def _turn_away(self, ident: str, info: dict[str, Any]) -> None:
        """Close a window that a page opened in vain; very many fail the episode."""
        self._windows += 1
        self.refuse(f"window {info.get('url', '')}")
        # A page that waits to be let go holds up its opener, even while it is being closed.
        self.browser.connection.channel(ident, _unheard).send("Runtime.runIfWaitingForDebugger")
        self.root.send("Target.closeTarget", targetId=info["targetId"])
        self.browser.connection.channels.pop(ident, None)
        if self._windows > WINDOWS:
            self.fail(PageHung(f"the page opened more than {WINDOWS} windows"))

    def detached(self, ident: str) -> None:
        """Forget a page that was closed."""
        for index, tab in enumerate(self.tabs):
            if tab.channel.ident == ident:
                tab.channel.forget()
                del self.tabs[index]
                if self.active_index >= index:
                    self.active_index = max(0, self.active_index - 1)

    def _lend(self, uploads: Sequence[str | Path]) -> None:
        """Copy the files where the browser's user can read them."""
        if not uploads:
            return
        self._folder = tempfile.mkdtemp(prefix="turnwise-uploads-")
        Path(self._folder).chmod(0o755)
        for path in map(Path, uploads):
            copy = Path(self._folder) / path.name
            shutil.copyfile(path, copy)
            copy.chmod(0o644)
            self.uploads[path.name] = str(copy)
