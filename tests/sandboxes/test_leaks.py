"""Owners of sandboxes are killed at seeded instants; after `cleanup` nothing of theirs is left on the machine."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox_providers import docker_or_skip, open_provider
from turnwise import sandboxes
from turnwise.sandboxes import cgroups
from turnwise.sandboxes.docker import LABEL, DockerProvider

ROOT = Path(__file__).parents[2]
OWNERS = 4
PER_OWNER = 8


def start_owner(name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(ROOT / "tests/support/sandbox_owner.py"), name, str(PER_OWNER)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)


def processes(owners: list[int]) -> list[str]:
    """Every process whose command line names a sandbox of these owners."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        if any(b"\0turnwise-%d-" % owner in text for owner in owners):
            found.append(f"{path}: {text[-60:]!r}")
    return found


def files_and_groups(owners: list[int]) -> list[str]:
    where = cgroups.hierarchy()
    places = [Path(tempfile.gettempdir()), *(set(where.parents.values()) if where else ())]
    return [str(path) for place in places for owner in owners for path in place.glob(f"turnwise-{owner}-*")]


def containers(owners: list[int]) -> list[str]:
    with_label = docker_or_skip()
    assert isinstance(with_label, DockerProvider)
    found = with_label._docker.api.containers(all=True, filters={"label": LABEL})
    with_label._docker.close()
    names = [container["Labels"][LABEL] for container in found]
    return [name for name in names if any(name.startswith(f"turnwise-{owner}-") for owner in owners)]


def mounts() -> set[str]:
    return set(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())


def kill_owners_until(name: str, cycles: int, longest_life_s: float) -> tuple[int, list[int]]:
    """Run four owners at a time and kill each after a seeded life, until so many cycles were whole."""
    rng, done, pids = random.Random(20_240_601), 0, []
    while done < cycles:
        owners = [start_owner(name) for _ in range(OWNERS)]
        began = time.monotonic()
        for owner, life in sorted(((o, rng.uniform(0.3, longest_life_s)) for o in owners), key=lambda pair: pair[1]):
            time.sleep(max(0.0, began + life - time.monotonic()))
            owner.send_signal(signal.SIGKILL)
        whole = sum(owner.communicate()[0].count(b".") for owner in owners)
        pids += [owner.pid for owner in owners]
        done += whole
        # On a busy machine none may get as far as one cycle: give the next ones longer.
        longest_life_s *= 1.0 if whole else 1.5
    return done, pids


async def leaves_nothing(name: str, cycles: int, longest_life_s: float, also: Callable[[list[int]], list[str]]) -> None:
    before = mounts()
    done, owners = kill_owners_until(name, cycles, longest_life_s)
    assert done >= cycles
    async with sandboxes.provider(name) as provider:
        await provider.cleanup()
        assert await provider.cleanup() == 0
    deadline = time.monotonic() + 10
    while left := [*processes(owners), *files_and_groups(owners), *also(owners)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    assert {line for line in mounts() - before if "turnwise" in line or "sandbox" in line} == set()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cycles", "life"), [(40, 3.0), pytest.param(3000, 20.0, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
async def test_local_leaves_nothing(cycles: int, life: float) -> None:
    async with open_provider("local") as provider:
        if "memory_sum" not in provider.capabilities:
            pytest.skip(cgroups.why_none())
    await leaves_nothing("local", cycles, life, lambda owners: [])


@pytest.mark.docker
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cycles", "life"), [(8, 6.0), pytest.param(200, 20.0, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
async def test_docker_leaves_nothing(cycles: int, life: float) -> None:
    await docker_or_skip().aclose()
    await leaves_nothing("docker", cycles, life, containers)
