"""The doctor tells what holds from what does not, and never runs a bomb against a limit that does not stand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox_providers import open_provider
from turnwise.sandboxes import cgroups, doctor
from turnwise.sandboxes.unsafe import UnsafeSandboxWarning

ROOT = Path(__file__).parents[2]


async def verdicts(backend: str) -> dict[str, str]:
    (report,) = (await doctor([backend])).backends
    assert report.available, report.reason
    return {finding.protection: finding.verdict for finding in report.findings}


@pytest.mark.anyio
async def test_local_is_sound_where_a_cgroup_can_be_made() -> None:
    async with open_provider("local"):
        found = await verdicts("local")
    expected = set(found) - ({"memory of all processes"} if cgroups.hierarchy() is None else set())
    assert {name for name in expected if found[name] != "holds"} == set()


@pytest.mark.anyio
async def test_without_a_cgroup_the_sum_of_memory_is_said_to_be_unlimited() -> None:
    async with open_provider("local"):
        found = await verdicts("sandbox_without_cgroup:WithoutCgroup")
    assert {name: verdict for name, verdict in found.items() if verdict != "holds"} == {
        "memory of all processes": "not limited"
    }


@pytest.mark.anyio
async def test_no_protection_is_reported_as_such() -> None:
    with pytest.warns(UnsafeSandboxWarning):
        found = await verdicts("unsafe_local")
    assert found["own process namespace"] == found["host's loopback out of reach"] == "broken"
    assert found["no new privileges"] == "broken"
    assert found["disk"] == found["memory of all processes"] == found["number of processes"] == "not limited"


@pytest.mark.anyio
async def test_a_missing_backend_is_part_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    report = await doctor(["docker", "no-such"])
    assert [backend.available for backend in report.backends] == [False, False]
    assert "DOCKER_HOST" in report.backends[0].reason
    assert not report.sound


def test_the_command_prints_json_and_fails_when_nothing_is_sound() -> None:
    code = "from turnwise.cli.main import run; run()"
    command = [sys.executable, "-c", code, "doctor", "--json", "--backend", "no-such"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["sound"]) == (1, False)
    assert "no sandbox provider is named 'no-such'" in report["backends"][0]["reason"]
