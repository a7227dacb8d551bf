"""Every abuse probe on every backend that claims to contain it."""

import os
from collections.abc import Iterator

import pytest

from sandbox_probes import PROBES, SPEC, Host, contained, host_traps
from sandbox_providers import docker_or_skip, open_provider
from turnwise.sandboxes import cgroups

NEED_CGROUP = {"memory_bomb_many": "memory_sum"}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    before = os.environ.get("SBX_SECRET")
    os.environ["SBX_SECRET"] = "canary"
    with host_traps() as traps:
        yield traps
    os.environ.pop("SBX_SECRET") if before is None else None


@pytest.mark.anyio
@pytest.mark.parametrize("name", PROBES)
async def test_local_contains(name: str, host: Host) -> None:
    async with open_provider("local") as provider:
        if missing := {NEED_CGROUP.get(name, "seccomp")} - provider.capabilities:
            pytest.skip(f"this machine gives no {missing}: {cgroups.why_none()}")
        held, seen = await contained(provider, name, host, SPEC.accept(*(SPEC.require - provider.capabilities)))
        assert held, seen


@pytest.mark.anyio
@pytest.mark.parametrize("name", PROBES)
async def test_local_without_a_cgroup_misses_what_it_says(name: str, host: Host) -> None:
    async with open_provider("local", cgroups=False) as provider:
        held, seen = await contained(provider, name, host, SPEC.accept("memory_sum"))
        assert held == (name not in NEED_CGROUP), seen


@pytest.mark.docker
@pytest.mark.anyio
@pytest.mark.parametrize("name", PROBES)
async def test_docker_contains(name: str, host: Host) -> None:
    async with docker_or_skip() as provider:
        held, seen = await contained(provider, name, host)
        assert held, seen
