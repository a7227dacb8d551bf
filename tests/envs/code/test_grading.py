"""What is right passes and what is wrong does not, for each kind of test."""

import pytest
from pydantic import JsonValue

from code_tasks import RIGHT, call, doubling, handed_in, program_tests, stdin_tests
from turnwise.envs.code import CodeConfig, CodeEnv
from turnwise.tasks import Task

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("local")]

SCORED: dict[str, JsonValue] = {
    "kind": "scored",
    "entry": "double",
    "cases": [{"args": [4]}, {"args": [10]}],
    "scorer": "def score(args, result):\n    return result / (2 * args[0])\n",
}
REPOSITORY: dict[str, JsonValue] = {
    "kind": "repository",
    "tests": {
        "tests/__init__.py": "",
        "tests/test_it.py": "import unittest\nfrom shop.price import double\n\nclass Price(unittest.TestCase):\n"
        "    def test_two(self):\n        self.assertEqual(double(2), 4)\n"
        "    def test_three(self):\n        self.assertEqual(double(3), 6)\n",
    },
    "targets": ["tests.test_it.Price.test_two", "tests.test_it.Price.test_three"],
}


async def graded(task: Task, source: str) -> tuple[float | None, dict[str, float | None]]:
    result = await handed_in(task, source)
    assert result.terminated
    assert result.info.success is (result.info.score == 1.0)
    return result.info.score, {part.name: part.value for part in result.info.reward_parts}


async def test_cases() -> None:
    assert (await graded(doubling(), RIGHT))[0] == 1.0
    score, parts = await graded(doubling(), "def double(n):\n    return 6\n")
    assert (score, parts["tests"], parts["all_passed"]) == (0.0, pytest.approx(1 / 3), 0.0)


async def test_a_solution_may_print_and_keep_state() -> None:
    noisy = (
        "import sys\nprint('loading')\nseen = []\ndef double(n):\n    seen.append(n)\n    print(n, file=sys.stderr)\n"
    )
    noisy += "    return 2 * n\n"
    assert (await graded(doubling(), noisy))[0] == 1.0


async def test_test_programs_run_against_names_of_the_solution() -> None:
    tests = program_tests(
        "assert double(4) == 8",
        "assert [double(n) for n in limits] == [0, 2]",
        "pair = Pair(1, b=2)\nassert pair.total() == 3 and take(pair) == 2 and pair.b == 2",
        "try:\n    double(None)\nexcept TypeError:\n    pass\nelse:\n    raise AssertionError",
        setup="limits = range(2)",
    )
    solution = (
        RIGHT + "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n    def total(self):\n"
        "        return self.a + self.b\ndef take(pair):\n    return pair.b\n"
    )
    assert (await graded(doubling(tests), solution))[0] == 1.0
    score, parts = await graded(doubling(tests), RIGHT)
    assert (score, parts["tests"]) == (0.0, 0.75)


async def test_programs_are_compared_by_what_they_print() -> None:
    task = doubling(stdin_tests(), submit="program")
    assert (await graded(task, "print(2 * int(input()))"))[0] == 1.0
    assert (await graded(task, "print(6)"))[0] == 0.0


async def test_scored_results() -> None:
    assert (await graded(doubling(SCORED), RIGHT))[0] == 1.0
    result = await handed_in(doubling(SCORED), "def double(n):\n    return n\n")
    assert (result.info.score, result.info.success) == (0.5, False)
    assert (await graded(doubling(SCORED), "def double(n):\n    return 'much'\n"))[0] == 0.0


async def test_repositories() -> None:
    files: JsonValue = {"shop/__init__.py": "", "shop/price.py": "def double(n):\n    return n + 2\n"}
    task = doubling(REPOSITORY, submit="workspace", files=files)
    async with CodeEnv() as env:
        await env.reset(task, seed=0)
        result = await env.step(call("submit"))
        assert (result.info.score, result.info.success) == (0.0, False)
        await env.reset(task, seed=0)
        await env.step(call("bash", command="sed -i 's/n + 2/n * 2/' shop/price.py"))
        result = await env.step(call("submit"))
        assert (result.info.score, result.info.success) == (1.0, True)


@pytest.mark.parametrize(
    ("source", "reached"),
    [
        ("def double(n: return", 0),
        ("1 / 0", 1),
        ("def triple(n):\n    return 3", 2),
        ("def double(n):\n    return 1 / 0", 3),
        ("def double(n):\n    return 1 / (n - 3)", 4),
        ("def double(n):\n    return 0", 5),
    ],
)
async def test_milestones_are_seen_by_the_harness(source: str, reached: int) -> None:
    _, parts = await graded(doubling(), source)
    assert parts["milestones"] == pytest.approx(reached / 5)
    assert parts["syntax"] == float(reached > 0)
    assert parts["no_result"] == float(reached < 4)


async def test_too_slow_is_noticed_and_bounded() -> None:
    slow = "def double(n):\n    while n != 3:\n        pass\n    return 2 * n\n"
    _, parts = await graded(doubling(test_s=1.0), slow)
    assert parts["tests"] == parts["time"] == pytest.approx(1 / 3)


async def test_presets_weigh_the_parts() -> None:
    async with CodeEnv(CodeConfig(rewards="mle")) as env:
        await env.reset(doubling(), seed=0)
        failed = await env.step(call("submit", code="1 / 0"))
        await env.reset(doubling(), seed=0)
        solved = await env.step(call("submit", code=RIGHT))
    assert (failed.reward, solved.reward) == (pytest.approx(-9.9), 1.0)
