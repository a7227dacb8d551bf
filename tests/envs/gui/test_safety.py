"""Hostile pages, each contained, with the outcome named; and that Chromium's own sandbox holds."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from browser_pages import site
from turnwise.envs.gui import elements
from turnwise.envs.gui.engine import (
    Engine,
    EngineConfig,
    NavigationRefused,
    PageTooLarge,
    ProtocolError,
    Session,
    SiteResponse,
    Tab,
)
from turnwise.errors import EnvError

pytestmark = [pytest.mark.browser, pytest.mark.anyio, pytest.mark.usefixtures("browser")]
HOME = "https://home.test/"
QUICK = EngineConfig(step_timeout_s=3)


async def opened(page: str, *, engine: Engine | None = None, **more: Any) -> Session:
    pages = {"/": page, "/other": "<title>other</title><p>other", **more}
    session = await (engine or await Engine.shared()).open({"home.test": site(pages)})
    await session.active.goto(HOME)
    return session


@pytest.fixture
async def home() -> AsyncIterator[Tab]:
    session = await opened("<!doctype html><title>home</title><p>home")
    yield session.active
    await session.close()


class Loopback:
    """A server on this machine's loopback that counts who comes."""

    def __init__(self) -> None:
        hits = self.hits = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hits.append(self.path)
                self.send_response(200)
                self.send_header("access-control-allow-origin", "*")
                self.end_headers()

            do_POST = do_OPTIONS = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    served = Loopback()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://home.test/",
        "http://home.test/",
        "chrome://version",
        "view-source:https://home.test/",
        "about:blank",
        "data:text/html,hi",
        "javascript:alert(1)",
        "https://elsewhere.test/",
        "https://home.test:444/",
        "https://user@home.test/",
        "https://home.test.evil.example/",
        "https://home.test\t/",
        "https://[::1]/",
        "https:///",
        "//home.test/",
        "",
        "https://home.test@127.0.0.1/",
        "https://ho\u200bme.test/",
    ],
)
async def test_goto_opens_nothing_but_the_episodes_own_hosts(home: Tab, url: str) -> None:
    with pytest.raises(NavigationRefused, match=r"https://home\.test/"):
        await home.goto(url)
    assert home.url == HOME


@pytest.mark.parametrize("url", ["file:///etc/passwd", "chrome://version", "view-source:https://home.test/"])
@pytest.mark.parametrize("way", ["location.href = url", "window.open(url)", "frame.src = url", "link.click()"])
async def test_a_page_reaches_no_other_scheme(home: Tab, url: str, way: str) -> None:
    await home.main(
        "(url, way) => { const frame = document.createElement('iframe'), link = document.createElement('a');"
        "link.href = url; document.body.append(frame, link);"
        "new Function('url', 'frame', 'link', way)(url, frame, link) }",
        url,
        way,
    )
    await home.settle()
    snapshot = await home.snapshot()
    assert home.url == HOME
    assert "root:" not in str(snapshot.dom["strings"])
    assert all(tab.url in {HOME, "about:blank", ""} for tab in home.session.tabs)


async def test_no_request_of_a_page_leaves_the_process(loopback: Loopback) -> None:
    there = f"http://127.0.0.1:{loopback.port}"
    page = f"""<title>probe</title><img src={there}/img><iframe src={there}/frame></iframe>
    <link rel=stylesheet href={there}/css><script src={there}/js></script><link rel=prefetch href={there}/prefetch>
    <link rel=preconnect href={there}><object data={there}/object></object><video src={there}/video></video>
    <form id=f action={there}/form method=post target=inner></form><iframe name=inner></iframe>
    <script>
    const there = "{there}", said = [];
    const tell = name => [() => said.push(name + " came"), () => said.push(name + " failed")];
    for (const host of [there, there.replace("127.0.0.1", "localhost"), there.replace("127.0.0.1", "[::1]"),
                        there.replace("http", "https"), "http://169.254.169.254", "http://10.0.0.1", "https://1.1.1.1"])
      fetch(host + "/fetch", {{mode: "no-cors"}}).then(...tell("fetch"));
    navigator.sendBeacon(there + "/beacon", "x");
    new EventSource(there + "/events").onerror = tell("events")[1];
    try {{
      const socket = new WebSocket(there.replace("http", "ws") + "/socket");
      [socket.onopen, socket.onerror] = tell("socket");
    }} catch (error) {{ said.push("socket failed") }}
    const work = `fetch("${{there}}/worker").then(() => postMessage("came"), () => postMessage("failed"))`;
    new Worker(URL.createObjectURL(new Blob([work]))).onmessage = event => said.push("worker " + event.data);
    f.submit();
    </script>"""
    session = await opened(page)
    for _ in range(3):
        await session.active.settle()
        await asyncio.sleep(0.1)
    said = await session.active.main("() => said")
    assert loopback.hits == []
    assert said.count("fetch failed") == 7
    assert "worker failed" in said
    assert not [word for word in said if word.endswith("came")]
    assert session.active.url == HOME
    assert any("/fetch" in url for url in session.blocked)
    await session.close()


async def test_redirects_lead_nowhere_else_and_end(loopback: Loopback) -> None:
    out = SiteResponse(302, {"location": f"http://127.0.0.1:{loopback.port}/"}, b"")
    loop = SiteResponse(302, {"location": "/loop"}, b"")
    session = await opened("<title>home</title>", **{"/out": out, "/loop": loop})
    for path in ("out", "loop"):
        await session.active.goto(HOME + path)
        assert await session.active.title() == "home"
    assert loopback.hits == []
    assert len(session.blocked) == 2
    await session.close()


async def test_there_are_no_service_workers_and_no_webrtc(home: Tab) -> None:
    session = await opened(
        "<title>home</title>", **{"/sw.js": SiteResponse(200, {"content-type": "text/javascript"}, b"")}
    )
    said = await session.active.main(
        "() => Promise.race([navigator.serviceWorker.register('/sw.js').then(() => 'registered', () => 'refused')])"
    )
    assert said == "refused"
    assert await session.active.main("() => typeof RTCPeerConnection + typeof WebTransport") == "undefinedundefined"
    await session.active.main(
        "() => { const f = document.createElement('iframe'); document.body.append(f); window.f = f }"
    )
    assert await session.active.main("() => typeof f.contentWindow.RTCPeerConnection") == "undefined"
    await session.close()


async def test_downloads_do_not_happen(tmp_path: Path) -> None:
    saved = SiteResponse(200, {"content-type": "x/y", "content-disposition": "attachment; filename=stolen.bin"}, b"x")
    page = """<title>home</title><a id=a download=stolen.txt href="data:text/plain,stolen">save</a>
    <a id=b href=/file>get</a>"""
    session = await opened(page, **{"/file": saved})
    for name in "ab":
        await session.active.main(f"() => {name}.click()")
        await session.active.settle()
    assert (session.active.url, await session.active.title()) == (HOME, "home")
    words = _words(psutil.Process(session.browser.chromium.pid))
    profile = next(word.partition("=")[2] for word in words if word.startswith("--user-data-dir="))
    assert Path(profile).is_dir()
    assert not list(Path(profile).rglob("*stolen*"))
    await session.close()


async def test_permissions_are_refused(home: Tab) -> None:
    asked = {
        "notifications": "window.Notification ? Notification.requestPermission() : 'denied'",
        "place": "new Promise(r => navigator.geolocation.getCurrentPosition(() => r('given'), e => r('denied')))",
        "clipboard": "navigator.clipboard.readText().then(() => 'given', () => 'denied')",
        "camera": "navigator.mediaDevices.getUserMedia({video: true}).then(() => 'given', () => 'denied')",
    }
    await home.main("() => { window.told = {} }")
    for name, script in asked.items():
        await home.main(f"() => {{ Promise.resolve({script}).then(word => told.{name} = word) }}")
    for _ in range(5):
        await home.settle()
    told = await home.main("() => told")
    assert set(told.values()) == {"denied"}, told


async def test_a_file_field_gets_only_what_the_task_lends(tmp_path: Path) -> None:
    lent = tmp_path / "lent.txt"
    lent.write_text("lent")
    page = "<title>home</title><input id=f type=file style='position:absolute;left:0;top:0;width:200px;height:40px'>"
    engine = await Engine.shared()
    session = await engine.open({"home.test": site({"/": page})}, uploads=[lent])
    tab = session.active
    await tab.goto(HOME)
    await tab.mouse_click(20, 20)
    await tab.settle()
    assert await tab.main("() => f.files.length") == 0
    node = await tab.isolated_node("() => document.querySelector('#f')")
    assert node is not None
    await tab.upload(node, ["lent.txt"])
    assert await tab.main("() => f.files[0].text()") == "lent"
    with pytest.raises(KeyError):
        await tab.upload(node, ["/etc/passwd"])
    folder = Path(session.uploads["lent.txt"]).parent
    await session.close()
    assert not folder.exists()


async def test_dialogs_are_dismissed_and_told(home: Tab) -> None:
    said = await home.main("() => { alert('a'); return [confirm('b'), prompt('c')] }")
    assert said == [False, None]
    assert home.session.dialogs == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("for (;;) alert('again')", "more than 100 dialogs"),
        ("for (;;) {}", "did not answer within 3 s"),
        ("for (;;) window.open('/other')", r"more than 100 windows|did not answer within 3 s"),
        ("const f = () => Promise.resolve().then(f); f()", "did not answer within 3 s"),
        ("for (;;) document.body.append('x'.repeat(1000))", "did not answer|elements|process ended"),
        ("const a = []; for (;;) a.push(new Array(1e6).fill({}))", "process ended|did not answer"),
    ],
)
async def test_endless_scripts_are_a_named_failure(script: str, outcome: str) -> None:
    engine = await Engine.shared(QUICK)
    session = await opened(
        f"<title>home</title><button onclick=\"{script}\" style='position:absolute;inset:0;width:90px;height:90px'>",
        engine=engine,
    )
    with pytest.raises(EnvError, match=outcome):
        await _act(session.active)
    with pytest.raises(EnvError, match=outcome):
        await session.active.title()
    await session.close()
    healthy = await opened("<title>home</title>", engine=engine)
    assert await healthy.active.title() == "home"
    await healthy.close()


async def _act(tab: Tab) -> None:
    await tab.mouse_click(20, 20)
    await tab.settle()


@pytest.mark.parametrize(
    "script",
    [
        "setInterval(() => document.title += '.', 0)",
        "const c = new MessageChannel; c.port1.onmessage = () => c.port2.postMessage(0); c.port2.postMessage(0)",
        "const f = () => requestAnimationFrame(f); f()",
        "onload = () => setTimeout(() => location.reload(), 1)",
        "location.reload()",
        "for (let i = 0; i < 30; i++) window.open('/other')",
        "for (let i = 0; i < 300; i++) fetch('/other')",
        "for (let i = 0; i < 1000; i++) console.log('x'.repeat(1000))",
        "onbeforeunload = () => 'stay'",
        "print()",
        "history.pushState({}, '', '/a'); history.back(); history.go(-5)",
        "document.documentElement.requestFullscreen?.(); document.body?.requestPointerLock?.()",
        "window.close()",
    ],
)
async def test_busy_pages_can_be_seen_and_left(script: str) -> None:
    session = await opened(f"<!doctype html><title>home</title><body><script>{script}</script><p>here")
    for _ in range(2):
        await session.active.settle()
        await session.active.snapshot()
    assert 1 <= len(session.tabs) <= session.config.tabs
    await session.active.goto(HOME + "other")
    assert await session.active.title() == "other"
    await session.close()


async def test_a_huge_page_is_a_named_failure() -> None:
    engine = await Engine.shared()
    for script in ("for (let i = 0; i < 60000; i++) document.body.append(document.createElement('b'))",
                   "document.body.append('x'.repeat(6e6))"):  # fmt: skip
        session = await engine.open({"home.test": site({"/": f"<body><script>{script}</script>"})})
        with pytest.raises(PageTooLarge, match="elements and"):
            await session.active.goto(HOME)
        await session.close()


async def test_scripts_of_the_page_cannot_patch_the_isolated_world() -> None:
    page = """<title>true</title><input id=i value=true><script>
    Object.defineProperty(document, "title", {get: () => "false"});
    Document.prototype.querySelector = () => null;
    Object.defineProperty(HTMLInputElement.prototype, "value", {get: () => "false"});
    JSON.stringify = () => "false"; Array.prototype.map = () => ["false"];
    </script>"""
    session = await opened(page)
    tab = session.active
    assert await tab.title() == "true"
    assert await tab.isolated("() => [document.querySelector('#i')].map(e => e.value)") == ["true"]
    node = await tab.isolated_node("() => document.querySelector('#i')")
    assert node is not None
    assert await tab.on_node(node, "e => e.value") == "true"
    assert await tab.main("() => document.title") == "false"
    await session.close()


async def test_no_name_on_the_page_stands_for_the_harness_functions() -> None:
    page = """<iframe name=turnwise></iframe><button id=turnwise style="position:fixed; left:0; top:0">go</button>
    <script>window.aim = Object.prototype.aim = () => ({x: 1, y: 1}); turnwise = {aim}</script>"""
    engine = await Engine.shared()
    session = await engine.open({"home.test": site({"/": page})}, library=elements.LIBRARY)
    await session.active.goto(HOME)
    node = await session.active.isolated_node("() => document.querySelector('button')")
    assert node is not None
    x, y = await elements.aim(session.active, node, "the button")
    assert (x, y) != (1, 1)
    assert (await session.active.main("(x, y) => document.elementFromPoint(x, y).localName", x, y)) == "button"
    await session.close()


async def test_a_fault_of_the_harness_is_not_told_to_the_agent() -> None:
    session = await opened("<button>go</button>")
    node = await session.active.isolated_node("() => document.querySelector('button')")
    assert node is not None
    with pytest.raises(ProtocolError, match="turnwise is not defined"):
        await elements.aim(session.active, node, "the button")
    await session.close()


async def test_a_site_that_fails_fails_the_episode_and_not_the_page() -> None:
    async def broken(request: Any) -> SiteResponse:
        raise KeyError("gone")

    session = await (await Engine.shared()).open({"home.test": broken})
    with pytest.raises(EnvError, match=r"the site behind https://home\.test/ failed: KeyError"):
        await session.active.goto(HOME)
    await session.close()


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def test_chromium_keeps_its_sandbox_as_an_unprivileged_user(home: Tab) -> None:
    chromium = home.session.browser.chromium
    renderers = [process for process in _children(chromium.pid) if "--type=renderer" in _words(process)]
    assert renderers
    assert all("--no-sandbox" not in _words(process) for process in _children(chromium.pid))
    for process in renderers:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        assert status["Seccomp"] == "2", "a seccomp filter"
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == 0
        assert "0" not in status["Uid"].split()
        for name in ("user", "pid", "net"):
            assert os.readlink(f"/proc/{process.pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    if chromium.network_isolated:
        assert os.readlink(f"/proc/{chromium.pid}/ns/net") != os.readlink("/proc/self/ns/net")


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_the_sandbox_is_turned_off_by_the_setting_only_and_with_a_warning() -> None:
    engine = await Engine.shared(EngineConfig(chromium_sandbox=False, spares=0))
    with pytest.warns(UserWarning, match="without its sandbox"):
        session = await engine.open({"home.test": site({"/": "<title>home</title>"})})
    await session.active.goto(HOME)
    assert any("--no-sandbox" in _words(process) for process in _children(session.browser.chromium.pid))
    await session.close()
    await engine.close()
