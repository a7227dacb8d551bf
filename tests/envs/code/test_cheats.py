"""The adversarial panel: solutions that cheat score nothing, and the honest one beside them scores all."""

import anyio
import pytest
from pydantic import JsonValue

from code_cheats import CHEATS, PROGRAMS, REPOSITORY
from code_tasks import RIGHT, call, doubling, handed_in, program_tests, stdin_tests
from turnwise.envs.code import CodeEnv
from turnwise.tasks import Task

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("local")]
ASSERTED = program_tests(*(f"assert double({n}) == {2 * n}" for n in (3, 5, 8)))
FILES: JsonValue = {"shop/__init__.py": "", "shop/price.py": ""}
HIDDEN: JsonValue = {
    "kind": "repository",
    "seconds": 5,
    "tests": {
        "tests/__init__.py": "",
        "tests/test_it.py": "import unittest\nfrom shop.price import double\n\nclass Price(unittest.TestCase):\n"
        "    def test_two(self):\n        self.assertEqual(double(2), 4)\n",
    },
    "targets": ["tests.test_it.Price.test_two"],
}
# Code and runner share a process there; what gets through is told in the guide.
GETS_THROUGH = {"equal to everything", "patched result", "walk the frames"}


@pytest.mark.parametrize("name", CHEATS)
@pytest.mark.parametrize("tests", [None, ASSERTED], ids=["cases", "asserted"])
async def test_a_cheat_scores_nothing(name: str, tests: dict[str, JsonValue] | None) -> None:
    result = await handed_in(doubling(tests, test_s=0.5), CHEATS[name])
    assert (result.info.score, result.info.success) == (0.0, False)
    assert {part.name: part.value for part in result.info.reward_parts}["tests"] == 0.0


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_cheating_program_scores_nothing(name: str) -> None:
    result = await handed_in(doubling(stdin_tests(), submit="program", test_s=0.5), PROGRAMS[name])
    assert (result.info.score, result.info.success) == (0.0, False)


async def in_repository(source: str) -> float | None:
    task = doubling({**HIDDEN}, submit="workspace", files=FILES) if isinstance(HIDDEN, dict) else doubling()
    async with CodeEnv() as env:
        await env.reset(task, seed=0)
        await env.step(call("write_file", path="shop/price.py", content=source))
        return (await env.step(call("submit"))).info.score


@pytest.mark.parametrize("name", REPOSITORY)
async def test_repositories_are_as_weak_as_the_guide_says(name: str) -> None:
    assert await in_repository(REPOSITORY[name]) == float(name in GETS_THROUGH)


@pytest.mark.parametrize(
    ("command", "score"),
    [
        ("chmod 000 shop/price.py shop", 1.0),
        ("echo 1 > tests", 1.0),
        ("mkdir -p tests/test_it.py; echo 1 > tests/test_it.py/x", 1.0),
        ("touch \"$(printf 'no text \\377')\"", 1.0),
        ("for n in 1 2 3; do truncate -s 60M hole$n; done", 0.0),
        ("mkdir -p $(printf 'deep/%.0s' $(seq 80))", 0.0),
        ("chmod 000 .", 0.0),
        ("head -c 70000000 /dev/zero > full; echo", 0.0),
    ],
)
async def test_a_workspace_cannot_be_made_ungradable(command: str, score: float) -> None:
    """What an agent does to its files is its own result, never a failure that would leave the averages."""
    async with CodeEnv() as env:
        await env.reset(doubling({**HIDDEN}, submit="workspace", files=FILES), seed=0)  # type: ignore[dict-item]
        await env.step(call("write_file", path="shop/price.py", content=RIGHT))
        await env.step(call("bash", command=command))
        assert (await env.step(call("submit"))).info.score == score


async def test_many_at_once_score_as_one() -> None:
    """Cheats running beside do not change what the right solution gets, nor the reverse."""
    tasks: list[tuple[Task, str, float]] = [
        (doubling(tests), source, score)
        for tests in (None, ASSERTED)
        for source, score in ((RIGHT, 1.0), (CHEATS["exit in the call"], 0.0), (CHEATS["forged done"], 0.0)) * 5
    ] + [(doubling(stdin_tests(), submit="program"), "print(2 * int(input()))", 1.0)] * 2
    found: dict[int, float | None] = {}

    async def play(index: int) -> None:
        task, source, _ = tasks[index]
        found[index] = (await handed_in(task, source)).info.score

    async with anyio.create_task_group() as group:
        for index in range(len(tasks)):
            group.start_soon(play, index)
    assert [found[index] for index in range(len(tasks))] == [score for *_, score in tasks]
