"""Dead renderers and browsers: each a failure of its episode, and nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from browser_pages import site
from turnwise.envs.gui.engine import BrowserDied, Engine, EngineConfig, PageCrashed, PageGone, Session
from turnwise.envs.gui.engine.keeper import Keeper
from turnwise.errors import ConfigError, EnvError

pytestmark = [pytest.mark.browser, pytest.mark.anyio, pytest.mark.usefixtures("browser")]
PAGE = """<!doctype html><title>home</title>
<button onclick="document.title='hit'" style="position:absolute;inset:0;width:90px;height:90px">go</button>"""
HOME = "https://home.test/"
OWN = EngineConfig(spares=0, restart_after=7)


async def opened(engine: Engine) -> Session:
    session = await engine.open({"home.test": site({"/": PAGE})})
    await session.active.goto(HOME)
    return session


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the browser's user reaches; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)


def renderers(session: Session) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(session.browser.chromium.pid).children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_a_dead_renderer_fails_its_episode_only() -> None:
    engine = await Engine.shared(OWN)
    one = await opened(engine)
    before = {process.pid for process in renderers(one)}
    other = await opened(engine)
    waiting = asyncio.ensure_future(other.active.isolated("() => new Promise(() => {})"))
    await asyncio.sleep(0.05)
    for process in renderers(other):
        if process.pid not in before:
            process.kill()
    with pytest.raises(PageCrashed):
        await waiting
    with pytest.raises(PageCrashed):
        await other.active.goto(HOME)
    await one.active.mouse_click(20, 20)
    await one.active.settle()
    assert await one.active.title() == "hit"
    await other.close()
    await one.close()
    await engine.close()


async def test_a_dead_browser_fails_its_episodes_and_the_next_gets_another() -> None:
    engine = await Engine.shared(OWN)
    sessions = [await opened(engine) for _ in range(2)]
    dead = sessions[0].browser.chromium.pid
    os.killpg(dead, signal.SIGKILL)
    for session in sessions:
        with pytest.raises(BrowserDied):
            await session.active.isolated("() => new Promise(() => {})")
        await session.close()
    healthy = await opened(engine)
    assert healthy.browser.chromium.pid != dead
    assert await healthy.active.title() == "home"
    await healthy.close()
    await engine.close()


async def test_a_browser_gives_way_after_its_share_of_episodes() -> None:
    engine = await Engine.shared(OWN)
    first = await opened(engine)
    pid = first.browser.chromium.pid
    for _ in range(OWN.restart_after - 1):
        await (await opened(engine)).close()
    fresh = await opened(engine)
    assert fresh.browser.chromium.pid != pid
    assert await first.active.title() == "home", "an episode keeps its browser to the end"
    await first.close()
    await _gone(pid)
    await fresh.close()
    await engine.close()
    await _gone(fresh.browser.chromium.pid)


async def _gone(pid: int) -> None:
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


async def test_browsers_that_served_long_enough_end_whatever_they_were_just_making() -> None:
    engine = await Engine.shared(EngineConfig(restart_after=3))
    served = set()
    for _ in range(20):
        session = await opened(engine)
        served.add(session.browser)
        await session.close()
    assert len(served) == 7
    (last,) = (browser for browser in served if browser is engine.browser)
    for browser in served - {last}:
        await _gone(browser.chromium.pid)
    await engine.close()


async def test_a_cancelled_episode_leaves_nothing() -> None:
    engine = await Engine.shared(OWN)
    kept = await opened(engine)

    async def episode() -> None:
        session = await engine.open({"home.test": site({"/": PAGE})})
        try:
            await session.active.goto(HOME)
            await session.active.isolated("() => new Promise(() => {})")
        finally:
            await session.close()

    for moment in (0.0, 0.01, 0.05, 0.2):
        task = asyncio.ensure_future(episode())
        await asyncio.sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    for _ in range(100):
        if len(renderers(kept)) == 1:
            break
        await asyncio.sleep(0.05)
    assert len(renderers(kept)) == 1
    assert list(kept.browser.sessions) == [kept.context]
    left = await kept.browser.root.send("Target.getBrowserContexts")
    assert left["browserContextIds"] == [kept.context]
    await kept.close()
    await engine.close()


async def test_a_closed_session_says_so() -> None:
    engine = await Engine.shared()
    session = await opened(engine)
    tab = session.active
    await session.close()
    await session.close()
    with pytest.raises(PageGone):
        await tab.title()


async def test_a_browser_that_does_not_start_is_told_with_its_own_words(folder: Path) -> None:
    broken = folder / "chromium"
    broken.write_text("#!/bin/sh\necho 'FATAL: no usable sandbox' >&2\nexit 3\n")
    broken.chmod(0o755)
    engine = await Engine.shared(EngineConfig(executable=str(broken), spares=0))
    with pytest.raises(EnvError, match="no usable sandbox"):
        await engine.open({})
    missing = await Engine.shared(EngineConfig(executable="/nowhere/chromium"))
    with pytest.raises(ConfigError, match="/nowhere/chromium"):
        await missing.open({})


SCRIPT = """
import asyncio, sys
from pathlib import Path
from turnwise.envs.gui.engine import Engine, SiteResponse
async def home(request):
    return SiteResponse(200, {"content-type": "text/html"}, b"<title>home</title>")
async def main():
    session = await (await Engine.shared()).open({"home.test": home})
    await session.active.goto("https://home.test/")
    chromium = session.browser.chromium
    words = Path(f"/proc/{chromium.pid}/cmdline").read_text().split(chr(0))
    print(chromium.pid, next(w for w in words if "--user-data-dir" in w).partition("=")[2], flush=True)
    if sys.argv[1] == "stay":
        await asyncio.sleep(600)
    if sys.argv[1] == "raise":
        raise SystemExit(3)
asyncio.run(main())
if sys.argv[1] == "twice":
    asyncio.run(main())
"""


@pytest.mark.parametrize(("way", "code"), [("end", 0), ("raise", 3), ("twice", 0), ("stay", -signal.SIGKILL)])
async def test_the_interpreters_end_leaves_no_process_and_no_folder(way: str, code: int, folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, way], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        pid, profile = child.stdout.readline().split()
        if way == "stay":
            child.kill()
        _, said = child.communicate(timeout=60)
    assert child.returncode == code
    assert not said
    await _gone(int(pid))
    until = time.monotonic() + 20
    while Path(profile).exists() and time.monotonic() < until:
        await asyncio.sleep(0.1)
    assert not Path(profile).exists()


@pytest.mark.parametrize("episodes", [60, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.timeout(3600)
async def test_many_episodes_with_killed_renderers_are_each_scored_or_a_named_failure(episodes: int) -> None:
    """A renderer is killed in every hundredth episode (in the short form: in every twentieth)."""
    every = 100 if episodes > 1000 else 20
    engine = await Engine.shared(EngineConfig(restart_after=max(25, episodes // 8)))
    held = await opened(engine)
    own = psutil.Process()
    browsers = len(Keeper.shared().running)
    scored, failed, memory = 0, [], []
    for number in range(episodes):
        session = await opened(engine)
        if number % every == every - 1:
            renderers(session)[-1].kill()
        try:
            await session.active.mouse_click(20, 20)
            await session.active.settle()
            scored += await session.active.title() == "hit"
        except EnvError as error:
            failed.append(type(error).__name__)
        finally:
            await session.close()
        if number % (episodes // 4) == episodes // 4 - 1:
            memory.append(own.memory_info().rss)
    await held.close()
    await asyncio.sleep(1)
    assert scored + len(failed) == episodes
    assert len(failed) <= episodes // every
    assert set(failed) <= {"PageCrashed"}
    assert len(memory) == 4
    assert memory[-1] < memory[0] * 1.2 + 2**24
    last = await opened(engine)
    assert len(renderers(last)) <= 3, "its own and a spare one, and one that is just going"
    assert len(Keeper.shared().running) <= browsers + 1
    await last.close()
    await engine.close()
