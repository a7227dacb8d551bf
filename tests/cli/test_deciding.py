"""The commands people decide by: documents that fit their schemas, and mistakes told in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from synthetic_runs import make_run, make_training, store_at
from tiny_env import tasks
from turnwise.cli.schema import shipped
from turnwise.models.fake import FakeServer, Script, call, say
from turnwise_cli import Ran, turnwise

Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    with store_at(tmp_path / "runs.sqlite") as store:
        make_run(store, "weak", tasks=60, skill=0.6)
        make_run(store, "strong", tasks=60, skill=1.2, seed=1, model="big")
        make_run(store, "other-panel", tasks=10)
        make_training(store, "training", steps=3)
    return lambda *arguments: turnwise(capsys, *arguments)


def document(ran: Ran, schema: str) -> object:
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    jsonschema.Draft202012Validator(shipped(schema)).validate(found)
    return found


def test_compare(run: Run) -> None:
    shown = run("compare", "weak", "strong")
    assert shown.code == 0
    assert "strong is better: success differs by" in shown.out
    assert "60 paired" in shown.out
    document(run("compare", "weak", "strong", "--json"), "compare")


def test_report(run: Run, tmp_path: Path) -> None:
    made = run("report", "weak", "strong", "training", "--html", "out.html")
    assert (made.code, made.out.strip()) == (0, "wrote out.html")
    assert "weak against strong" in (tmp_path / "out.html").read_text()


def test_leaderboard(run: Run) -> None:
    shown = run("leaderboard", "toy")
    assert shown.out.index("strong") < shown.out.index("weak")
    document(run("leaderboard", "toy", "--json"), "leaderboard")


def test_runs_and_their_difference(run: Run) -> None:
    assert "strong" in run("runs").out
    document(run("runs", "--json"), "runs")
    assert "big" in run("runs", "diff", "weak", "strong").out
    document(run("runs", "diff", "weak", "strong", "--json"), "runs-diff")
    assert "Nothing that was written down differs." in run("runs", "diff", "weak", "weak").out


def write_panel(path: Path) -> str:
    path.write_text("".join(f"{one.model_dump_json()}\n" for one in tasks(n=6)))
    return str(path)


def test_rescore(run: Run, tmp_path: Path) -> None:
    panel = write_panel(tmp_path / "panel.jsonl")
    made = run("eval", "tiny_env:CountEnv", "--agent", "oracle", "--panel", panel, "--run", "base")
    assert made.code == 0, made.err
    before = run("runs", "--json").out
    document(run("rescore", "base", "--reward", "outcome=3", "--json"), "rescore")
    assert "base-rescored" in run("runs").out
    assert json.loads(before)["runs"] == json.loads(run("runs", "--json").out)["runs"][:-1]


def test_several_models_in_one_command(run: Run, tmp_path: Path) -> None:
    panel = write_panel(tmp_path / "panel.jsonl")
    with FakeServer(Script([call("add", amount=1), say("done")])) as server:
        asked = ("eval", "tiny_env:CountEnv", "--base-url", server.url, "--panel", panel, "--limit", "turns=3")
        shown = run(*asked, "--model", "small", "--model", "large", "--run", "v1")
        assert shown.code == 0, shown.err
        assert "v1-small" in shown.out
        assert "tokens a success" in shown.out
        document(run(*asked, "--model", "small", "--model", "large", "--run", "v2", "--json"), "evals")
        twice = run(*asked, "--model", "small", "--model", "small")
        assert twice.code == 1
        assert "named twice" in twice.err


def test_a_run_stops_and_says_why(run: Run, tmp_path: Path) -> None:
    panel = write_panel(tmp_path / "panel.jsonl")
    asked = ("eval", "tiny_env:CountEnv", "--agent", "oracle", "--panel", panel, "--concurrency", "1")
    ran = run(*asked, "--run", "early", "--max-seconds", "0.000001", "--json")
    assert ran.code == 0
    assert "stopped: the run has taken" in ran.err
    assert json.loads(ran.out)["n"] < 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "weak", "other-panel"), "their panels differ"),
        (("compare", "weak", "nope"), "has no run 'nope'"),
        (("report", "nope"), "has no run 'nope'"),
        (("report", "weak", "--html", "no/such/place.html"), "cannot be written"),
        (("report", "weak", "--store", "none.sqlite"), "no store"),
        (("leaderboard", "nope"), "no scored run of environment 'nope'"),
        (("rescore", "weak", "--reward", "nope=1"), "no reward part 'nope'"),
        (("rescore", "nope", "--reward", "a=1"), "has no run"),
        (("runs", "diff", "weak", "nope"), "has no run"),
        (("eval", "tiny_env:CountEnv", "--agent", "null", "--panel", "panel.jsonl", "--until", "narrow"), "--until"),
        (("eval", "tiny_env:CountEnv", "--agent", "null", "--max-cost", "0"), "above 0"),
    ],
)
def test_mistakes_are_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    write_panel(tmp_path / "panel.jsonl")
    ran = run(*arguments)
    assert ran.code == 1
    assert said in " ".join(ran.err.split())
    assert ran.err.count("\n") == 1
    assert ran.out == ""
