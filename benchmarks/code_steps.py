"""Turns and grading of the code environment against a fresh interpreter, and a container call, per run.

    python benchmarks/code_steps.py [--turns 200] [--grades 20] [--container NAME]

``--container`` names a running container for ``docker exec``; without it that row is left out. All rows of one run are
measured one after another on the same machine; compare only those.
"""

import argparse
import statistics
import subprocess
import sys
import time

import anyio

from turnwise.envs import Action, ToolCall
from turnwise.envs.code import CodeEnv
from turnwise.tasks import load_panel

CODE = "sum(range(100))"


def call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="b", name=name, arguments=dict(arguments)),))


async def environment(turns: int, grades: int) -> tuple[list[float], list[float]]:
    panel = load_panel("code/programs", "test").tasks[:grades]
    steps, gradings = [], []
    async with CodeEnv() as env:
        await env.reset(panel[0], seed=0)
        await env.step(call("python", code=CODE))
        for _ in range(turns):
            began = time.perf_counter()
            await env.step(call("python", code=CODE))
            steps.append(time.perf_counter() - began)
        for task in panel:
            await env.reset(task, seed=0)
            source = task.gold["actions"][1]["calls"][0]["arguments"]["content"]  # type: ignore[index,call-overload]
            began = time.perf_counter()
            await env.step(call("submit", code=str(source)))
            gradings.append(time.perf_counter() - began)
    return steps, gradings


def processes(command: list[str], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--grades", type=int, default=20)
    parser.add_argument("--container")
    options = parser.parse_args()
    steps, gradings = anyio.run(environment, options.turns, options.grades)
    rows = {"turn (python)": steps, "fresh interpreter": processes([sys.executable, "-c", f"print({CODE})"], 20)}
    if options.container:
        inside = ["docker", "exec", options.container, "python3", "-c", f"print({CODE})"]
        rows["docker exec"] = processes(inside, 20)
    rows["grading a submission"] = gradings
    turn = statistics.median(steps)
    for name, times in rows.items():
        median = statistics.median(times)
        print(f"{name:22} median {1000 * median:8.2f} ms  {1 / median:8.1f} a second  {median / turn:7.1f} x a turn")


if __name__ == "__main__":
    main()
