"""One tab: addresses, scripts in an isolated world, input, time, and what is on the page."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from turnwise.envs.gui.engine import snapshot
from turnwise.envs.gui.engine.errors import PageCrashed, PageGone, PageHung, PageTooLarge, ProtocolError
from turnwise.envs.gui.engine.input import Input
from turnwise.envs.gui.engine.web import NOT_FOUND, answer, checked, fulfilment, request_of, site_of
from turnwise.errors import EnvError

if TYPE_CHECKING:
    from turnwise.envs.gui.engine.session import Session

EPOCH = 1_704_110_400
"""What every page's clock shows at the start: noon of 1 January 2024, UTC, in seconds."""
SETTLE_MS = 500.0
"""How far pages' clocks move after an action."""
STARVATION = 10_000
"""Tasks without a pause after which the clock moves all the same."""
ELEMENTS, CHARACTERS = 50_000, 5_000_000
"""The largest page that is shown."""
SIZE = """() => [document.getElementsByTagName("*").length, (document.documentElement?.textContent ?? "").length]"""
LISTEN = """() => {
  globalThis.heard = false;
  addEventListener("mousemove", () => { globalThis.heard = true }, {capture: true, once: true});
}"""
TRIES = 10
"""Frames after which a document that still hears nothing gets its input all the same."""
FRAME_APART = 0.01
"""Milliseconds between frames drawn at one time of the page's clock. Chromium cuts to whole microseconds, and never
answers for a frame that is then no later than the last one."""
NAVIGATIONS = 20
"""Documents one after another that are waited for after one action; a page that goes on and on is stopped there."""
REDIRECTS = 10
"""Redirects one after another that are followed."""
TRAVEL = "https://history.turnwise.invalid/"
"""Where pages' ``history.go`` leads: begun by the page, such a navigation leaves virtual time waiting for ever."""
CLOCK = """(() => {
  const start = Date.now(), now = () => Date.now() - start, later = setTimeout, never = clearTimeout;
  performance.now = now;
  window.requestAnimationFrame = f => later(() => f(now()), 16);
  window.cancelAnimationFrame = id => never(id);
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel", "WebTransport"])
    delete window[name];
  const travel = way => { location.href = "https://history.turnwise.invalid/" + way };
  History.prototype.go = way => { way = Math.trunc(+way) || 0; way ? travel(way) : location.reload() };
  History.prototype.back = () => travel(-1);
  History.prototype.forward = () => travel(1);
})()"""
"""Lets times within a document follow the page's clock, and takes away what would reach around the interception."""

_MEMBER = "function (name) { return this[name] ?? null }"
_WITHOUT = "function (names) { return Object.fromEntries(Object.entries(this).filter(([n]) => !names.includes(n))) }"


class Tab(Input):
    """A page of a session."""

    def __init__(self, session: "Session", ident: str, info: dict[str, Any]) -> None:
        self.session, self.target = session, info["targetId"]
        self.shares_clock = bool(info.get("canAccessOpener"))
        """Runs in the process of the page that opened it, whose clock is its own."""
        self.config = session.config
        self.channel = session.browser.connection.channel(ident, self._event)
        self.url = "about:blank"
        self.worlds: dict[str, int] = {}
        self.arrived: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.expiry: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.navigations = 0
        self.heeds = False
        self.redirects: dict[str, int] = {}
        self.travel = 0
        """How far a page's script wants to go in the history."""
        self.elapsed = 0.0
        self.ticks = 0.0
        self.frames = 0
        """How many were drawn; each gets a time just after the last one's."""
        self.inner: dict[int, str] = {}
        """For nodes in frames of the page, as of the last snapshot: the frame."""
        self.ready = asyncio.ensure_future(self._set_up())
        self.ready.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _set_up(self) -> None:
        send = self.channel.send
        ticks = None if self.shares_clock else self._stop_clock()
        send("Page.enable")
        send("Fetch.enable", patterns=[{"urlPattern": "*"}])
        send("Page.setInterceptFileChooserDialog", enabled=True)
        send("Emulation.setFocusEmulationEnabled", enabled=True)
        send("Page.addScriptToEvaluateOnNewDocument", source=CLOCK, runImmediately=True)
        send("HeadlessExperimental.enable")
        self._dress()
        await send("Runtime.runIfWaitingForDebugger")
        if ticks is not None:
            self.ticks = (await ticks)["virtualTimeTicksBase"]

    def _stop_clock(self) -> "asyncio.Future[dict[str, Any]]":
        return self.channel.send("Emulation.setVirtualTimePolicy", policy="pause", initialVirtualTime=EPOCH)

    async def dress(self) -> None:
        """Give an empty tab what its session has come to know: viewport and scripts."""
        await self._await(self._dress())

    def _dress(self) -> "asyncio.Future[dict[str, Any]]":
        width, height = self.session.viewport
        for source in self.session.init_scripts:
            self.channel.send("Page.addScriptToEvaluateOnNewDocument", source=source, runImmediately=True)
        return self.channel.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def cdp(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a DevTools command to the page and return its answer.

        Raises:
            EnvError: The page crashed, hangs or is closed, the browser died, or the command was refused.
        """
        return await self._await(self.channel.send(method, **params))

    async def goto(self, url: str, ms: float = SETTLE_MS) -> None:
        """Open an address, wait until it has loaded and let the page's clock move on by ``ms``.

        Raises:
            NavigationRefused: It is not an ``https`` address of one of the session's sites.
        """
        where = json.dumps(checked(url, self.session.sites))
        # Not Page.navigate: it may change processes, and a new one does not take over the page's clock.
        await self.cdp("Runtime.evaluate", expression=f"window.location.assign({where})", userGesture=True)
        await self.settle(ms)

    async def back(self) -> bool:
        """Go back in the tab's history; tell whether there was anything."""
        return await self._moved(-1)

    async def forward(self) -> bool:
        """Go forward in the tab's history; tell whether there was anything."""
        return await self._moved(1)

    async def title(self) -> str:
        """Return the page's title."""
        return str(await self.isolated("() => document.title"))

    async def isolated(self, function: str, *args: JsonValue) -> Any:
        """Call a JavaScript function in a world that the page's scripts can neither see nor patch.

        Args:
            function: Its source; what it returns must be JSON (a promise is awaited).
            args: JSON values.

        Raises:
            EnvError: It threw.
        """
        return (await self._isolated(function, args, by_value=True)).get("value")

    async def isolated_node(self, function: str, *args: JsonValue) -> int | None:
        """Call a function as ``isolated`` does; it returns an element, of which this is the ``backendNodeId``."""
        return await self._described(await self._isolated(function, args, by_value=False))

    async def main(self, function: str, *args: JsonValue) -> Any:
        """Call a function in the page's own world; what it returns is the page's word. For the harness only."""
        return (await self._evaluate(function, args, None, by_value=True)).get("value")

    async def main_nodes(self, function: str, *args: JsonValue, nodes: Sequence[str]) -> tuple[Any, dict[str, int]]:
        """Call a function as ``main`` does; it returns an object, or null.

        Returns:
            The object as JSON without the members ``nodes``, and the ``backendNodeId`` of each of these that is an
            element.
        """
        made = await self._evaluate(function, args, None, by_value=False)
        if "objectId" not in made:
            return made.get("value"), {}
        sent = [self._member(made["objectId"], name) for name in nodes]
        rest = self._called(made["objectId"], _WITHOUT, list(nodes), by_value=True)
        found = zip(nodes, await asyncio.gather(*sent), strict=True)
        return _value(await self._await(rest)), {name: node for name, node in found if node is not None}

    async def _member(self, ident: str, name: str) -> int | None:
        held = (await self._await(self._called(ident, _MEMBER, name, by_value=False)))["result"]
        return await self._described(held)

    def _called(self, ident: str, function: str, arg: JsonValue, *, by_value: bool) -> "asyncio.Future[dict[str, Any]]":
        return self.channel.send(
            "Runtime.callFunctionOn",
            objectId=ident,
            functionDeclaration=function,
            arguments=[{"value": arg}],
            returnByValue=by_value,
        )

    async def _described(self, result: dict[str, Any]) -> int | None:
        if "objectId" not in result:
            return None
        node = await self.cdp("DOM.describeNode", objectId=result["objectId"])
        return int(node["node"]["backendNodeId"])

    async def on_node(self, node: int, function: str, *args: JsonValue) -> Any:
        """Call a function with an element as its first argument, in the isolated world of the element's frame.

        Args:
            node: The element's ``backendNodeId``.
            function: The function's source, or its name where the session's ``library`` has it.
            args: Further arguments, as JSON.

        Raises:
            ProtocolError: The element is gone.
        """
        world = await self._world(self.inner.get(node, self.target))
        found = await self.cdp("DOM.resolveNode", backendNodeId=node, executionContextId=world)
        told = [{"objectId": found["object"]["objectId"]}, *({"value": arg} for arg in args)]
        answer = await self.cdp(
            "Runtime.callFunctionOn",
            functionDeclaration=function,
            executionContextId=world,
            arguments=told,
            returnByValue=True,
            awaitPromise=True,
        )
        return _value(answer)

    async def upload(self, node: int, names: list[str]) -> None:
        """Give files of the session's list to a file field."""
        paths = [self.session.uploads[name] for name in names]
        await self.cdp("DOM.setFileInputFiles", backendNodeId=node, files=paths)

    async def settle(self, ms: float = SETTLE_MS) -> None:
        """Let what an action caused happen: navigations end, and the page's clock moves on by ``ms``.

        The clock stands while anything is being loaded. Tabs that the page opened are brought up too; if the last tab
        closed itself, there is an empty one.

        Raises:
            PageTooLarge: The page has grown beyond what can be shown.
        """
        try:
            await self.ready
            await self._advance(ms)
            if self.travel:
                way, self.travel = self.travel, 0
                if await self._travel(way):
                    await self._advance(ms)
            await asyncio.gather(self.frame(), self._measure())
        except PageGone:
            if self in self.session.tabs or self.session.closed:
                raise
        await self.session.bring_up(self, ms)

    async def _measure(self) -> None:
        elements, characters = await self.isolated(SIZE)
        if elements > ELEMENTS or characters > CHARACTERS:
            error = PageTooLarge(f"the page has {elements} elements and {characters} characters of text")
            self.session.fail(error)
            raise error

    async def frame(self) -> None:
        """Let the page do what it does for each frame, at its clock's time."""
        await (self._draw(noDisplayUpdates=True) if self.heeds else self._draw())

    async def heed(self) -> None:
        """See to it that a new document hears input, which Chromium drops before it has been drawn."""
        if self.heeds:
            return
        await self.isolated(LISTEN)
        for _ in range(TRIES):
            await self._move(*self.pointer)
            if await self.isolated("() => globalThis.heard"):
                break
            await self._draw()
        self.heeds = True

    async def snapshot(self, read: Callable[[dict[str, Any]], Any] = dict) -> snapshot.PageSnapshot:
        """Return what is on the page: accessibility tree and DOM (as ``read`` makes of it), over all frames."""
        found = await snapshot.take(self, read)
        self.inner = found.frames
        return found

    async def screenshot(self) -> bytes:
        """Return the viewport as PNG."""
        shot = await self._draw(screenshot={"format": "png", "optimizeForSpeed": True})
        if "screenshotData" not in shot:
            raise ProtocolError("Chromium drew no picture of the page")
        return base64.b64decode(shot["screenshotData"])

    async def _draw(self, **how: Any) -> dict[str, Any]:
        self.frames += 1
        drawing = self.session.browser.drawing
        # Chromium's compositor dies of two frames at a time, be they of different pages.
        await drawing.acquire()
        time = self.ticks + self.elapsed + FRAME_APART * self.frames
        frame = self.channel.send("HeadlessExperimental.beginFrame", frameTimeTicks=time, **how)
        frame.add_done_callback(lambda _: self._drawn(drawing))
        # Who waits may be cancelled, and the frame is being drawn all the same.
        return await self._await(asyncio.shield(frame))

    def _drawn(self, drawing: asyncio.Lock) -> None:
        """Let others draw: now, or once the context that the frame was for is gone."""
        gone = self.session.gone
        if gone is None or gone.done():
            drawing.release()
        else:
            gone.add_done_callback(lambda _: drawing.release())

    async def _moved(self, way: int) -> bool:
        moved = await self._travel(way)
        if moved:
            await self.settle()
        return moved

    async def _travel(self, way: int) -> bool:
        history = await self.cdp("Page.getNavigationHistory")
        index = history["currentIndex"] + way
        if not 0 <= index < len(history["entries"]) or history["entries"][index]["url"] == "about:blank":
            return False
        self.arrived = asyncio.get_running_loop().create_future()
        self.channel.expect(self.arrived)
        await self.cdp("Page.navigateToHistoryEntry", entryId=history["entries"][index]["id"])
        await self._await(self.arrived)
        return True

    async def _advance(self, ms: float) -> None:
        """Move the page's clock; Chromium says so once the time is over and nothing is being loaded any more."""
        self.expiry = asyncio.get_running_loop().create_future()
        self.channel.expect(self.expiry)
        self.elapsed += ms
        self.navigations = 0
        self.channel.send(
            "Emulation.setVirtualTimePolicy",
            policy="pauseIfNetworkFetchesPending",
            budget=ms,
            maxVirtualTimeTaskStarvationCount=STARVATION,
        )
        await self._await(self.expiry)

    async def _await(self, future: "asyncio.Future[dict[str, Any]]") -> dict[str, Any]:
        if future.done():
            return future.result()
        # Cheaper than asyncio.wait_for, which every command would pay.
        backstop = future.get_loop().call_later(self.config.step_timeout_s, self._late, future)
        try:
            return await future
        finally:
            backstop.cancel()

    def _late(self, future: "asyncio.Future[dict[str, Any]]") -> None:
        error = self._hung()
        if not future.done():
            future.set_exception(error)

    def _hung(self) -> PageHung:
        asked = ", ".join(self.channel.methods.values()) or "to load"
        error = PageHung(
            f"the page did not answer within {self.config.step_timeout_s:g} s ({asked[:200]}); it was ended"
        )
        self.channel.send("Page.crash")
        self.session.fail(error)
        return error

    async def _world(self, frame: str) -> int:
        if frame not in self.worlds:
            made = await self.cdp("Page.createIsolatedWorld", frameId=frame, worldName="turnwise")
            world = self.worlds[frame] = made["executionContextId"]
            # Once for each document: what is called in it later need not be sent and compiled each time.
            self.channel.send("Runtime.evaluate", expression=self.session.library, contextId=world)
        return self.worlds[frame]

    async def _isolated(self, function: str, args: tuple[JsonValue, ...], *, by_value: bool) -> dict[str, Any]:
        world = await self._world(self.target)
        try:
            return await self._evaluate(function, args, world, by_value=by_value)
        except ProtocolError:
            # A new document may have come in between; the old one's worlds are gone.
            if self.worlds.get(self.target) == world:
                raise
        return await self._evaluate(function, args, await self._world(self.target), by_value=by_value)

    async def _evaluate(
        self, function: str, args: tuple[JsonValue, ...], world: int | None, *, by_value: bool
    ) -> dict[str, Any]:
        told = ", ".join(json.dumps(arg) for arg in args)
        context = {} if world is None else {"contextId": world}
        answer = await self.cdp(
            "Runtime.evaluate",
            expression=f"({function})({told})",
            returnByValue=by_value,
            awaitPromise=True,
            userGesture=False,
            **context,
        )
        _value(answer)
        result: dict[str, Any] = answer["result"]
        return result

    def _event(self, method: str, params: dict[str, Any]) -> None:
        handler = getattr(self, "_on_" + method.replace(".", "_"), None)
        if handler is not None:
            handler(params)

    def _on_Fetch_requestPaused(self, params: dict[str, Any]) -> None:  # noqa: N802
        task = asyncio.ensure_future(self._respond(params))
        task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _respond(self, params: dict[str, Any]) -> None:
        ident, url = params["requestId"], params["request"]["url"]
        site = site_of(url, self.session.sites)
        if url.startswith(TRAVEL):
            self.travel = _whole(url.removeprefix(TRAVEL))
            self._deny(ident, "Document")
            return
        if site is None or self._redirected(params) > REDIRECTS:
            self.session.refuse(url)
            self._deny(ident, params["resourceType"])
            return
        response = await answer(site, request_of(params["request"]))
        if isinstance(response, Exception):
            self.session.fail(EnvError(f"the site behind {url[:200]} failed: {response!r}"))
            response = NOT_FOUND
        sent = self.channel.send("Fetch.fulfillRequest", requestId=ident, **fulfilment(response))
        if params["resourceType"] == "Document":
            # The page is now the renderer's work for a while, and the browser's own thread is free.
            sent.add_done_callback(lambda _: self.session.browser.relieve())

    def _redirected(self, params: dict[str, Any]) -> int:
        """Return how many redirects led to a request."""
        count = self.redirects.pop(params.get("redirectedRequestId", ""), -1) + 1
        if len(self.redirects) > 1000:
            self.redirects.clear()
        self.redirects[params["requestId"]] = count
        return count

    def _deny(self, ident: str, kind: str) -> None:
        """Refuse a request; a page that wanted to go there stays where it is, as after a 204."""
        if kind == "Document":
            self.channel.send("Fetch.fulfillRequest", requestId=ident, responseCode=204)
        else:
            self.channel.send("Fetch.failRequest", requestId=ident, errorReason="BlockedByClient")

    def _on_Page_javascriptDialogOpening(self, params: dict[str, Any]) -> None:  # noqa: N802
        leaving = params["type"] == "beforeunload"
        self.channel.send("Page.handleJavaScriptDialog", accept=leaving)
        if not leaving:
            self.session.said(params["message"])

    def _on_Page_frameNavigated(self, params: dict[str, Any]) -> None:  # noqa: N802
        frame = params["frame"]
        self.worlds.pop(frame["id"], None)
        if frame["id"] == self.target:
            self.worlds.clear()
            self.heeds = False
            self._came(frame["url"] + frame.get("urlFragment", ""))

    def _on_Page_navigatedWithinDocument(self, params: dict[str, Any]) -> None:  # noqa: N802
        if params["frameId"] == self.target:
            self._came(params["url"])

    def _came(self, url: str) -> None:
        self.url = url
        if not self.arrived.done():
            self.arrived.set_result({})
        self.navigations += 1
        if self.navigations > NAVIGATIONS and not self.expiry.done():
            self.channel.send("Emulation.setVirtualTimePolicy", policy="pause")
            self.expiry.set_result({})

    def _on_Emulation_virtualTimeBudgetExpired(self, params: dict[str, Any]) -> None:  # noqa: N802
        if not self.expiry.done():
            self.expiry.set_result({})

    def _on_Inspector_targetCrashed(self, params: dict[str, Any]) -> None:  # noqa: N802
        self.session.fail(PageCrashed("the page's process ended"))


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,4}", text) else 0


def _value(answer: dict[str, Any]) -> Any:
    if "exceptionDetails" in answer:
        details = answer["exceptionDetails"]
        said = details.get("exception", {}).get("description") or details.get("text", "")
        raise ProtocolError(f"a script threw: {said[:500]}")
    return answer["result"].get("value")
