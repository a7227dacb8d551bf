"""HumanEval and MBPP: a function to write, and assertions that call it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from turnwise.envs.code.importers.rows import field, read_rows, submitting
from turnwise.errors import TaskError
from turnwise.tasks.base import Task, TaskSet


def humaneval(path: Path, *, split: str = "test") -> TaskSet:
    """Import HumanEval (also HumanEval+ in its format): JSON lines, perhaps gzipped.

    Args:
        path: The file.
        split: The split the tasks get.

    Raises:
        TaskError: The file is malformed.
    """
    tasks = []
    for number, row in enumerate(read_rows(path)):
        prompt, entry = field(path, number, row, "prompt"), field(path, number, row, "entry_point")
        setup, tests = _checks(field(path, number, row, "test"), entry, f"{path}: problem {number}")
        words = f"Complete this function; hand in the whole module, with what is given here.\n\n{prompt}"
        source = prompt + str(row.get("canonical_solution") or "")
        name = str(row.get("task_id", number)).replace("/", "-").lower()
        tasks.append(_task(name, split, words, entry, setup, tests, source, "HumanEval (MIT)"))
    return TaskSet(name="code/humaneval", tasks=tuple(tasks))


def _checks(test: str, entry: str, where: str) -> tuple[str, list[str]]:
    """Split ``check(candidate)`` into its assertions, where its body holds nothing else."""
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise TaskError(f"{where}: its test is no Python: {error}") from error
    check = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"), None)
    if check is None:
        raise TaskError(f"{where}: its test defines no check(candidate)")
    body = [node for node in check.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if not body or not all(isinstance(node, ast.Assert) for node in body):
        return test, [f"check({entry})"]
    rest = "\n".join(ast.unparse(node) for node in tree.body if node is not check)
    return f"{rest}\n{check.args.args[0].arg} = {entry}\n", [ast.unparse(node) for node in body]


def mbpp(path: Path, *, show_tests: int = 1, split: str | None = None) -> TaskSet:
    """Import MBPP: its JSON lines, its sanitized JSON, or InterCode's list.

    Args:
        path: The file.
        show_tests: How many of a problem's assertions the instruction shows; they tell the function's name.
        split: The split the tasks get; None: as the authors split them by number (11-510 test, 511-600 dev, 601-974
            train, 1-10 prompt).

    Raises:
        TaskError: The file is malformed.
    """
    tasks = []
    for position, row in enumerate(read_rows(path)):
        words, source = (
            field(path, position, row, "text", "prompt", "query"),
            field(path, position, row, "code", "gold"),
        )
        tests = row.get("test_list", row.get("tests"))
        if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
            raise TaskError(f"{path}: problem {position}: test_list must be a list of texts")
        imports = row.get("test_imports") or []
        setup = "\n".join([*map(str, imports), str(row.get("test_setup_code") or "")]).replace("\r\n", "\n")
        number, entry = _number(row, position), _entry(source, tests)
        shown = "\n".join(tests[:show_tests])
        full = f"{words}\n\nIt must pass tests such as:\n{shown}" if shown else words
        name = f"mbpp-{number}"
        tasks.append(_task(name, split or _mbpp_split(number), full, entry, setup, tests, source, "MBPP (CC BY 4.0)"))
    return TaskSet(name="code/mbpp", tasks=tuple(tasks))


def _number(row: dict[str, Any], position: int) -> int:
    try:
        return int(row.get("task_id", position + 1))
    except (TypeError, ValueError):
        return position + 1


def _mbpp_split(number: int) -> str:
    for last, split in ((10, "prompt"), (510, "test"), (600, "dev")):
        if number <= last:
            return split
    return "train"


def _entry(source: str, tests: list[str]) -> str:
    """Return the function of the solution that the tests call."""
    defined = set(_names(source, ast.FunctionDef | ast.ClassDef))
    for test in tests:
        for name in _names(test, ast.Call):
            if name in defined:
                return name
    return ""


def _names(source: str, kind: Any) -> Iterator[str]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in nodes:
        if isinstance(node, kind):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name):
                    yield node.func.id
            else:
                yield node.name


def _task(  # noqa: PLR0917 - the parts of one record
    name: str, split: str, words: str, entry: str, setup: str, tests: list[str], source: str, origin: str
) -> Task:
    hidden: dict[str, JsonValue] = {"kind": "program", "entry": entry, "setup": setup, "tests": list(tests)}
    return Task(
        id=name,
        env="code",
        split=split,
        instruction=words.strip(),
        data={"entry": entry or "the function that the tests call"},
        gold={"tests": hidden, "actions": submitting(source)},
        source=origin,
    )
