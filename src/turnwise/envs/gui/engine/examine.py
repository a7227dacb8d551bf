"""What ``turnwise doctor`` says of the browser: whether it starts, and which protections hold, found by trying."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from turnwise.envs.gui.engine.config import EngineConfig, find_executable
from turnwise.envs.gui.engine.engine import Engine
from turnwise.envs.gui.engine.errors import NavigationRefused
from turnwise.envs.gui.engine.session import Session
from turnwise.envs.gui.engine.web import SiteRequest, SiteResponse
from turnwise.errors import TurnwiseError
from turnwise.sandboxes.diagnosis import BackendReport, Finding

PROC = Path("/proc")
HOME = "https://doctor.test/"
ELSEWHERE = ("https://elsewhere.test/", "file:///etc/passwd")
FETCH = """async urls => {
  const told = await Promise.allSettled(urls.map(url => fetch(url, {mode: "no-cors"})));
  return urls.filter((_, at) => told[at].status === "fulfilled");
}"""


async def examine(config: EngineConfig | None = None) -> BackendReport:
    """Start a browser, open a page and try to get out of it.

    Args:
        config: Of the browser; by default the one that environments use.
    """
    # One of its own, which can be closed again whatever else runs.
    engine = Engine(config or EngineConfig())
    try:
        session = await engine.open({"doctor.test": _page})
    except TurnwiseError as error:
        return BackendReport("browser", available=False, reason=str(error))
    try:
        await session.active.goto(HOME)
        findings = (await _reach(session), await _scheme(session), *_processes(session))
    finally:
        await session.close()
        await engine.close()
    return BackendReport("browser", available=True, capabilities=(find_executable(engine.config),), findings=findings)


async def _page(_: SiteRequest) -> SiteResponse:
    return SiteResponse(200, {"content-type": "text/html"}, b"<title>Doctor</title>")


async def _reach(session: Session) -> Finding:
    reached: list[str] = []

    def heard(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append("a page reached a service of this machine")
        writer.close()

    async with await asyncio.start_server(heard, "127.0.0.1", 0) as server:
        service = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        answered = await session.active.main(FETCH, [service, *ELSEWHERE])
    return _finding("reaches its own sites only", reached + [f"a page was answered by {url}" for url in answered])


async def _scheme(session: Session) -> Finding:
    try:
        await session.active.goto("file:///etc/passwd")
    except NavigationRefused:
        return _finding("opens https addresses only", [])
    return _finding("opens https addresses only", ["it opened a file"])


def _processes(session: Session) -> Iterator[Finding]:
    root = session.browser.chromium.pid
    if not (PROC / str(root) / "status").exists():
        for protection in ("own network namespace", "no root", "Chromium's own sandbox"):
            yield Finding(protection, "not checked", "this system has no /proc")
        return
    yield _network(root)
    said = {pid: _status(pid) for pid in _below(root)}
    roots = [f"process {pid} runs as root" for pid, words in said.items() if words.get("Uid", "").split()[:1] == ["0"]]
    yield _finding("no root", roots, "give the setting uid an unprivileged user")
    free = [f"page process {pid} has no system call filter" for pid, words in said.items() if _page_free(pid, words)]
    yield _finding("Chromium's own sandbox", free, "do not set chromium_sandbox=false")


def _network(root: int) -> Finding:
    if os.readlink(PROC / str(root) / "ns/net") != os.readlink(PROC / "self/ns/net"):
        return _finding("own network namespace", [])
    advice = "allow unprivileged user namespaces; until then pages are kept in by interception alone"
    return Finding("own network namespace", "not limited", "it shares this machine's", advice)


def _page_free(pid: int, words: dict[str, str]) -> bool:
    return b"--type=renderer" in _read(pid, "cmdline") and words.get("Seccomp", "").strip() != "2"


def _below(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = {pid: _status(pid).get("PPid", "").strip() for pid in map(int, filter(str.isdigit, os.listdir(PROC)))}
    found = [root]
    for process in found:
        found += [pid for pid, parent in parents.items() if parent == str(process)]
    return found


def _status(pid: int) -> dict[str, str]:
    lines = _read(pid, "status").decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _finding(protection: str, seen: list[str], advice: str = "") -> Finding:
    if seen:
        return Finding(protection, "broken", "; ".join(seen), advice)
    return Finding(protection, "holds", "tried")
