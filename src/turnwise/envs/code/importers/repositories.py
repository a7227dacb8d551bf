"""Folders with a repository and hidden tests: one folder per task."""

import ast
from pathlib import Path

from pydantic import JsonValue

from turnwise.errors import TaskError
from turnwise.tasks.base import Task, TaskSet

MOST_FILES, MOST_BYTES = 2000, 5_000_000


def repositories(path: Path, *, split: str = "test", seconds: float = 60.0) -> TaskSet:
    """Import tasks laid out as folders.

    Each folder holds ``instruction.md``, ``repo/`` (the workspace at the start), ``tests/`` (hidden; unittest modules,
    laid over the workspace as ``tests/``), and perhaps ``solution/`` (files that replace those of ``repo/``).

    Args:
        path: A task's folder, or the folder of such folders.
        split: The split the tasks get.
        seconds: What the hidden tests may take in all.

    Raises:
        TaskError: A part is missing or no text, or the tests define no test method.
    """
    folders = [path] if (path / "instruction.md").is_file() else sorted(path.glob("*/"))
    tasks = [_repository(folder, split, seconds) for folder in folders if (folder / "instruction.md").is_file()]
    if not tasks:
        raise TaskError(f"{path}: no folder here holds an instruction.md")
    return TaskSet(name="code/repositories", tasks=tuple(tasks))


def _repository(folder: Path, split: str, seconds: float) -> Task:
    files, tests = _files(folder / "repo"), _files(folder / "tests")
    solution = _files(folder / "solution") if (folder / "solution").is_dir() else {}
    hidden: dict[str, JsonValue] = {f"tests/{name}": text for name, text in tests.items()}
    hidden.setdefault("tests/__init__.py", "")
    targets: list[JsonValue] = [
        target for name, text in sorted(tests.items()) for target in _targets(folder, name, text)
    ]
    if not files or not targets:
        raise TaskError(f"{folder}: needs files in repo/ and test methods in tests/")
    gold: dict[str, JsonValue] = {
        "tests": {"kind": "repository", "tests": hidden, "targets": targets, "seconds": seconds}
    }
    if solution:
        writes = [_call("write_file", path=name, content=text) for name, text in sorted(solution.items())]
        gold["actions"] = [*writes, _call("submit")]
    return Task(
        id=folder.name,
        env="code",
        split=split,
        instruction=(folder / "instruction.md").read_text(encoding="utf-8").strip(),
        data={"submit": "workspace", "files": dict(files)},
        gold=gold,
        source=f"folder {folder.name}",
    )


def _call(name: str, **arguments: JsonValue) -> JsonValue:
    return {"calls": [{"id": "gold", "name": name, "arguments": arguments}]}


def _files(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts or ".git" in path.parts:
            continue
        size += path.stat().st_size
        if len(found) >= MOST_FILES or size > MOST_BYTES:
            raise TaskError(f"{folder}: more than {MOST_FILES} files or {MOST_BYTES} bytes")
        try:
            found[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TaskError(f"{path}: is no text; only text files can be part of a task") from error
    return found


def _targets(folder: Path, name: str, text: str) -> list[str]:
    """Return the dotted names of a test module's methods."""
    if not name.endswith(".py"):
        return []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise TaskError(f"{folder / 'tests' / name}: no Python: {error}") from error
    module = "tests." + name.removesuffix(".py").replace("/", ".")
    return [
        f"{module}.{cls.name}.{method.name}"
        for cls in tree.body
        if isinstance(cls, ast.ClassDef)
        for method in cls.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name.startswith("test")
    ]
