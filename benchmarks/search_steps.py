"""Environment steps per second of the search environment: gold episodes over the shipped panel, and snapshots.

Run:  python benchmarks/search_steps.py
"""

import statistics
import time

import anyio

from turnwise.envs import Env, make
from turnwise.tasks import TaskSet
from turnwise.tasks.panels import load_panel


async def play(env: Env, panel: TaskSet) -> int:
    steps = 0
    for task in panel:
        await env.reset(task, seed=0)
        over = False
        while not over:
            over = (await env.step(await env.gold_action())).terminated
            steps += 1
    return steps


async def main() -> None:
    panel = load_panel("search/world")
    await play(make("search"), panel.sample(5, 0))
    for config in ({}, {"interface": "tags"}, {"interface": "search-r1"}):
        rates = []
        for _ in range(3):
            began, busy = time.perf_counter(), time.process_time()
            steps = await play(make("search", **config), panel)
            rates.append((steps / (time.perf_counter() - began), steps / (time.process_time() - busy)))
        wall, cpu = (statistics.median(column) for column in zip(*rates, strict=True))
        print(f"{config or 'tools'}: {wall:,.0f} steps/s, {cpu:,.0f} per second of CPU, one after another")
    envs = [make("search") for _ in range(64)]
    done: list[int] = []

    async def part(env: Env, tasks: TaskSet) -> None:
        done.append(await play(env, tasks))

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for number, env in enumerate(envs):
            group.start_soon(part, env, panel.sample(30, number))
    print(f"64 episodes at once: {sum(done) / (time.perf_counter() - began):,.0f} steps/s")
    env, task = envs[0], panel.tasks[0]
    await env.reset(task, seed=0)
    for _ in range(3):
        await env.step(await env.gold_action())
    for name in ("snapshot", "restore"):
        snapshot = await env.snapshot()
        began = time.process_time()
        for _ in range(2000):
            await (env.snapshot() if name == "snapshot" else env.restore(snapshot, task))
        print(f"{name}: {(time.process_time() - began) / 2000 * 1e6:.0f} microseconds of CPU")


anyio.run(main)
