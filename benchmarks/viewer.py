"""How the viewer holds up: a store of many episodes, the seconds each page takes, the server's memory.

    python benchmarks/viewer.py [--episodes 100000] [--store FILE]

Makes the store where there is none, one episode of it with 1,000 turns, then starts ``turnwise view`` as a process of
its own and asks for each kind of page five times; prints the slowest of each and the server's resident memory. Where
Chromium and Playwright are installed, it opens each page five times in the browser too, in a new context (an empty
cache), and prints when the browser says it first painted, counted from the start of the navigation; the page of
what is not found asks the store for nothing and shows what the browser alone takes. The server's
answers are measured while the search index is being made, too.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from turnwise.envs import Observation, StopReason, ToolCall
from turnwise.envs.types import TextPart, ToolResult
from turnwise.trajectories import RunRecord, Store, Trajectory, Turn, Usage, episode_id, group_uid

RUN = "large"


def a_turn(index: int, number: int) -> Turn:
    call = ToolCall(id=f"c{index}", name="look", arguments={"place": f"shelf {number % 97}"})
    answer = ToolResult(call_id=call.id, parts=(TextPart(text=f"Book {number} lies on shelf {number % 97}. " * 6),))
    keys = {"state_key": f"s{index}-{number % 3}", "next_state_key": f"s{index + 1}-{number % 3}"}
    observation = Observation(results=(answer,))
    return Turn(index=index, text="I look around.", calls=(call,), observation=observation, reward=0.1, **keys)


def an_episode(number: int, turns: int) -> Trajectory:
    task, sample = f"task-{number // 4:05d}", number % 4
    names = {"run": RUN, "step": None, "task_key": task, "seed": 0}
    won = number % 3 == 0
    return Trajectory(
        episode_id=episode_id(**names, sample=sample), group_uid=group_uid(**names, hint=None, horizon=None),
        run=RUN, env="library", env_version="1", config_digest="c", agent="chat",
        model="m", task_id=task,
        task_key=task, seed=0, sample=sample,
        turns=tuple(a_turn(index, number) for index in range(turns)), usage=Usage(calls=turns),
        first_observation=Observation.of(f"Find book {number}."),
        stop_reason=StopReason.SOLVED if won else StopReason.ENDED,
        score=float(won), success=won, reward=float(won), ended_at=float(number),
    )  # fmt: skip


def fill(path: Path, episodes: int) -> None:
    began = time.perf_counter()
    with Store.open(path, "a") as store:
        store.add_run(
            RunRecord(run=RUN, env="library", env_version="1", config_digest="c", agent="chat", episodes=episodes)
        )
        for first in range(0, episodes, 1000):
            numbers = range(first, min(first + 1000, episodes))
            store.append([an_episode(number, 1000 if number == 0 else 4) for number in numbers])
    print(f"{episodes:,} episodes written in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 2**20:.0f} MB")


def addresses(path: Path) -> dict[str, str]:
    with Store.open(path) as store:
        long = episode_id(run=RUN, step=None, task_key="task-00000", seed=0, sample=0)
        group = store.query("SELECT group_uid FROM episodes WHERE episode_id = ?", long)[0]["group_uid"]
    return {
        "runs": "/", "episodes": f"/run/{RUN}", "last page": f"/run/{RUN}?page=2000",
        "filtered": f"/run/{RUN}?outcome=solved",
        "sorted": f"/run/{RUN}?sort=newest", "search": f"/run/{RUN}?q=Book+99999", "search all": f"/run/{RUN}?q=book",
        "1,000 turns": f"/run/{RUN}/episode/{long}",
        "group": f"/run/{RUN}/group/{group}",
    }  # fmt: skip


def told(name: str, seconds: list[float]) -> None:
    print(
        f"  {name:<12} slowest {max(seconds) * 1e3:6.0f} ms, median {sorted(seconds)[len(seconds) // 2] * 1e3:6.0f} ms"
    )


def served(url: str, pages: dict[str, str], times: int) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        for name, page in pages.items():
            taken = []
            for _ in range(times):
                began = time.perf_counter()
                assert client.get(page).status_code == 200
                taken.append(time.perf_counter() - began)
            told(name, taken)


def painted(url: str, pages: dict[str, str], times: int) -> None:
    """Read the browser's own paint entry: ``first-contentful-paint``, from the start of the navigation."""
    from playwright.sync_api import sync_playwright

    found = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        for name, page in pages.items():
            taken = []
            for _ in range(times):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                tab = context.new_page()
                tab.goto(url + page)
                tab.wait_for_function(found)
                taken.append(tab.evaluate(found) / 1e3)
                context.close()
            told(name, taken)
        browser.close()


def whole(url: str) -> float:
    """Wait until the search index is whole; return the seconds that took."""
    began = time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        while "data-building" in client.get(f"/run/{RUN}?q=book").text:
            time.sleep(0.05)
    return time.perf_counter() - began


def measure(path: Path) -> None:
    pages = addresses(path)
    plain = {name: page for name, page in pages.items() if "search" not in name}
    command = [sys.executable, "-c", "from turnwise.cli.main import run; run()", "view", str(path), "--port", "0"]
    browser = shutil.which("chromium") is not None and importlib.util.find_spec("playwright") is not None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip().rstrip("/")
        print("the server's answer while the search index is made:")
        served(url, plain, 1)
        print(f"  the index is whole after {whole(url):.1f} s more")
        print("the server's answer:")
        served(url, pages, 5)
        if browser:
            print("first contentful paint in Chromium:")
            painted(url, {"(not found)": "/run/none", **pages}, 5)
        print(f"resident memory {psutil.Process(server.pid).memory_info().rss / 2**20:.0f} MB")
        server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--store", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.store or Path(folder) / "large.sqlite"
        if not path.exists():
            fill(path, asked.episodes)
        measure(path)


if __name__ == "__main__":
    main()
