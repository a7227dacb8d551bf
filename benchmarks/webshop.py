"""The web shop's speed, start and memory at 1,000, 100,000 and 1,000,000 products, in one run on one core.

    python benchmarks/webshop.py [--sizes 1000 100000 1000000] [--seconds 3]

Beside it, in the same run and interleaved with it: what WebShop's step costs at least, which is parsing its rendered
page with BeautifulSoup twice (``get_available_actions`` and ``observation``), measured on pages that WebShop rendered.
Rates and forks are per second of processor time, so that a shared machine
tells the same; starts are by the clock. The first run at a size builds the index into the cache.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
PAGES = Path(__file__).parent.parent / "tests/data/webshop/rendered_pages"
FIRST = """
import time, asyncio, json, sys
import turnwise.envs as envs
from turnwise.tasks import Task
async def main():
    env = envs.make("webshop")
    first, _ = await env.reset(Task.model_validate_json(sys.argv[1]), seed=0)
    return len(first.text)
asyncio.run(main())
"""
MEMORY = """
import asyncio, gc, json, sys
import turnwise.envs as envs
from turnwise.tasks import Task
def resident():
    gc.collect()
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Private_"))
async def episode(task):
    env = envs.make("webshop")
    await env.reset(task, seed=0)
    for _ in range(3):
        await env.step(await env.gold_action())
    return env
async def main():
    task = Task.model_validate_json(sys.argv[1])
    warm = [await episode(task) for _ in range(20)]
    one = resident()
    more = [await episode(task) for _ in range(1000)]
    print(json.dumps({"one_episode_mib": one / 1024, "per_episode_kib": (resident() - one) / 1000}))
asyncio.run(main())
"""


def task_of(size: int) -> Any:
    from turnwise.tasks import make_generator

    return make_generator("webshop", size=size, levels=(3,)).generate(1, seed=0, split="test")[0]


async def stepping(task: Any, seconds: float, interface: str, kind: str) -> float:
    """Return steps per second of one kind, ``search`` or the rest."""
    import turnwise.envs as envs

    env: Any = envs.make("webshop", interface=interface)
    await env.reset(task, seed=0)
    rng, spent, steps = random.Random(1), 0.0, 0
    words = task.instruction.split()
    while spent < seconds:
        action = await env.sample_action(rng)
        name = action.calls[0].name
        if kind == "search":
            action = f"search[{' '.join(rng.sample(words, min(4, len(words))))} {rng.randrange(10**6)}]"
        elif name == "search" or name == "buy" or action.calls[0].arguments == {"element": "buy now"}:
            if env.shop.state.page == "index":
                await env.step(action)
            continue
        started = time.process_time()
        await env.step(action)
        spent += time.process_time() - started
        steps += 1
        if steps % 100 == 0:
            await env.reset(task, seed=0)
    return steps / spent


def parsing() -> float:
    """Return how many steps per second two BeautifulSoup parses and a text rendering leave room for."""
    from bs4 import BeautifulSoup

    costs = []
    for page in sorted(PAGES.glob("*.html")):
        source = page.read_text(encoding="utf-8")
        for _ in range(10):
            started = time.process_time()
            soup = BeautifulSoup(source, "html.parser")
            soup.find_all(class_="btn"), soup.find_all(class_="product-link"), soup.select('input[type="radio"]')
            " [SEP] ".join(text.strip() for text in BeautifulSoup(source, "html.parser").find_all(string=True))
            costs.append(time.process_time() - started)
    return 1 / statistics.mean(costs)


async def forking(task: Any) -> dict[str, float]:
    """Return microseconds of a snapshot and a restore into a ready instance, after five turns."""
    import turnwise.envs as envs

    env, other = envs.make("webshop"), envs.make("webshop")
    await env.reset(task, seed=0)
    await other.reset(task, seed=0)
    rng = random.Random(2)
    for _ in range(5):
        action = await env.sample_action(rng)
        await env.step(action if action.calls[0].name != "buy" else "back[]")
    rounds = []
    for _ in range(400):
        started = time.process_time()
        await other.restore(await env.snapshot(), task)
        rounds.append(time.process_time() - started)
    return {"fork_us_median": 1e6 * statistics.median(rounds)}


def child(code: str, task: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, task.model_dump_json()]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def measure(size: int, seconds: float) -> dict[str, float]:
    started = time.perf_counter()
    task = task_of(size)
    row: dict[str, float] = {"products": size, "task_and_index_s": time.perf_counter() - started}
    starts = []
    for _ in range(3):
        started = time.perf_counter()
        child(FIRST, task)
        starts.append(time.perf_counter() - started)
    row["process_to_first_observation_s"] = statistics.median(starts)
    for interface in ("tools", "webshop"):
        for kind in ("other", "search"):
            row[f"{interface}_{kind}_per_s"] = asyncio.run(stepping(task, seconds, interface, kind))
    row["parse_floor_per_s"] = parsing()
    row["times_faster"] = row["webshop_other_per_s"] / row["parse_floor_per_s"]
    row |= asyncio.run(forking(task))
    return row | json.loads(child(MEMORY, task).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    for size in options.sizes:
        for name, value in measure(size, options.seconds).items():
            print(f"{name:32} {value:12,.2f}")
        print()


if __name__ == "__main__":
    main()
