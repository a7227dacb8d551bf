"""The commands do what their help says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tiny_env import tasks
from turnwise.cli.main import COMMANDS, GROUPS
from turnwise.cli.schema import SCHEMAS, derived, shipped
from turnwise.models.fake import FakeServer, Script, call
from turnwise.trajectories import Store
from turnwise_cli import Ran, turnwise

ENV = "tiny_env:CountEnv"
ROOT = Path(__file__).parents[2]
Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    write_panel(tmp_path / "panel.jsonl", n=4)
    return lambda *arguments: turnwise(capsys, *arguments)


def write_panel(path: Path, **settings: object) -> Path:
    path.write_text("".join(f"{task.model_dump_json()}\n" for task in tasks(**settings)))  # type: ignore[arg-type]
    return path


EVAL = ("eval", ENV, "--agent", "oracle", "--panel", "panel.jsonl", "--run", "base")


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_has_help_with_an_example_and_is_in_the_docs(run: Run, command: str) -> None:
    helped = run(command, "--help")
    assert helped.code == 0
    assert f"turnwise {command}" in helped.out
    docs = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("**/*.md"))
    assert f"turnwise {command}" in docs
    if command in COMMANDS:
        assert "Examples:" in helped.out


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_schema_is_current(name: str) -> None:
    assert shipped(name) == derived(name), "turnwise schema --out src/turnwise/cli/data/schemas"


def fits(document: object, schema: str) -> None:
    jsonschema.Draft202012Validator(shipped(schema)).validate(document)


def test_eval_prints_its_document_and_nothing_else(run: Run) -> None:
    ran = run(*EVAL, "--samples", "2", "--json")
    document = json.loads(ran.out)
    fits(document, "eval")
    assert (document["schema"], document["run"], document["n"], document["success"]["mean"]) == (1, "base", 8, 1.0)
    assert document["pass_hat_k"] == {"1": 1.0, "2": 1.0}
    assert ran.err == ""


def test_eval_shows_a_table_and_where_to_look_next(run: Run) -> None:
    ran = run(*EVAL)
    assert "100.0%" in ran.out
    assert "turnwise show base" in ran.out


def test_runs_and_show_as_documents(run: Run) -> None:
    run(*EVAL, "--json")
    listed = json.loads(run("runs", "--json").out)
    fits(listed, "runs")
    assert [entry["run"] for entry in listed["runs"]] == ["base"]
    shown = json.loads(run("show", "base", "--json").out)
    fits(shown, "show")
    episode = json.loads(run("show", "base", shown["episodes"][0]["episode_id"][:10], "--json").out)
    fits(episode, "trajectory")
    assert len(episode["turns"]) == 3


def test_a_transcript_reads_as_a_conversation(run: Run) -> None:
    run(*EVAL, "--json")
    told = run("show", "base", "count-2").out
    for words in ("Count to 3. (2)", "turn 1", "+0.125", "add(amount=1)", "counter: 3", "success", "score 1.000"):
        assert words in told
    assert "count-2" in run("show", "base").out
    assert "base" in run("runs").out


def test_hostile_text_cannot_drive_the_terminal(run: Run) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[bold]not bold[/]\u202e"
    with FakeServer(Script([call(evil, amount=1), call("add", amount=3)])) as server:
        options = ("--panel", "panel.jsonl", "--run", evil, "--n", "1", "--limit", "turns=3")
        ran = run("eval", ENV, "--model", f"m{evil}", "--base-url", server.url, *options)
    assert ran.code == 0, ran.err
    everything = ran.out + run("runs").out + run("show", evil).out
    with Store.open("runs.sqlite") as store:
        everything += run("show", evil, store.rows()[0].episode_id).out
    assert "\x1b]" not in everything
    assert "\x1b[2J" not in everything
    assert "\u202e" not in everything
    assert "[bold]not bold[/]" in everything


def test_export_and_import(run: Run) -> None:
    run(*EVAL, "--json")
    assert run("export", "base", "out.jsonl").out == "4 episodes written to out.jsonl\n"
    assert run("import", "out.jsonl", "--store", "new.sqlite").out == "4 of 4 episodes added to new.sqlite\n"
    assert run("import", "out.jsonl", "--store", "new.sqlite").out == "0 of 4 episodes added to new.sqlite\n"
    fits(json.loads(Path("out.jsonl").read_text().split("\n")[1]), "export-line")
    assert json.loads(run("show", "base", "--json", "--store", "new.sqlite").out)["episodes"]


def test_replay_does_again_what_was_done(run: Run) -> None:
    run(*EVAL, "--json")
    ran = run("eval", ENV, "--agent", "replay", "--replay", "base", "--panel", "panel.jsonl", "--json")
    assert json.loads(ran.out)["success"]["mean"] == 1.0


def test_play_records_what_a_person_did(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["what is this?", "add[1]", 'add[{"amount": 2}]'])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    ran = run("play", ENV, "--panel", "panel.jsonl", "--task", "count-1", "--store", "mine.sqlite")
    assert "Count to 3. (1)" in ran.out
    assert "success" in ran.out
    with Store.open("mine.sqlite") as store:
        episode = next(store.episodes())
    assert [turn.text for turn in episode.turns] == ["what is this?", "add[1]", 'add[{"amount": 2}]']
    assert episode.agent == "human"


def test_play_ends_where_the_person_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: "")
    assert "gave_up" in run("play", ENV, "--panel", "panel.jsonl").out


def test_ctrl_c_ends_within_a_second_and_keeps_what_ended(tmp_path: Path) -> None:
    quick = write_panel(tmp_path / "panel.jsonl", n=12)
    rows = quick.read_text().splitlines()
    slow = [row.replace('"target":3', '"target":4,"wait_s":60') for row in rows[6:]]
    quick.write_text("\n".join(rows[:6] + slow))
    command = [sys.executable, "-m", "turnwise.cli", *EVAL, "--concurrency", "12"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    store = tmp_path / "runs.sqlite"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if store.exists() and stored(store) == 6:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "6 episodes are stored" in err
    assert "--run base" in err
    assert "Traceback" not in err
    assert stored(store) == 6
    # The limit is a second; a shared machine gets a margin.
    assert time.monotonic() - began < 5


def stored(path: Path) -> int:
    from turnwise.errors import StoreError

    try:
        with Store.open(path) as store:
            return store.count()
    except StoreError:
        return 0
