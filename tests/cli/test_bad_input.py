"""Every wrong thing a user can ask for is one clear line, an exit code, and nothing written or lost."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_env import tasks
from turnwise.models.fake import FakeServer, Script, call
from turnwise.trajectories import Store
from turnwise.trajectories.schema import STORE_VERSION
from turnwise_cli import Ran, assert_one_clear_line, turnwise

ENV = "tiny_env:CountEnv"
Run = Callable[..., Ran]


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    path = tmp_path / "panel.jsonl"
    path.write_text("".join(f"{task.model_dump_json()}\n" for task in tasks(4)))
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: turnwise(capsys, *arguments)


@pytest.fixture
def evaluated(run: Run, panel: Path) -> Path:
    assert run("eval", ENV, "--agent", "oracle", "--panel", panel, "--run", "first", "--json").code == 0
    return Path("runs.sqlite").absolute()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval", "nosuch", "--agent", "oracle"], ["no environment is named 'nosuch'"]),
        (["eval", "nosuch.module:Env", "--agent", "oracle"], ["no module"]),
        (["eval", "json:loads", "--agent", "oracle"], ["is no environment"]),
        (["eval", ENV, "--agent", "orcale", "--panel", "panel.jsonl"], ["Did you mean 'oracle'?"]),
        (["eval", ENV, "--panel", "panel.jsonl"], ["say who acts"]),
        (["eval", ENV, "--agent", "oracle"], ["has no panel of its own"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "nope/none"], ["no panel is named"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "none.jsonl"], ["none.jsonl"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--split", "dev"], ["no split 'dev'", "test"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--n", "9"], ["cannot draw 9 tasks"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--samples", "0"], ["samples", "at least 1"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--concurrency", "0"], ["concurrency"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--limit", "turn=3"], ["turn", "limits: turns"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--limit", "turns"], ["key=value"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--set", "colour=1"], ["colour"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--agent-set", "x=1"], ["setting 'x'"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--resume"], ["has no run", "to resume"]),
        (["eval", ENV, "--agent", "replay", "--panel", "panel.jsonl", "--replay", "none"], ["no run 'none'"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--store", "no/dir.sqlite"], ["no directory"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--store", "."], ["is a directory"]),
        (["eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--store", "panel.jsonl"], ["no SQLite file"]),
        (["runs"], ["there is no store at runs.sqlite"]),
        (["show", "first"], ["there is no store at runs.sqlite"]),
        (["export", "first", "out.jsonl"], ["there is no store at runs.sqlite"]),
        (["import", "none.jsonl"], ["none.jsonl", "No such file"]),
        (["import", "panel.jsonl"], ["panel.jsonl:1: kind"]),
        (["schema", "trajectories"], ["Did you mean 'trajectory'?"]),
        (["play", ENV, "--panel", "panel.jsonl", "--task", "none"], ["no task 'none'"]),
    ],
)
def test_a_wrong_name_or_setting(run: Run, panel: Path, arguments: list[str], words: list[str]) -> None:
    before = panel.read_bytes()
    assert_one_clear_line(run(*arguments), *words)
    assert [path.name for path in panel.parent.iterdir()] == ["panel.jsonl"]
    assert panel.read_bytes() == before


def test_a_base_url_where_nothing_listens(run: Run, panel: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://user:hunter2@127.0.0.1:{port}/v1"
    ran = run("eval", ENV, "--model", "m", "--base-url", url, "--panel", panel, "--agent-set", "retries=0")
    assert_one_clear_line(ran, str(port))
    assert "hunter2" not in ran.err
    assert [path.name for path in panel.parent.iterdir()] == ["panel.jsonl"]


def test_a_key_that_is_refused(run: Run, panel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    with FakeServer(Script([call("add", amount=1)]), api_key="right") as server:
        ran = run("eval", ENV, "--model", "m", "--base-url", server.url, "--panel", panel)
    assert_one_clear_line(ran, "key")
    assert "canary" not in ran.err
    assert [path.name for path in panel.parent.iterdir()] == ["panel.jsonl"]


def test_a_key_reaches_no_store(run: Run, panel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    with FakeServer(Script([call("add", amount=1)])) as server:
        url = server.url.replace("http://", "http://canary:canary@")
        command = ("eval", ENV, "--model", "m", "--base-url", url, "--panel", panel, "--json")
        ran = run(*command, "--agent-set", 'headers={"x-extra": "canary"}')
    assert ran.code == 0
    assert run("export", "all", "out.jsonl").code == 0
    assert "canary" not in ran.out + ran.err + Path("out.jsonl").read_text()
    for path in panel.parent.glob("runs.sqlite*"):
        assert b"canary" not in path.read_bytes()


def test_a_store_of_a_newer_version(run: Run, panel: Path, evaluated: Path) -> None:
    import sqlite3

    with sqlite3.connect(evaluated) as db:
        db.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")
    db.close()
    before = evaluated.read_bytes()
    ran = run("eval", ENV, "--agent", "oracle", "--panel", panel)
    assert_one_clear_line(ran, "newer Turnwise", "upgrade")
    assert_one_clear_line(run("show", "first"), "newer Turnwise")
    assert evaluated.read_bytes() == before


def test_a_run_name_that_is_taken(run: Run, panel: Path, evaluated: Path) -> None:
    ran = run("eval", ENV, "--agent", "oracle", "--panel", panel, "--run", "first")
    assert_one_clear_line(ran, "has a run 'first' already", "--resume")


def test_a_panel_edited_since_the_run_it_is_to_resume(run: Run, panel: Path, evaluated: Path) -> None:
    panel.write_text(panel.read_text().replace("Count to 3. (2)", "Count up to 3. (2)"))
    ran = run("eval", ENV, "--agent", "oracle", "--panel", panel, "--run", "first", "--resume")
    assert_one_clear_line(ran, "cannot resume run 'first'", "digest")
    with Store.open(evaluated) as store:
        assert store.count() == 4


def test_a_run_resumed_with_other_settings(run: Run, panel: Path, evaluated: Path) -> None:
    command = ("eval", ENV, "--panel", panel, "--run", "first", "--resume")
    assert_one_clear_line(run(*command, "--agent", "null"), "agent: 'null' here, 'oracle' there")
    assert_one_clear_line(run(*command, "--agent", "oracle", "--limit", "turns=2"), "limits")
    again = run(*command, "--agent", "oracle", "--concurrency", "2", "--json")
    assert again.code == 0
    with Store.open(evaluated) as store:
        assert store.count() == 4


def test_unknown_runs_and_episodes(run: Run, evaluated: Path) -> None:
    assert_one_clear_line(run("show", "second"), "no run 'second'; it has: first")
    assert_one_clear_line(run("show", "first", "zzz"), "no episode or task 'zzz'")
    assert_one_clear_line(run("show", "first", ""), "4 episodes of run 'first' begin with")
    assert_one_clear_line(run("export", "first", "out.csv"), "cannot tell the format")
    assert_one_clear_line(run("export", "second", "out.jsonl"), "no run 'second'")


def test_a_missing_extra(run: Run, evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert_one_clear_line(run("export", "first", "out.parquet"), "pyarrow", "turnwise[data]")
    assert not list(evaluated.parent.glob("*.parquet*"))


def test_nothing_scored_is_an_error_after_the_numbers(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("".join(f"{task.model_dump_json()}\n" for task in tasks(2, breaks_at=1)))
    ran = run("eval", ENV, "--agent", "oracle", "--panel", path, "--retries", "0", "--json")
    assert ran.code == 1
    assert '"failures": {\n    "env": 2\n  }' in ran.out
    assert "no episode was scored (2 env)" in ran.err


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from turnwise.cli.main import run
sys.argv = ["turnwise", *sys.argv[1:]]
run()
"""


def test_a_full_disk_keeps_what_was_stored(run: Run, evaluated: Path, panel: Path) -> None:
    panel.write_text("".join(f"{task.model_dump_json()}\n" for task in tasks(200, target=9)))
    command = ["eval", ENV, "--agent", "oracle", "--panel", str(panel), "--run", "second"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *command], capture_output=True, text=True, env=environment, check=False
    )
    assert_one_clear_line(Ran(done.returncode, done.stdout, done.stderr), "disk")
    assert "Traceback" not in done.stderr
    with Store.open(evaluated) as store:
        assert store.count("first") == 4
        kept = store.count("second")
    assert kept < 200
    assert run(*command, "--resume", "--json").code == 0
    with Store.open(evaluated) as store:
        assert store.count("second") == 200
