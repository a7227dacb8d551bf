"""The pool: warm, single-use, bounded, and empty afterwards."""

import os
import tempfile
from pathlib import Path

import anyio
import pytest

from sandbox_providers import open_provider
from turnwise.errors import ConfigError, SandboxClosedError, SandboxCreateError, SandboxError, SandboxTimeoutError
from turnwise.sandboxes import Sandbox, SandboxPool, SandboxProvider, SandboxSpec
from turnwise.sandboxes.contract import small_spec
from turnwise.sandboxes.local import LocalProvider

pytestmark = pytest.mark.anyio


async def test_each_sandbox_is_used_once_and_replaced() -> None:
    async with open_provider("local") as provider:
        pool = SandboxPool(provider, small_spec(provider), size=3)
        async with pool:
            seen = set()
            for _ in range(6):
                async with pool.sandbox() as box:
                    assert (await pool.run_code(box, "x = globals().get('x', 0) + 1; x", session="s")).stdout == "1\n"
                    seen.add(box.id)
            assert len(seen) == 6
            assert pool.metrics.used == pool.metrics.runs == 6
        assert pool.metrics.created == pool.metrics.closed
        assert pool.metrics.idle == pool.metrics.in_use == 0
        assert pool.metrics.summary()["create_s_p50"] > 0


async def test_it_never_holds_more_than_its_size_and_says_when_none_is_free() -> None:
    async with open_provider("local") as provider, SandboxPool(provider, small_spec(provider), size=2) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        with pytest.raises(SandboxTimeoutError, match="2 of 2 are in use"):
            await pool.acquire(timeout_s=0.2)
        await pool.release(first)
        third = await pool.acquire()
        assert third.id not in (first.id, second.id)
        with pytest.raises(SandboxError, match="not taken from this pool"):
            await pool.release(first)


async def test_a_sandbox_may_be_used_again_after_a_reset() -> None:
    async with open_provider("local") as provider:
        pool = SandboxPool(provider, small_spec(provider), size=1, max_uses=2)
        async with pool:
            ids = []
            for _ in range(3):
                async with pool.sandbox() as box:
                    ids.append(box.id)
                    assert (await box.exec("ls; echo x > mine")).stdout == "given.txt\n"
            assert ids[0] == ids[1] != ids[2]


async def test_a_dead_sandbox_is_not_handed_out() -> None:
    async with open_provider("local") as provider, SandboxPool(provider, small_spec(provider), size=2) as pool:
        while pool.metrics.idle < 2:
            await anyio.sleep(0.01)
        for sandbox in list(provider._live):  # type: ignore[attr-defined]
            sandbox.child.kill()
        async with pool.sandbox() as box:
            assert (await box.run_code("print(1)")).ok


async def test_runs_wait_their_turn_apart_from_their_time_limit() -> None:
    async with (
        open_provider("local") as provider,
        SandboxPool(provider, small_spec(provider), size=2, exec_concurrency=1) as pool,
    ):
        results = {}

        async def run(name: str, box: Sandbox) -> None:
            results[name] = await pool.run_code(box, "import time; time.sleep(0.3)", timeout_s=5)

        # Both are there before either runs, so that the one waits while the other sleeps, on any machine.
        async with pool.sandbox() as first, pool.sandbox() as second, anyio.create_task_group() as group:
            group.start_soon(run, "a", first)
            group.start_soon(run, "b", second)
        waits = sorted(result.queue_s for result in results.values())
        assert all(result.ok for result in results.values())
        assert waits[1] > 0.2 > waits[0]
        assert max(result.duration_s for result in results.values()) < pool.metrics.summary()["exec_s_p95"] + 1


class Failing(LocalProvider):
    async def create(self, spec: SandboxSpec | None = None) -> Sandbox:
        raise SandboxCreateError("no more of them")


async def test_a_provider_that_fails_is_the_reason_given() -> None:
    open_provider("local")
    async with Failing() as provider, SandboxPool(provider, size=2) as pool:
        with pytest.raises(SandboxCreateError, match="no more of them"):
            await pool.acquire(timeout_s=10)
        assert pool.metrics.create_failures > 0


async def test_cancelling_a_filling_pool_leaves_nothing() -> None:
    provider: SandboxProvider
    async with open_provider("local") as provider:
        for delay in (0.0, 0.01, 0.05, 0.1):
            async with SandboxPool(provider, small_spec(provider), size=6):
                await anyio.sleep(delay)
            assert not provider._live  # type: ignore[attr-defined]


async def test_wrong_numbers_and_a_closed_pool_are_refused() -> None:
    async with open_provider("local") as provider:
        for wrong in ({"size": 0}, {"size": 1, "min_idle": 2}, {"size": 1, "max_uses": 0}):
            with pytest.raises(ConfigError):
                SandboxPool(provider, **wrong)
        with pytest.raises(SandboxClosedError):
            await SandboxPool(provider, size=1).acquire()


async def test_an_image_is_made_once_however_many_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # the sandbox's own user must reach it
        monkeypatch.setenv("TURNWISE_SANDBOX_CACHE", folder)
        async with open_provider("local") as provider:
            pool = SandboxPool(provider, small_spec(provider), size=4)
            async with pool, pool.sandbox() as box:
                assert (await box.run_code("print(1)")).ok
        (image,) = Path(folder).iterdir()
        made = (image / "image.json").stat().st_mtime_ns
        assert all(path.stat().st_mtime_ns <= made for path in image.rglob("*.py"))
