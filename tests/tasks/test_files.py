"""Task files: what is written is read again, and what is malformed is refused by file, line and field."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.errors import TaskError
from turnwise.tasks import Task, TaskSet, load_tasks, save_tasks

GOOD = {"id": "a", "env": "quiz", "instruction": "Why?", "data": {"n": 1}, "gold": {"actions": []}}


def tasks() -> TaskSet:
    one = Task(id="a", env="quiz", instruction="Wárum?", data={"n": 1, "x": [1.5, None, {"k": "v"}]}, hints=("h",))
    two = Task(id="b", env="quiz", split="test", instruction="How?", gold={"answer": "so"}, difficulty=3, tags=("t",))
    return TaskSet(name="quiz", version="2", tasks=(one, two))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_is_saved_is_loaded_again(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"quiz@2{suffix}"
    save_tasks(tasks(), path)
    assert load_tasks(path) == tasks()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", "not JSON"),
        ("[1]", "a task is a JSON object, got list"),
        (json.dumps({**GOOD, "instruction": 3}), "field 'instruction'"),
        (json.dumps({**GOOD, "surprise": 1}), "field 'surprise'"),
        (json.dumps({"id": "x"}), "field 'env'"),
        (json.dumps({**GOOD, "data": {"n": float("nan")}}), "NaN is no JSON number"),
        (json.dumps({**GOOD, "id": "big", "data": {"n": 2**60}}), "field 'data' or 'gold'"),
        (json.dumps({**GOOD, "id": "lone", "data": {"n": "\ud800"}}), "tasks.jsonl:3"),
        (json.dumps(GOOD), "'a' occurs a second time"),
        ('{"id": "x", "id": "y"}', "the key 'id' occurs twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_malformed_line_is_refused_with_file_line_and_field(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + line + "\n")
    with pytest.raises(TaskError, match=r"tasks\.jsonl:3") as caught:
        load_tasks(path)
    assert message in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(TaskError, match=r"jsonl:1: not UTF-8"):
        load_tasks(path)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_no_content_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(TaskError):
        load_tasks(path)


@pytest.mark.parametrize("name", ["none.jsonl", "tasks.csv"])
def test_a_wrong_path_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(TaskError, match=r"no such file|ends in"):
        load_tasks(tmp_path / name)


def test_parquet_of_others_with_nested_columns(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")

    path = tmp_path / "theirs.parquet"
    arrow.parquet.write_table(arrow.Table.from_pylist([GOOD | {"gold": {"answer": "so"}}]), path)
    assert load_tasks(path)["a"].data == {"n": 1}
    path.write_bytes(b"not parquet")
    with pytest.raises(TaskError, match="cannot be read as Parquet"):
        load_tasks(path)


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="cannot be written"):
        save_tasks(tasks(), tmp_path / "no" / "quiz.jsonl")
