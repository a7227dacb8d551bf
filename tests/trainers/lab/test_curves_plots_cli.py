"""Learning, pictures and the command."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from turnwise.trainers.lab import case, environment, learn, run_curves, run_table
from turnwise.trainers.lab.plots import bias_svg, curves_svg, report_html


def test_the_true_advantage_learns_and_the_same_seed_learns_the_same() -> None:
    process = environment("key_door")
    first = learn(case("true advantage"), process, 4, updates=15, repeats=2)
    assert first.values[-1] > first.values[0] + 0.3
    assert learn(case("true advantage"), process, 4, updates=15, repeats=2) == first
    assert learn(case("true advantage"), process, 4, updates=15, repeats=2, seed=1).values != first.values


def test_pictures_are_well_formed_and_say_what_was_measured() -> None:
    chosen = [case("turn_rloo"), case("grpo"), case("igpo")]
    table = run_table(chosen, ["chain", "information"], [2])
    curves = run_curves(chosen, ["chain", "information"], 2)
    assert {(c.estimator, c.environment) for c in curves} >= {("igpo", "information"), ("grpo", "chain")}
    for drawn in (bias_svg(table, 2), curves_svg(curves)):
        ET.fromstring(drawn)
        assert "turn_rloo" in drawn
    page = report_html(table, curves, 2)
    assert page.count("<svg") == 2
    assert "<script" not in page


def turnwise(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from turnwise.cli.main import run; run()", "lab", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


OWN = """
import numpy as np
from turnwise.trainers.credit import Credit, Estimator, NoParams

class Own(Estimator[NoParams]):
    unbiased = True
    Params = NoParams

    def credit(self, batch, params):
        return Credit(advantages=batch.reward, returns=batch.reward, weights=np.ones(batch.turns))
"""


def test_the_command_measures_a_users_estimator_and_checks_its_claim(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    options = ["--env", "key_door", "--group-size", "2", "--out", "lab", "--json"]
    done = turnwise("--estimator", "own:Own", *options, cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert done.returncode == 1
    assert "claimed unbiased, but is not: own:Own in key_door" in done.stderr
    assert set(document["estimators"]) == {"own:Own", "turn_rloo", "grpo", "true advantage"}
    assert {curve["estimator"] for curve in document["curves"]} == set(document["estimators"])
    assert {p.name for p in (tmp_path / "lab").iterdir()} == {"report.html", "bias.svg", "curves.svg", "table.json"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--estimator", "turn_rlo"], "Did you mean 'turn_rloo'"),
        (["--estimator", "rloo", "--env", "chian"], "Did you mean 'chain'"),
        (["--estimator", "rloo", "--env", "chain", "--group-size", "0"], "at least one episode"),
        (["--estimator", "rloo", "--env", "chain", "--no-curves", "--out", "file"], "cannot be written"),
    ],
)
def test_wrong_use_is_one_clear_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "file").write_text("in the way")
    done = turnwise(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
