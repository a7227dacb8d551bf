"""Sandbox turns, starts, pools and memory, side by side in one run; prints medians and ratios.

    python benchmarks/sandboxes.py [--turns N] [--pool N] [--backends local,docker]

Baselines of the same machine and minute: a plain `python3 -c` subprocess and `docker exec` in a warm container. All
protections are on. Measurements are interleaved, so that a busy minute weighs on all of them.
"""

import argparse
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from turnwise import sandboxes
from turnwise.errors import TurnwiseError
from turnwise.sandboxes import Sandbox, SandboxPool, SandboxProvider
from turnwise.sandboxes.docker import DockerProvider

Measure = Callable[[], Awaitable[None]]
CELL = "x = 1\nprint(x)"


def line(name: str, value: float, unit: str, note: str = "") -> None:
    print(f"{name:<46} {value:10.3f} {unit:<8} {note}", flush=True)


async def interleaved(measures: dict[str, tuple[int, Measure]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each measure; in each round each is done so many times in a row."""
    times: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, (repeat, measure) in measures.items():
            for _ in range(repeat):
                began = time.perf_counter()
                await measure()
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


async def plain() -> None:
    await anyio.run_process(["/usr/bin/python3", "-c", CELL])


def cell(box: Sandbox) -> Measure:
    async def measure() -> None:
        result = await box.run_code(CELL, session="s")
        assert result.stdout == "1\n", result

    return measure


def fork_run(box: Sandbox) -> Measure:
    async def measure() -> None:
        assert (await box.run_code(CELL)).stdout == "1\n"

    return measure


def docker_exec(name: str) -> Measure:
    async def measure() -> None:
        await anyio.run_process(["docker", "exec", name, "python3", "-c", CELL])

    return measure


def create(provider: SandboxProvider, *, answer: bool = False) -> Measure:
    """Create to ready, closing not counted: it happens after the clock is read."""

    async def measure() -> None:
        box = await provider.create()
        if answer:
            await box.run_code(CELL, session="s")
        left.append(box)

    left = _LEFT
    return measure


_LEFT: list[Sandbox] = []


async def closing(measure: Measure) -> float:
    began = time.perf_counter()
    await measure()
    seconds = time.perf_counter() - began
    while _LEFT:
        await _LEFT.pop().close()
    return seconds


async def turns(providers: dict[str, SandboxProvider], rounds: int) -> None:
    boxes = {name: await provider.create() for name, provider in providers.items()}
    measures: dict[str, tuple[int, Measure]] = {"plain subprocess": (1, plain)}
    for name, box in boxes.items():
        await cell(box)()
        measures[f"{name}: REPL turn"] = (200, cell(box))
        measures[f"{name}: stateless run"] = (20, fork_run(box))
    if "docker" in boxes:
        measures["docker exec python3 -c"] = (1, docker_exec(boxes["docker"].id))
    found = await interleaved(measures, rounds)
    base = found["plain subprocess"]
    for name, seconds in found.items():
        exec_ratio = found.get("docker exec python3 -c", 0) / seconds
        line(name, seconds * 1e3, "ms", f"{base / seconds:8.1f} x plain, {exec_ratio:8.1f} x docker exec")
    for box in boxes.values():
        await box.close()


async def starts(providers: dict[str, SandboxProvider], rounds: int) -> None:
    for name, provider in providers.items():
        for what, answer in (("create to ready", False), ("create to first answer", True)):
            await closing(create(provider, answer=answer))
            times = [await closing(create(provider, answer=answer)) for _ in range(rounds)]
            line(f"{name}: {what}", statistics.median(times) * 1e3, "ms", f"min {min(times) * 1e3:.1f}")


async def throughput(provider: SandboxProvider, at_once: int, *, session: str | None, seconds: float) -> None:
    boxes = [await provider.create() for _ in range(at_once)]
    count = 0
    began = time.perf_counter()

    async def client(box: Sandbox) -> None:
        nonlocal count
        while time.perf_counter() - began < seconds:
            await box.run_code(CELL, session=session)
            count += 1

    async with anyio.create_task_group() as group:
        for box in boxes:
            group.start_soon(client, box)
    kind = "REPL turns" if session else "stateless runs"
    line(f"{provider.name}: {kind}, {at_once} at once", count / (time.perf_counter() - began), "per s")
    for box in boxes:
        await box.close()


def pss_mib(sandbox_ids: list[str]) -> float:
    """Return the proportional memory of every process whose command line names one of the sandboxes, with their own."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
            if any(name.encode() in text for name in sandbox_ids):
                rollup = (path.parent / "smaps_rollup").read_text(encoding="ascii")
                total += int(next(row for row in rollup.splitlines() if row.startswith("Pss:")).split()[1])
        except OSError:
            continue
    return total / 1024


async def pool(provider: SandboxProvider, size: int) -> None:
    began = time.perf_counter()
    async with SandboxPool(provider, size=size) as warm:
        while warm.metrics.idle < size:
            await anyio.sleep(0.005)
        line(f"{provider.name}: pool of {size} ready", time.perf_counter() - began, "s")
        ids = [entry.sandbox.id for entry in warm._idle]
        if provider.name == "docker":
            ids += container_ids(provider, ids)
        await anyio.sleep(1)
        line(f"{provider.name}: PSS per idle sandbox", pss_mib(ids) / size, "MiB", "with its bwrap or shim")


def container_ids(provider: SandboxProvider, names: list[str]) -> list[str]:
    """The shim's command line names the container's own id."""
    assert isinstance(provider, DockerProvider)
    return [entry["Id"] for entry in provider._docker.api.containers() if entry["Names"][0].strip("/") in names]


def opened(name: str) -> SandboxProvider | None:
    try:
        return sandboxes.provider(name)
    except TurnwiseError as error:
        print(f"{name}: left out: {error}")
        return None


async def main(arguments: argparse.Namespace) -> None:
    providers = {name: made for name in arguments.backends.split(",") if (made := opened(name))}
    print(f"load {os.getloadavg()}, {os.cpu_count()} cores")
    for name, provider in providers.items():
        print(f"{name}: {', '.join(sorted(provider.capabilities))}")
    await turns(providers, arguments.turns)
    await starts(providers, arguments.turns // 2)
    for provider in providers.values():
        for at_once in (8, 32):
            await throughput(provider, at_once, session="s", seconds=2)
            await throughput(provider, at_once, session=None, seconds=2)
        await pool(provider, arguments.pool if provider.name == "local" else min(arguments.pool, 20))
        await provider.aclose()
    print(f"load {os.getloadavg()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--pool", type=int, default=100)
    parser.add_argument("--backends", default="local,docker")
    anyio.run(main, parser.parse_args())
