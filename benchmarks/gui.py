"""The GUI environment's speed and memory beside BrowserGym's, in one run, on the same pages and browser.

    python benchmarks/gui.py --browsergym PYTHON [--pages click-test enter-text login-user] [--episodes 20]

PYTHON is the interpreter of a virtual environment of its own that holds ``browsergym-miniwob==0.14.3``, ``miniwob`` and
``psutil``; without it only our own figures are printed. A step is one action and the observation after it; an episode
has a fresh context and its reset is counted. BrowserGym's observation always holds a screenshot; ours is measured as
text and with one. The scripted players differ in where they find their elements, which is not part of a step. Bare
contexts are the raw limit: made by DevTools commands alone, with one tab that shows a word, and thrown away.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

CONTENDER = Path(__file__).parent / "contenders" / "browsergym_miniwob.py"


class Run(NamedTuple):
    step_ms: float
    episodes_s: float
    solved: float


async def play(env: Any, task: Any, seed: int) -> tuple[list[float], bool]:
    await env.reset(task, seed=seed)
    steps: list[float] = []
    while True:
        action = await env.gold_action()
        began = time.perf_counter()
        result = await env.step(action)
        steps.append(time.perf_counter() - began)
        if result.terminated or result.truncated:
            return steps, bool(result.info.success)


async def ours(page: str, at_once: int, episodes: int, screenshot: str) -> Run:
    import turnwise.envs as envs

    tasks = tasks_of(page)
    made = [envs.make("gui", screenshot=screenshot) for _ in range(at_once)]
    await asyncio.gather(*(play(env, tasks[0], 0) for env in made))

    async def worker(env: Any) -> list[tuple[list[float], bool]]:
        return [await play(env, tasks[seed % len(tasks)], seed) for seed in range(episodes)]

    began = time.perf_counter()
    played = [one for many in await asyncio.gather(*map(worker, made)) for one in many]
    seconds = time.perf_counter() - began
    for env in made:
        await env.close()
    return summed([played], seconds)


def tasks_of(page: str) -> list[Any]:
    from turnwise.tasks import load_panel

    return [task for task in load_panel("gui/miniwob").tasks if task.data["page"] == page]


def summed(played: list[list[tuple[list[float], bool]]], seconds: float) -> Run:
    flat = [one for many in played for one in many]
    step = statistics.median(step for steps, _ in flat for step in steps)
    return Run(step * 1000, len(flat) / seconds, sum(right for _, right in flat) / len(flat))


def theirs(asked: argparse.Namespace, page: str, at_once: int, episodes: int, *, tuned: bool) -> Run:
    words = [asked.browsergym, str(CONTENDER), "--executable", executable(), "--page", page]
    words += ["--episodes", str(episodes), *(["--tuned"] if tuned else [])]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in range(at_once)]
    for worker in workers:
        if worker.stdout.readline().strip() != "ready":
            raise SystemExit("BrowserGym did not start; its error stands above.")
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    found = [json.loads(worker.stdout.readline()) for worker in workers]
    for worker in workers:
        worker.communicate()
    step = statistics.median(step for one in found for step in one["steps"])
    done = at_once * episodes
    return Run(step * 1000, done / max(one["seconds"] for one in found), sum(one["solved"] for one in found) / done)


def executable() -> str:
    from turnwise.envs.gui.engine import EngineConfig
    from turnwise.envs.gui.engine.config import find_executable

    return find_executable(EngineConfig())


async def memory(page: str, more: int = 8) -> float:
    """Return MB of PSS of each further open episode, over all processes of the browser and this one."""
    import turnwise.envs as envs

    task = tasks_of(page)[0]
    opened = [envs.make("gui") for _ in range(1 + more)]
    await play(opened[0], task, 0)
    await opened[0].reset(task, seed=0)
    await asyncio.sleep(2)
    one = pss()
    for env in opened[1:]:
        await env.reset(task, seed=0)
    await asyncio.sleep(2)
    each = (pss() - one) / more
    for env in opened:
        await env.close()
    return each


async def bare(at_once: int, count: int) -> float:
    """Return how many contexts a second the browser makes and throws away, with a tab of one word in each."""
    from turnwise.envs.gui.engine import EngineConfig
    from turnwise.envs.gui.engine.cdp import Connection
    from turnwise.envs.gui.engine.keeper import Keeper

    chromium = await Keeper.shared().launch(EngineConfig())
    connection = Connection(chromium.pipe, chromium.last_words)
    root, left = connection.root, iter(range(count))

    async def one() -> None:
        context = (await root.send("Target.createBrowserContext"))["browserContextId"]
        made = await root.send("Target.createTarget", url="about:blank", browserContextId=context)
        held = await root.send("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        tab = connection.channel(held["sessionId"], lambda *_: None)
        frame = (await tab.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        await tab.send("Page.setDocumentContent", frameId=frame, html="<button>ok</button>")
        await tab.send("Runtime.evaluate", expression="document.body.innerText")
        await root.send("Target.disposeBrowserContext", browserContextId=context)

    async def worker() -> None:
        for _ in left:
            await one()

    await one()
    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    seconds = time.perf_counter() - began
    await Keeper.shared().end(chromium)
    return count / seconds


def pss() -> float:
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            total += process.memory_full_info().pss / 2**20
        except psutil.Error:
            continue
    return total


def compare(asked: argparse.Namespace, page: str, at_once: int) -> None:
    rows = {"ours, text": asyncio.run(ours(page, at_once, asked.episodes, "none"))}
    rows["ours, screenshot"] = asyncio.run(ours(page, at_once, asked.episodes, "plain"))
    if asked.browsergym:
        few = max(2, asked.episodes // 5)
        rows["BrowserGym, default"] = theirs(asked, page, at_once, few, tuned=False)
        rows["BrowserGym, tuned"] = theirs(asked, page, at_once, few, tuned=True)
    mine = rows["ours, text"]
    for name, run in rows.items():
        line = f"{page:11} {at_once} at once  {name:20} step {run.step_ms:8.2f} ms  {run.episodes_s:6.2f} episodes/s"
        ratio = f"  step x{run.step_ms / mine.step_ms:6.1f}  episodes/s x{mine.episodes_s / run.episodes_s:5.1f}"
        print(f"{line}  solved {run.solved:.0%}" + (ratio if name.startswith("B") else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--browsergym")
    parser.add_argument("--pages", nargs="+", default=["click-test", "enter-text", "login-user"])
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--episodes", type=int, default=20)
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; browser {executable()}", flush=True)
    for page in asked.pages:
        for at_once in asked.at_once:
            compare(asked, page, at_once)
    for at_once in asked.at_once:
        print(f"bare contexts, {at_once} at once: {asyncio.run(bare(at_once, 5 * asked.episodes)):.1f} a second")
    print(f"each further open episode: {asyncio.run(memory(asked.pages[0])):.1f} MB PSS")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
