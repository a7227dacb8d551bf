"""The browser's engine: time, history, windows, input and what is seen."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from browser_pages import site
from turnwise.envs.gui.engine import Engine, EngineConfig, Session
from turnwise.envs.gui.engine.input import combination

pytestmark = [pytest.mark.browser, pytest.mark.anyio, pytest.mark.usefixtures("browser")]
HOME = "https://home.test/"
PAGE = """<!doctype html><title>home</title>
<style>* { margin: 0 } .at { position: absolute; left: 0; width: 90px }</style>
<button id=b class=at style="top:0;height:40px">go</button><input id=t class=at style="top:50px;height:20px">
<a id=a href=/other class=at style="top:80px;height:20px">other</a>
<div id=s class=at style="top:110px;height:50px;overflow:auto"><div style="height:500px">long</div></div>
<iframe id=f srcdoc="<button>inner</button>" class=at style="top:170px;height:60px"></iframe>
<script>const at = [Date.now(), performance.now()], said = [];
b.onclick = event => { said.push("click" + event.isTrusted);
  setTimeout(() => said.push("later" + (Date.now() - at[0])), 300) };
b.onmouseenter = () => said.push("enter"); s.onwheel = event => said.push("wheel" + event.deltaY);
for (const kind of ["mousedown", "mouseup"]) document.addEventListener(kind, event => said.push(kind + event.clientX));
</script>"""


async def opened(**pages: str) -> Session:
    session = await (await Engine.shared()).open(
        {"home.test": site({"/": PAGE, "/other": "<title>other</title>", **pages})}
    )
    await session.active.goto(HOME)
    return session


@pytest.fixture
async def home() -> AsyncIterator[Session]:
    session = await opened()
    yield session
    await session.close()


async def test_a_pages_time_moves_only_as_actions_are_made(home: Session) -> None:
    tab = home.active
    assert await tab.main("() => at") == [1_704_110_400_000, 0]
    first = await tab.main("() => Date.now()")
    assert await tab.main("() => Date.now()") == first == 1_704_110_400_500
    await tab.mouse_click(20, 20)
    assert "later800" not in await tab.main("() => said")
    await tab.settle()
    assert "later800" in await tab.main("() => said")
    assert await tab.main("() => [Date.now() - at[0], performance.now()]") == [1000, 1000]


async def test_two_browsers_that_never_met_show_the_same() -> None:
    seen: list[Any] = []
    for spares in (0, 1):
        engine = await Engine.shared(EngineConfig(spares=spares, restart_after=400 + spares))
        page = "<canvas id=c></canvas><script>document.title = [Math.random(), Date.now(), navigator.language]</script>"
        session = await engine.open({"home.test": site({"/": page})})
        await session.active.goto(HOME)
        seen.append((await session.active.title(), (await session.active.snapshot()).url))
        await session.close()
        await engine.close()
    assert seen[0] == seen[1]


async def test_history_and_windows(home: Session) -> None:
    tab = home.active
    assert not await tab.back()
    await tab.mouse_click(20, 90)
    await tab.settle()
    assert tab.url == HOME + "other"
    assert await tab.back()
    assert tab.url == HOME
    assert await tab.forward()
    assert not await tab.forward()
    await tab.main("() => history.back()")
    await tab.settle()
    assert tab.url == HOME
    await tab.main("() => { window.opened = window.open('/other') }")
    await tab.settle()
    assert [one.url for one in home.tabs] == [HOME, HOME + "other"]
    assert await home.active.title() == "other"
    await home.focus_tab(0)
    assert home.active is tab
    await home.close_tab(1)
    await tab.settle()
    assert await tab.main("() => opened.closed")
    await home.close_tab(0)
    assert [one.url for one in home.tabs] == ["about:blank"]


async def test_input_is_trusted_and_comes_in_order(home: Session) -> None:
    tab = home.active
    await tab.mouse_click(20, 20)
    assert await tab.main("() => said.slice(0, 4)") == ["enter", "mousedown20", "mouseup20", "clicktrue"]
    await tab.mouse_click(20, 60)
    await tab.insert_text("abc")
    await tab.press("Control+a")
    assert await tab.press("Shift+X")
    assert await tab.press("Enter")
    assert not await tab.press("Nothing")
    assert await tab.main("() => t.value") == "X"
    assert (await tab.snapshot()).focused == await tab.isolated_node("() => document.querySelector('#t')")


async def test_the_first_input_of_a_new_document_is_heard() -> None:
    session = await opened()
    for _ in range(15):
        await session.active.goto(HOME)
        await session.active.mouse_click(20, 20)
        assert "clicktrue" in await session.active.main("() => said")
    await session.close()


async def test_wheel_drag_and_hover(home: Session) -> None:
    tab = home.active
    await tab.wheel(20, 120, 0, 70)
    assert await tab.main("() => [s.scrollTop, scrollY, said[0]]") == [70, 0, "wheel70"]
    await tab.mouse_move(20, 20)
    assert "enter" in await tab.main("() => said")
    await tab.mouse_drag(10, 20, 50, 20)
    assert (await tab.main("() => said.filter(word => word.startsWith('mouse'))")) == ["mousedown10", "mouseup50"]


async def test_a_snapshot_spans_frames_and_their_elements_can_be_asked(home: Session) -> None:
    snapshot = await home.active.snapshot()
    assert (snapshot.url, snapshot.title) == (HOME, "home")
    inner = next(node for node in snapshot.ax if node.get("name", {}).get("value") == "inner")
    parents = {node["nodeId"]: node for node in snapshot.ax}
    above = inner
    while "parentId" in above:
        above = parents[above["parentId"]]
    assert above is snapshot.ax[0]
    node = inner["backendDOMNodeId"]
    assert node in snapshot.frames
    assert await home.active.on_node(node, "element => element.textContent") == "inner"


async def test_a_screenshot_shows_the_viewport() -> None:
    engine = await Engine.shared()
    session = await engine.open({"home.test": site({"/": "<body style='background:#f00'>"})}, viewport=(320, 200))
    await session.active.goto(HOME)
    picture = await session.active.screenshot()
    assert picture.startswith(b"\x89PNG")
    assert (int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")) == (320, 200)
    await session.close()


async def test_many_frames_are_drawn_at_one_time_of_the_pages_clock(home: Session) -> None:
    clock = await home.active.isolated("() => Date.now()")
    for _ in range(50):
        await home.active.frame()
    assert (await home.active.screenshot()).startswith(b"\x89PNG")
    assert await home.active.isolated("() => Date.now()") == clock


async def test_init_scripts_run_before_the_pages_own() -> None:
    engine = await Engine.shared()
    sites = {"home.test": site({"/": "<script>document.title = given</script>"})}
    session = await engine.open(sites, init_scripts=["window.given = 'before'"])
    await session.active.goto(HOME)
    assert await session.active.title() == "before"
    await session.close()


def test_key_combinations() -> None:
    held, key = combination("Control+Shift+a") or ([], None)
    assert (held, key and key.code) == (["Control", "Shift"], "KeyA")
    assert (combination("Control++") or ([], None))[1] is not None
    assert combination("Nothing+a") is None
    assert combination("") is None
