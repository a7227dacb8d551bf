"""Turns and grading of the code environment against a container call, and a fresh interpreter, per run.

    python benchmarks/code_steps.py [--turns 200] [--grades 20] [--docker]

``--docker`` needs a Docker daemon. It adds ``docker exec`` in a warm container, and the environment's own turns and
grading with containers as sandboxes. A turn with files has a workspace of a hundred files of 1 KiB. All rows of one run
are measured one after another on the same machine; compare only those.
"""

import argparse
import statistics
import subprocess
import sys
import time

import anyio

from turnwise import sandboxes
from turnwise.envs import Action, Env, ToolCall
from turnwise.envs.code import CodeConfig, CodeEnv
from turnwise.sandboxes import SandboxSpec
from turnwise.tasks import Task, load_panel

CODE = "sum(range(100))"
FILES = "for i in range(100): open(f'{i}.txt', 'w').write(f'{i:8}' * 128)"
COMMANDS = 20
Rows = dict[str, list[float]]


def call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="b", name=name, arguments=dict(arguments)),))


async def turns(env: Env, action: Action, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await env.step(action)
        times.append(time.perf_counter() - began)
    return times


async def gradings(env: Env, tasks: tuple[Task, ...]) -> list[float]:
    times = []
    for task in tasks:
        await env.reset(task, seed=0)
        source = task.gold["actions"][1]["calls"][0]["arguments"]["content"]  # type: ignore[index,call-overload]
        times += await turns(env, call("submit", code=str(source)), 1)
    return times


async def environment(provider: str, count: int, grades: int) -> Rows:
    tasks = load_panel("code/programs", "test").tasks[:grades]
    rows = {}
    async with CodeEnv(CodeConfig(provider=provider)) as env:
        await env.reset(tasks[0], seed=0)
        await env.step(call("python", code=CODE))
        rows[f"turn, python, {provider}"] = await turns(env, call("python", code=CODE), count)
        rows[f"turn, bash, {provider}"] = await turns(env, call("bash", command="true"), COMMANDS)
        await env.step(call("python", code=FILES))
        rows[f"turn, 100 files, {provider}"] = await turns(env, call("python", code=CODE), COMMANDS)
        rows[f"grading, {provider}"] = await gradings(env, tasks)
    return rows


async def processes(command: list[str]) -> list[float]:
    times = []
    for _ in range(COMMANDS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return times


async def docker_exec() -> Rows:
    """Call a warm container of the image, limits and hardening that the sandboxes have."""
    async with sandboxes.provider("docker") as provider, await provider.create(SandboxSpec()) as box:
        return {"docker exec": await processes(["docker", "exec", box.id, "python3", "-c", f"print({CODE})"])}


async def measure(count: int, grades: int, *, docker: bool) -> Rows:
    rows = await environment("local", count, grades)
    rows["fresh interpreter"] = await processes([sys.executable, "-c", f"print({CODE})"])
    if docker:
        rows |= await docker_exec()
        rows |= await environment("docker", count, min(grades, COMMANDS))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--grades", type=int, default=20)
    parser.add_argument("--docker", action="store_true")
    options = parser.parse_args()
    rows = anyio.run(lambda: measure(options.turns, options.grades, docker=options.docker))
    base = statistics.median(rows.get("docker exec", rows["fresh interpreter"]))
    what = "docker exec" if "docker exec" in rows else "fresh interpreter"
    for name, times in rows.items():
        median = statistics.median(times)
        print(f"{name:24} median {1000 * median:8.2f} ms  {1 / median:8.1f} a second  {what} is {base / median:7.1f} x")


if __name__ == "__main__":
    main()
