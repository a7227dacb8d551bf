"""`unsafe_local` isolates nothing, says so, and shows that the probes can fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from sandbox_probes import HARMLESS
from turnwise import sandboxes
from turnwise.sandboxes.contract import CHECKS, small_spec
from turnwise.sandboxes.image import interpreter
from turnwise.sandboxes.unsafe import UnsafeSandboxWarning

ROOT = Path(__file__).parents[2]


@pytest.mark.anyio
@pytest.mark.parametrize("check", [name for name in CHECKS if name != "paths_stay_inside"])
async def test_it_keeps_the_contract(check: str) -> None:
    with pytest.warns(UnsafeSandboxWarning, match="isolates nothing"):
        provider = sandboxes.provider("unsafe_local")
    async with provider:
        await CHECKS[check](provider, small_spec(provider))


def _without_rights(python: str) -> subprocess.CompletedProcess[str]:
    """Run the harmless probes on `unsafe_local` from a process of a user without rights."""
    packages = os.pathsep.join([str(ROOT / "src"), str(Path(anyio.__file__).parents[1])])
    return subprocess.run(
        [python, "-B", str(ROOT / "tests/support/sandbox_probes.py")],
        env={"PATH": os.environ["PATH"], "SBX_SECRET": "canary", "PYTHONPATH": packages, "HOME": "/nonexistent"},
        capture_output=True, text=True, check=False, timeout=120, cwd="/", user=61_500, group=61_500, extra_groups=[],
    )  # fmt: skip


def test_the_probes_can_fail() -> None:
    """Without isolation, under a user without rights, the harmless ones are reported as escaped."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become a user without rights")
    if sys.version_info[:2] != interpreter().version[:2]:
        pytest.skip("needs a Python that every user may run, of the version that runs the tests")
    done = _without_rights(interpreter().executable)
    assert done.stdout, done.stderr
    outcome = json.loads(done.stdout)
    assert [name for name, seen in outcome.items() if not seen] == []
    assert set(outcome) >= set(HARMLESS)
