"""What an agent sees: state, limits, bad programs, snapshots."""

import pytest

from code_tasks import RIGHT, call, doubling
from turnwise.envs import Status, StopReason
from turnwise.envs.code import CodeConfig, CodeEnv
from turnwise.envs.fork import fork
from turnwise.errors import TaskError
from turnwise.tasks import Task

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("local")]
QUICK = CodeConfig(turn_s=0.7)


async def test_python_keeps_variables_and_bash_keeps_files() -> None:
    async with CodeEnv() as env:
        await env.reset(doubling(files={"data/a.txt": "one\n"}), seed=0)
        await env.step(call("python", code="x = 20"))
        assert (await env.step(call("python", code="x + 1"))).observation.text == "21"
        assert (await env.step(call("bash", command="cat data/a.txt; cd data; pwd"))).observation.text.startswith("one")
        await env.step(call("write_file", path="./solution.py", content=RIGHT))
        assert (await env.step(call("read_file", path="/workspace/solution.py"))).observation.text == RIGHT
        result = await env.step(call("submit", path="solution.py"))
        assert (result.terminated, result.info.score, result.info.stop_reason) == (True, 1.0, StopReason.ENDED)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def f(:", "SyntaxError"),
        ("while True: pass", "had not ended after 0.7 seconds"),
        ("input('name? ')", "no one to type"),
        ("import os; os._exit(3)", "variables are gone"),
        ("x = 'a' * 10**10", "MemoryError"),
        ("import os\nwhile True: os.fork()", ""),  # the limit on processes or on time, whichever comes first
        ("while True: print('y' * 1000)", "stopped"),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)))", "\\x00\\x01"),
        ("print('a' * 9000)", "characters left out"),
    ],
)
async def test_bad_programs_are_answered(code: str, says: str) -> None:
    async with CodeEnv(QUICK) as env:
        await env.reset(doubling(), seed=0)
        result = await env.step(call("python", code=code))
        assert says in result.observation.text
        assert len(result.observation.text) < 5000
        again = await env.step(call("python", code="print(6 * 7)"))
        assert "42" in again.observation.text


async def test_wrong_calls_tell_how_to_do_better() -> None:
    async with CodeEnv() as env:
        await env.reset(doubling(), seed=0)
        for action, says in (
            (call("submit"), "either code or path"),
            (call("submit", code="a\0b"), "without NUL"),
            (call("bash", command="a\0b"), "NUL"),
            (call("write_file", path="a", content="x" * 300_000), "at most"),
        ):
            result = await env.step(action)
            assert (result.info.status, says in result.observation.text) == (Status.INVALID, True)
        for path in ("../etc/passwd", "/etc/passwd", "nothing.py", ""):
            assert (await env.step(call("read_file", path=path))).info.status is Status.FAILED


async def test_a_task_offers_what_it_says() -> None:
    async with CodeEnv() as env:
        await env.reset(doubling(tools=["python", "submit"]), seed=0)
        assert [spec.name for spec in env.tools] == ["python", "submit"]
        assert (await env.step(call("bash", command="ls"))).info.status is Status.INVALID


async def test_a_snapshot_holds_variables_and_files() -> None:
    task = doubling()
    async with CodeEnv() as env:
        await env.reset(task, seed=0)
        await env.step(call("python", code="x = [1]\nopen('a.txt', 'w').write('hello')"))
        snapshot = await env.snapshot()
    async with fork(CodeEnv, task, snapshot, 2) as (left, right):
        assert await left.state_key() == await right.state_key()
        await left.step(call("python", code="x.append(2)"))
        assert (await right.step(call("python", code="x"))).observation.text == "[1]"
        assert (await right.step(call("bash", command="cat a.txt"))).observation.text == "hello"
        assert await left.state_key() != await right.state_key()


async def test_times_are_told_apart() -> None:
    async with CodeEnv() as env:
        await env.reset(doubling(), seed=0)
        first = await env.step(call("python", code="1"))
        assert first.info.queue_s is not None
        assert first.info.exec_s is not None
        assert first.info.queue_s > 0


async def test_a_broken_gold_is_the_tasks_fault() -> None:
    async with CodeEnv() as env:
        await env.reset(Task(id="t", env="code", instruction="x", data={"entry": "f"}, gold={}), seed=0)
        with pytest.raises(TaskError, match=r"gold\.tests"):
            await env.step(call("submit", code=RIGHT))


async def test_progress_sees_the_file() -> None:
    async with CodeEnv() as env:
        await env.reset(doubling(), seed=0)
        assert await env.progress() == 0.0
        await env.step(call("write_file", path="solution.py", content=RIGHT))
        assert await env.progress() == pytest.approx(0.9)
