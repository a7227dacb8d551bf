"""Panels by name, version, path and split."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from turnwise.errors import ConfigError, TaskError, UnknownNameError
from turnwise.tasks import Task, TaskSet, load_panel, panel_names, save_tasks


def quiz(version: str) -> TaskSet:
    made = [Task(id=f"{split}-{version}", env="quiz", split=split, instruction="Why?") for split in ("train", "test")]
    return TaskSet(name="quiz/small", version=version, tasks=tuple(made))


def quiz_9() -> TaskSet:
    return quiz("9")


def quiz_10() -> TaskSet:
    return quiz("10")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put a distribution with panels on the path, as pip would."""
    (tmp_path / "quizpanels.py").write_text(
        "from turnwise.tasks import Task, TaskSet\n"
        "def make(version):\n"
        "    tasks = tuple(Task(id=s, env='quiz', split=s, instruction=f'Why {version}?') for s in ('train', 'test'))\n"
        "    return TaskSet(name='quiz/small', version=version, tasks=tasks)\n"
        "def nine(): return make('9')\n"
        "def ten(): return make('10')\n"
        "def wrong(): return make('3')\n"
    )
    info = tmp_path / "quizpanels-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quizpanels\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[turnwise.panels]\nquiz/small@9 = quizpanels:nine\nquiz/small@10 = quizpanels:ten\n"
        "quiz/small@4 = quizpanels:wrong\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_a_panel_is_found_by_name_and_version() -> None:
    assert {"quiz/small@9", "quiz/small@10"} <= set(panel_names())
    assert load_panel("quiz/small@9").version == "9"
    assert load_panel("quiz/small").version == "10", "without a version the newest is meant, 10 after 9"
    assert [task.split for task in load_panel("quiz/small@9", split="test")] == ["test"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("quiz/smal@9", None, "Did you mean 'quiz/small@9'"),
        ("quiz/small@8", None, "quiz/small@10"),
        ("quiz/small@9", "tset", "Did you mean 'test'"),
        ("quizpanels:none", None, "has no 'none'"),
        ("nowhere:none", None, "no module 'nowhere'"),
    ],
)
def test_an_unknown_name_version_or_split_suggests(name: str, split: str | None, message: str) -> None:
    with pytest.raises((UnknownNameError, TaskError), match=message):
        load_panel(name, split)


@pytest.mark.usefixtures("installed")
def test_a_panel_must_be_what_its_name_says() -> None:
    with pytest.raises(ConfigError, match="returned the task set quiz/small@3"):
        load_panel("quiz/small@4")


def test_a_file_works_as_a_panel(tmp_path: Path) -> None:
    save_tasks(quiz("9"), tmp_path / "mine@9.jsonl")
    found = load_panel(str(tmp_path / "mine@9.jsonl"), "test")
    assert (found.name, found.version, len(found)) == ("mine", "9", 1)
    assert load_panel(str(tmp_path / "mine@9.jsonl")).digest == quiz("9").digest


def test_every_registered_panel_loads_and_bears_its_name() -> None:
    from importlib.metadata import entry_points

    point: EntryPoint
    for point in entry_points(group="turnwise.panels"):
        tasks = load_panel(point.name)
        assert f"{tasks.name}@{tasks.version}" == point.name
        assert len(tasks) > 0
