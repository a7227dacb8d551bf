"""The field's own files become tasks whose solutions pass."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from turnwise.envs.code import CodeEnv
from turnwise.envs.prove import prove
from turnwise.errors import TaskError
from turnwise.tasks import TaskSet
from turnwise.tasks.importers import import_tasks

DATA = Path(__file__).parents[2] / "data" / "code"


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


async def solved(tasks: TaskSet) -> None:
    report = await prove(CodeEnv, tasks)
    assert report.ok, str(report)


@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_mbpp() -> None:
    tasks = import_tasks("mbpp", DATA / "mbpp.jsonl")
    assert (len(tasks), tasks.splits) == (14, ("test", "train"))
    assert tasks["mbpp-11"].data["entry"] == "remove_Occ"
    assert tasks["mbpp-11"].instruction.endswith('== "heo"')
    await solved(tasks)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_mbpps_test_split() -> None:
    root = os.environ.get("TURNWISE_DATA")
    if not root:
        pytest.skip("needs the data sets: set TURNWISE_DATA")
    tasks = import_tasks("mbpp", Path(root) / "code" / "mbpp.json").split("test")
    report = await prove(CodeEnv, tasks)
    assert report.tasks == 500
    assert report.solved >= 495, str(report)


@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_humaneval(tmp_path: Path) -> None:
    plain = {
        "task_id": "HumanEval/900",
        "prompt": 'def near(a, b):\n    """Whether a and b differ by less than 0.1."""\n',
        "entry_point": "near",
        "canonical_solution": "    return abs(a - b) < 0.1\n",
        "test": "M = {}\ndef check(candidate):\n    assert candidate(1, 1.05)\n    assert not candidate(1, 2)\n",
    }
    looped = {**plain, "task_id": "HumanEval/901"}
    looped["test"] = "def check(candidate):\n    for n in range(60):\n        assert candidate(n, n + 0.05)\n"
    path = tmp_path / "he.jsonl.gz"
    path.write_bytes(gzip.compress(f"{json.dumps(plain)}\n{json.dumps(looped)}\n".encode()))
    tasks = import_tasks("humaneval", path)
    assert [task.id for task in tasks] == ["humaneval-900", "humaneval-901"]
    first, second = (task.gold["tests"] for task in tasks)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["tests"], second["tests"]) == (
        ["assert candidate(1, 1.05)", "assert not candidate(1, 2)"],
        ["check(near)"],
    )
    await solved(tasks)


@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_problem_sets(tmp_path: Path) -> None:
    double = "print(2 * int(input()))\n"
    apps = {
        "problem_id": 1,
        "question": "Double it.",
        "input_output": json.dumps({"inputs": ["3\n", "4\n"], "outputs": ["6\n", "8"]}),
        "solutions": json.dumps([double]),
    }
    called = {**apps, "problem_id": 2, "solutions": json.dumps(["def twice(n):\n    return 2 * n\n"])}
    called["input_output"] = json.dumps({"fn_name": "twice", "inputs": [[3], [4]], "outputs": [[6], [8]]})
    contest = {
        "description": "Double it.",
        "public_tests": {"input": ["3\n"], "output": ["6 \n"]},
        "private_tests": {"input": ["5\n"], "output": ["10\n"]},
        "solutions": {"language": [2, 3], "solution": ["int main;", double]},
    }
    await solved(import_tasks("code-problems", written(tmp_path / "p.jsonl", apps, called, contest)))


@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_livecodebench(tmp_path: Path) -> None:
    case = {"input": "[1, 2]\n3", "output": "[3, 1, 2]", "testtype": "functional"}
    row = {
        "question_content": "Put k first.",
        "question_id": "9",
        "starter_code": "class Solution:\n    def front(self, nums, k):\n        ",
        "metadata": json.dumps({"func_name": "front"}),
        "public_test_cases": json.dumps([case]),
        "private_test_cases": "[]",
    }
    (task,) = import_tasks("code-problems", written(tmp_path / "l.jsonl", row))
    source = "class Solution:\n    def front(self, nums, k):\n        return [k, *nums]\n"
    gold = {**task.gold, "actions": [{"calls": [{"id": "g", "name": "submit", "arguments": {"code": source}}]}]}
    await solved(TaskSet(name="l", tasks=(task.model_copy(update={"gold": gold}),)))
    pickled = written(tmp_path / "z.jsonl", {**row, "private_test_cases": "eJxrYJ0awgUAKgMBeQ=="})
    with pytest.raises(TaskError, match="never unpacked"):
        import_tasks("code-problems", pickled)


@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_repository_folders(tmp_path: Path) -> None:
    test = (
        "import unittest\nfrom shop.price import double\n\nclass Price(unittest.TestCase):\n    def test_two(self):\n"
    )
    for name, text in {
        "instruction.md": "Repair double().",
        "repo/shop/__init__.py": "",
        "repo/shop/price.py": "def double(n):\n    return n\n",
        "tests/test_price.py": f"{test}        self.assertEqual(double(2), 4)\n",
        "solution/shop/price.py": "def double(n):\n    return 2 * n\n",
    }.items():
        path = tmp_path / "one" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    await solved(import_tasks("code-repositories", tmp_path))


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("mbpp", ""),
        ("mbpp", "{"),
        ("mbpp", "[1]"),
        ("mbpp", '{"text": "x", "code": "y"}'),
        ("humaneval", '{"prompt": "x"}'),
        ("humaneval", '{"prompt": "x", "entry_point": "f", "test": "def ("}'),
        ("code-problems", '{"x": 1}'),
        ("code-problems", '{"question": "x", "input_output": "{"}'),
        ("code-problems", '{"description": "x", "public_tests": {"input": [1]}}'),
    ],
)
def test_malformed_files_say_what_is_wrong(importer: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(TaskError, match=r"bad\.jsonl"):
        import_tasks(importer, path)
