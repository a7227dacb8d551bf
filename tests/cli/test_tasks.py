"""``turnwise tasks`` as a user meets it, wrong use included."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROW = {"id": "a", "env": "nowhere", "instruction": "[bold]Why?[/bold]", "gold": {"answer": "so"}}


def turnwise(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from turnwise.cli.main import run; run()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_task_is_shown_without_its_gold_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps(ROW) + "\n")
    shown = turnwise("tasks", "show", "q.jsonl", "a", cwd=tmp_path).stdout
    assert "[bold]Why?[/bold]" in shown, "markup in a task is text"
    assert "answer" not in shown
    whole = json.loads(turnwise("tasks", "show", "q.jsonl", "a", "--gold", "--json", cwd=tmp_path).stdout)
    assert whole["gold"] == {"answer": "so"}
    assert len(whole["key"]) == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nope@1"], "no panel is named 'nope@1'"),
        (["show", "q.jsonl", "b"], "has no task 'b'"),
        (["show", "q.jsonl", "--split", "test"], "has no split 'test'"),
        (["show", "bad.jsonl"], "bad.jsonl:1: field 'env'"),
        (["make", "nope", "--out", "x.jsonl"], "no generator is named 'nope'"),
        (["make", "sql", "--out", "x.jsonl", "--size", "train=many"], "a size is a number"),
        (["import", "nope", ".", "--out", "x.jsonl"], "no importer is named 'nope'"),
        (["prove", "q.jsonl"], "no environment is named 'nowhere'"),
    ],
)
def test_wrong_use_is_one_clear_line_and_writes_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "bad.jsonl").write_text('{"id": "a"}\n')
    done = turnwise("tasks", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x.jsonl").exists()
