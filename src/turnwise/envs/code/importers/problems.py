"""Problem sets graded by standard input and output, or by calls: LiveCodeBench, APPS, CodeContests."""

import json
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from turnwise.envs.code.importers.rows import field, read_rows, submitting
from turnwise.envs.code.inside.wire import encode
from turnwise.errors import TaskError
from turnwise.tasks.base import Task, TaskSet

PYTHON3 = 3
"""CodeContests' number of the language."""


def problems(path: Path, *, split: str = "test", most: int = 100) -> TaskSet:
    """Import a problem set; which of the three formats a row has is seen from its fields.

    Args:
        path: JSON or JSON lines, perhaps gzipped.
        split: The split the tasks get.
        most: Tests of one problem that are kept.

    Raises:
        TaskError: The file is malformed, or private tests are pickled (LiveCodeBench's compressed form), which is
            never unpacked: convert them to JSON first.
    """
    tasks = [_problem(path, number, row, split, most) for number, row in enumerate(read_rows(path))]
    return TaskSet(name="code/problems", tasks=tuple(tasks))


def _problem(path: Path, number: int, row: dict[str, Any], split: str, most: int) -> Task:
    where = f"{path}: problem {number}"
    try:
        if "question_content" in row:
            return _livecodebench(path, number, row, split, most)
        if "input_output" in row:
            return _apps(path, number, row, split, most)
        if "public_tests" in row:
            return _codecontests(path, number, row, split, most)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise (
            error if isinstance(error, TaskError) else TaskError(f"{where}: {type(error).__name__}: {error}")
        ) from error
    raise TaskError(f"{where}: has none of question_content, input_output, public_tests: not a format that is known")


def _livecodebench(path: Path, number: int, row: dict[str, Any], split: str, most: int) -> Task:
    cases: list[dict[str, str]] = []
    for name in ("public_test_cases", "private_test_cases"):
        text = str(row.get(name) or "[]")
        if not text.lstrip().startswith("["):
            raise TaskError(f"{path}: problem {number}: {name} is pickled, which is never unpacked; convert it to JSON")
        cases += json.loads(text)
    cases = cases[:most]
    words, starter = field(path, number, row, "question_content"), str(row.get("starter_code") or "")
    name = f"lcb-{row.get('question_id', number)}"
    if not cases or cases[0].get("testtype", "stdin") == "stdin":
        return _stdin(name, split, words, [(case["input"], case["output"]) for case in cases], "", "LiveCodeBench")
    entry = str(json.loads(row.get("metadata") or "{}").get("func_name", ""))
    calls = [([json.loads(line) for line in case["input"].splitlines()], json.loads(case["output"])) for case in cases]
    return _calls(name, split, f"{words}\n\n{starter}".strip(), entry, calls, "", "LiveCodeBench", starter)


def _apps(path: Path, number: int, row: dict[str, Any], split: str, most: int) -> Task:
    given = row["input_output"]
    both = json.loads(given) if isinstance(given, str) else given
    pairs = list(zip(both["inputs"], both["outputs"], strict=True))[:most]
    solutions = row.get("solutions") or "[]"
    known = json.loads(solutions) if isinstance(solutions, str) else solutions
    gold, words = str(known[0]) if known else "", field(path, number, row, "question")
    starter, name = str(row.get("starter_code") or ""), f"apps-{row.get('problem_id', row.get('id', number))}"
    if not both.get("fn_name"):
        return _stdin(name, split, words, [(_joined(a), _joined(b)) for a, b in pairs], gold, "APPS")
    # The data wraps a call's one result in a list.
    calls = [(args, want[0] if isinstance(want, list) and len(want) == 1 else want) for args, want in pairs]
    return _calls(name, split, f"{words}\n\n{starter}".strip(), str(both["fn_name"]), calls, gold, "APPS", starter)


def _joined(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _codecontests(path: Path, number: int, row: dict[str, Any], split: str, most: int) -> Task:
    pairs: list[tuple[str, str]] = []
    for name in ("public_tests", "private_tests", "generated_tests"):
        tests = row.get(name) or {"input": [], "output": []}
        pairs += zip(tests["input"], tests["output"], strict=True)
    solutions = row.get("solutions") or {"language": [], "solution": []}
    both = zip(solutions["language"], solutions["solution"], strict=True)
    gold = next((str(text) for language, text in both if language in (PYTHON3, "PYTHON3")), "")
    words = field(path, number, row, "description")
    return _stdin(f"contest-{number}", split, words, pairs[:most], gold, "CodeContests (CC BY 4.0)", compare="tokens")


def _stdin(  # noqa: PLR0917 - the parts of one record
    name: str, split: str, words: str, pairs: list[tuple[str, str]], gold: str, source: str, compare: str = "lines"
) -> Task:
    if not pairs:
        raise TaskError(f"{name} has no tests")
    cases: list[JsonValue] = [{"stdin": str(given), "stdout": str(wanted)} for given, wanted in pairs]
    tests: dict[str, JsonValue] = {"kind": "stdin", "cases": cases, "compare": compare}
    return _task(name, split, words, {"submit": "program"}, tests, gold, source)


def _calls(  # noqa: PLR0917 - the parts of one record
    name: str, split: str, words: str, entry: str, calls: list[tuple[Any, Any]], gold: str, source: str, starter: str
) -> Task:
    if not calls or not entry:
        raise TaskError(f"{name} has no tests, or names no function")
    if "class Solution" in starter or "class Solution" in gold:
        tests: list[JsonValue] = [f"assert Solution().{entry}(*{args!r}) == {want!r}" for args, want in calls]
        program: dict[str, JsonValue] = {"kind": "program", "entry": "Solution", "tests": tests}
        return _task(name, split, words, {"entry": "Solution"}, program, gold, source)
    cases: list[JsonValue] = [{"args": [encode(item) for item in args], "want": encode(want)} for args, want in calls]
    hidden: dict[str, JsonValue] = {"kind": "cases", "entry": entry, "cases": cases}
    return _task(name, split, words, {"entry": entry}, hidden, gold, source)


def _task(  # noqa: PLR0917 - the parts of one record
    name: str, split: str, words: str, data: dict[str, JsonValue], tests: dict[str, JsonValue], gold: str, source: str
) -> Task:
    hidden: dict[str, JsonValue] = {"tests": tests}
    if gold.strip():
        hidden["actions"] = submitting(gold)
    return Task(id=name, env="code", split=split, instruction=words.strip(), data=data, gold=hidden, source=source)
