"""``turnwise eval --serve``: a server for the time of a run, and nothing of it afterwards."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiny_env import tasks
from turnwise.models.serve import PYTHON_VARIABLE, Serving, parser_of
from turnwise.trajectories import Store
from turnwise_cli import Ran, assert_one_clear_line, turnwise

ROOT = Path(__file__).parents[2]
EVAL = ("eval", "tiny_env:CountEnv", "--panel", "panel.jsonl", "--run", "served", "--serve", "model")
REPLIES = [{"calls": [["add", {"amount": 1}]]}] * 3
Run = Callable[..., Ran]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tasks, a model, and a Python path on which the fake stands where vLLM would."""
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "api_server.py").write_text("from turnwise.models.fake.vllm import main\nmain()\n")
    paths = [tmp_path / "path", ROOT / "src", ROOT / "tests" / "support"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "panel.jsonl").write_text("".join(f"{task.model_dump_json()}\n" for task in tasks(n=4)))
    behave(tmp_path, replies="script.json")
    (tmp_path / "model" / "script.json").write_text(json.dumps(REPLIES))
    return tmp_path


def behave(place: Path, **told: Any) -> None:
    (place / "model").mkdir(exist_ok=True)
    (place / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    (place / "model" / "fake.json").write_text(json.dumps(told))


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: turnwise(capsys, *arguments)


def log(place: Path) -> str:
    return (place / "runs.sqlite.serve.log").read_text()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def left(place: Path) -> list[int]:
    """What the server had started and still runs."""
    return [pid for pid in map(int, re.findall(r"worker: (\d+)", log(place))) if not gone(pid)]


def test_a_served_model_is_evaluated_with_tokens_and_ended(run: Run, place: Path) -> None:
    ran = run(*EVAL, "--json", "--serve-set", "max-model-len=512", "--serve-set", "enforce_eager=true")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["success"]["mean"] == 1
    assert left(place) == []
    for flag in ("'--max-model-len', '512'", "'--enforce-eager'", "'--tool-call-parser', 'hermes'"):
        assert flag in log(place)
    with Store.open(place / "runs.sqlite") as store:
        assert store.run("served").model == "model"
        episodes = list(store.episodes("served"))
    assert all(sequence.logprobs is not None for episode in episodes for sequence in episode.sequences)
    assert all(len(turn.calls) == 1 for episode in episodes for turn in episode.turns)


def test_the_start_is_shown_and_the_name_is_the_users(run: Run, place: Path) -> None:
    ran = run(*EVAL, "--model", "my-policy")
    assert ran.code == 0, ran.err
    assert "serving my-policy · tool calls: hermes · log: runs.sqlite.serve.log" in ran.err
    with Store.open(place / "runs.sqlite") as store:
        assert store.run("served").model == "my-policy"


def test_the_key_reaches_no_record_log_or_command_line(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda _size=None: "canary-key-4711")
    assert run(*EVAL).code == 0
    assert "canary" not in " ".join(Serving(model="model", log=place / "log").command())
    for path in place.glob("runs.sqlite*"):
        assert b"canary-key-4711" not in path.read_bytes(), path


def test_a_server_that_fails_to_start_tells_its_error_and_log(run: Run, place: Path) -> None:
    behave(place, fail="max_model_len is larger than the model's")
    ran = run(*EVAL, "--json")
    assert_one_clear_line(ran, "exit code 1", "ValueError: max_model_len is larger", "runs.sqlite.serve.log")
    assert left(place) == []
    assert not (place / "runs.sqlite").exists()


def test_a_server_that_dies_stops_the_run_and_what_ended_is_kept(run: Run, place: Path) -> None:
    behave(place, replies="script.json", die_after=7)
    ran = run(*EVAL, "--json", "--concurrency", 1)
    assert_one_clear_line(ran, "MemoryError: the fake engine ran out of memory", "runs.sqlite.serve.log")
    with Store.open(place / "runs.sqlite") as store:
        assert sum(episode.scored for episode in store.episodes("served")) == 2
    behave(place, replies="script.json")
    assert run(*EVAL, "--json", "--resume").code == 0
    with Store.open(place / "runs.sqlite") as store:
        assert sum(episode.scored for episode in store.episodes("served")) == 4


def test_a_server_that_never_answers_is_given_up(run: Run, place: Path) -> None:
    behave(place, start_s=600)
    assert_one_clear_line(run(*EVAL, "--json", "--serve-wait", "1"), "did not answer within 1 s", "serve.log")
    assert left(place) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--serve", "./nowhere"), ("there is no folder ./nowhere",)),
        (("--serve", "empty"), ("no model in empty", "config.json")),
        (("--serve", "model", "--serve-python", "/no/python"), ("/no/python", "does not run as a Python")),
        (("--serve", "model", "--serve-set", "api_key=x"), ("'api-key' is set by turnwise itself",)),
        (("--serve", "model", "--base-url", "http://localhost:1/v1"), ("leave out --base-url",)),
        (("--serve", "model", "--agent", "oracle"), ("leave out --agent oracle",)),
        (("--serve", "model", "--model", "a", "--model", "b"), ("--serve serves one model",)),
        (("--agent", "oracle", "--serve-set", "a=1"), ("name it by --serve",)),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    run: Run, place: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (place / "empty").mkdir()
    assert_one_clear_line(run(*EVAL[:4], "--json", *arguments), *words)
    assert not (place / "runs.sqlite.serve.log").exists()


def test_a_python_without_vllm_is_told_what_to_do(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = place / "python"
    script.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} -I "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(script))
    assert_one_clear_line(run(*EVAL, "--json"), "no package 'vllm'", "turnwise[vllm]", "--serve-python")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_server(place: Path, kind: signal.Signals) -> None:
    behave(place, start_s=600)
    command = [sys.executable, "-m", "turnwise.cli", *EVAL]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while "worker" not in (log(place) if (place / "runs.sqlite.serve.log").exists() else ""):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(kind)
        assert process.wait(timeout=60) in (130, 143)
    assert left(place) == []


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3_json"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral"),
        ("openai/gpt-oss-20b", "openai"),
        ("someone/unheard-of", "hermes"),
    ],
)
def test_the_tool_call_parser_follows_the_model(model: str, parser: str) -> None:
    assert parser_of(model) == parser


def test_flags_are_written_as_the_command_line_takes_them(tmp_path: Path) -> None:
    settings = {"a": True, "b": False, "c": None, "d": [1, 2], "e": {"f": 1}, "tool_call_parser": "mistral"}
    command = Serving(model="org/model", log=tmp_path / "log", settings=settings).command()
    text = " ".join(command)
    assert '--tool-call-parser mistral --a --no-b --d 1 2 --e {"f": 1}' in text
    assert "--c" not in command
