"""Branches: copies of sessions and files inside one sandbox."""

import pytest

from sandbox_providers import docker_or_skip, open_provider
from turnwise.errors import SandboxError
from turnwise.sandboxes import SandboxProvider, branches
from turnwise.sandboxes.contract import small_spec
from turnwise.sandboxes.resident import ResidentSandbox

pytestmark = pytest.mark.anyio


async def branch_and_compare(provider: SandboxProvider) -> None:
    async with await provider.create(small_spec(provider)) as box:
        assert isinstance(box, ResidentSandbox)
        await box.run_code("import os\nx = [1]\nf = lambda: sum(x)", session="s")
        await box.run_code("CREATE TABLE t(a); INSERT INTO t VALUES (1)", language="sql", session="q")
        await box.write_file("sub/a.txt", b"origin")
        left, right = await branches(box, 2)
        await left.run_code("x.append(10)\nopen('sub/a.txt', 'w').write('left')", session="s")
        await left.run_code("INSERT INTO t VALUES (2)", language="sql", session="q")
        for place, total, text, rows in ((left, "11", "left", 2), (right, "1", "origin", 1), (box, "1", "origin", 1)):
            assert (await place.run_code("f()", session="s")).stdout == f"{total}\n"
            assert (await place.run_code("open('sub/a.txt').read()", session="s")).stdout == f"'{text}'\n"
            count = await place.run_code("SELECT count(*) AS n FROM t", language="sql", session="q")
            assert count.stdout == f"n\n{rows}\n"
            assert await place.read_file("sub/a.txt") == text.encode()
        async with await provider.restore(await box.snapshot(), box.spec) as copy:
            assert (await copy.run_code("x", session="s@1")).stdout == "[1, 10]\n"
        lost = await left.run_code("import os; os._exit(1)", session="s")
        assert lost.state_lost
        with pytest.raises(SandboxError, match="was lost"):
            await left.run_code("1", session="s")
        assert (await right.run_code("f()", session="s")).stdout == "1\n"
        timed = await right.run_code("while True: pass", session="s", timeout_s=0.3)
        assert (timed.status, timed.state_lost) == ("timeout", False)
        await left.close()
        await right.close()
        assert (await box.exec("ls -A .branches")).stdout == ""


async def test_branches_of_local_go_apart() -> None:
    async with open_provider("local") as provider:
        await branch_and_compare(provider)


@pytest.mark.docker
async def test_branches_of_docker_go_apart() -> None:
    async with docker_or_skip() as provider:
        await branch_and_compare(provider)


async def test_a_bash_session_cannot_be_branched() -> None:
    async with open_provider("local") as provider, await provider.create(small_spec(provider)) as box:
        assert isinstance(box, ResidentSandbox)
        await box.run_code("A=1", language="bash", session="b")
        with pytest.raises(SandboxError, match="fork"):
            await branches(box, 1)
