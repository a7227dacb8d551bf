"""A separate distribution brings an environment: every command works on it with no line changed in Turnwise."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from turnwise.cli.main import COMMANDS

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the distribution beside Turnwise, as a user's pip would."""
    source = tmp_path_factory.mktemp("source") / "authoring"
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__", "test_*"))
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def turnwise(site: Path, cwd: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *(entry for entry in sys.path if entry)])
    environment = {**os.environ, "PYTHONPATH": path, "TURNWISE_HOME": str(cwd / "home"), "COLUMNS": "200"}
    command = [sys.executable, "-c", "from turnwise.cli.main import run; run()", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, input=typed, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_whole_environment_fits_in_eighty_lines() -> None:
    assert len((HERE / "src" / "lantern.py").read_text().splitlines()) <= 80


def test_envs_lists_it(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(turnwise(installed, tmp_path, "envs", "--json").stdout)
    assert "lantern" in {row["name"] for row in listed["envs"] if row["available"]}


def test_it_keeps_the_contract(installed: Path, tmp_path: Path) -> None:
    done = turnwise(installed, tmp_path, "check", "lantern", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert {result["outcome"] for result in report["results"]} == {"passed"}


def test_its_tasks_are_listed_made_shown_and_proved(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(turnwise(installed, tmp_path, "tasks", "list", "--json").stdout)
    assert "lantern/rooms@1" in listed["panels"]
    assert "lantern" in listed["generators"]
    options = ["--out", "mine.jsonl", "--size", "test=4", "--set", "rooms=3"]
    made = turnwise(installed, tmp_path, "tasks", "make", "lantern", *options)
    assert made.returncode == 0, made.stderr
    shown = json.loads(turnwise(installed, tmp_path, "tasks", "show", "mine.jsonl", "--json").stdout)
    assert shown["splits"] == {"test": 4}
    assert all("gold" not in task for task in shown["tasks"])
    proof = json.loads(turnwise(installed, tmp_path, "tasks", "prove", "mine.jsonl", "--json").stdout)
    assert (proof["ok"], proof["solved"]) == (True, 4)


def test_eval_scores_it(installed: Path, tmp_path: Path) -> None:
    if "eval" not in COMMANDS:
        pytest.skip("this version has no eval command")
    options = ["--agent", "oracle", "--split", "test", "--n", "5", "--store", "runs.db", "--json"]
    done = turnwise(installed, tmp_path, "eval", "lantern", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["success"]["mean"] == 1.0


def test_a_person_plays_it(installed: Path, tmp_path: Path) -> None:
    if "play" not in COMMANDS:
        pytest.skip("this version has no play command")
    done = turnwise(installed, tmp_path, "play", "lantern", typed="name_room[hall]\n")
    assert "Where does the lantern hang?" in done.stdout
    assert "You have named a room." in done.stdout
