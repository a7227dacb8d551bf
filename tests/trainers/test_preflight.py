"""What ``--check`` says before a run."""

import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

from synthetic_runs import episode
from turnwise.trainers.groupprobe import Groups
from turnwise.trainers.preflight import Finding, check_recipe, judged
from turnwise.trainers.recipe import parse_recipe
from turnwise.trajectories import Failure

pytestmark = pytest.mark.train

SMALL: dict[str, Any] = {
    "name": "door",
    "env": {"name": "door:Door"},
    "model": {"tiny": {"vocab_size": 300, "hidden_size": 64, "layers": 2}},
    "agent": {"format": "brackets", "turn_tokens": 8},
    "context_tokens": 1024,
    "prompt_tokens": 512,
    "rl": {"steps": 2, "group": 2, "horizon": {"turns": [3]}},
}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def found(about: str, **changes: Any) -> Finding:
    recipe = parse_recipe({**SMALL, **changes}, "test")
    return next(finding for finding in check_recipe(recipe) if finding.about == about)


def test_the_policy_itself_makes_a_few_groups() -> None:
    told = found("groups")
    assert "groups without variance in reward" in told.told
    assert "0% success in" in told.told
    assert (told.verdict, "begin with sft" in told.told) == ("warn", True)


def test_a_policy_that_cannot_be_loaded_is_no_traceback() -> None:
    told = found("tasks", model={"path": "./no/such/model"})
    assert told.verdict == "error"
    assert "no/such/model" in told.told


def test_what_would_be_refused_later_is_refused_now() -> None:
    rl = {**SMALL["rl"], "credit": {"method": "archer"}}
    assert "'archer' needs the field" in found("tasks", rl=rl).told


@pytest.mark.parametrize(
    ("changes", "about", "words"),
    [
        ({"context_tokens": 60, "prompt_tokens": 50}, "context_tokens", "raise it"),
        ({"prompt_tokens": 16}, "prompt_tokens", "raise it"),
        ({"rl": {**SMALL["rl"], "horizon": {"turns": [1]}}}, "horizon", "raise rl.horizon.turns"),
    ],
)
def test_a_budget_that_gold_does_not_fit_is_an_error(changes: dict[str, Any], about: str, words: str) -> None:
    told = found(about, **changes)
    assert (told.verdict, words in told.told) == ("error", True), told


def groups(rewards: list[list[float]], failed: int = 0) -> Groups:
    rng, made = random.Random(0), Groups(seconds=1.0)
    for index, group in enumerate(rewards):
        made.episodes[str(index)] = [
            episode("r", index, sample, rng).model_copy(
                update={"reward": reward, "score": reward, "success": reward == 1, "failure": None}
            )
            for sample, reward in enumerate(group)
        ]
    return made


@pytest.mark.parametrize(
    ("rewards", "verdict", "words"),
    [
        ([[0, 0], [0, 0]], "warn", "begin with sft"),
        ([[1, 1], [1, 1]], "warn", "take harder tasks"),
        ([[0, 1], [0, 0]], "ok", "1 of 2 groups without variance"),
        ([], "warn", "no group could be looked at"),
    ],
)
def test_groups_are_judged(rewards: list[list[float]], verdict: str, words: str) -> None:
    told = judged(groups(rewards), before_sft=False)
    assert (told.verdict, words in told.told) == (verdict, True), told


def test_failures_are_told_and_in_no_rate() -> None:
    made = groups([[0, 1]])
    broken = made.episodes["0"][0].model_copy(
        update={"failure": Failure(error="EnvError", message="the hinge broke", kind="env"), "score": None}
    )
    made.episodes = {"0": [broken]}
    assert "the hinge broke" in judged(made, before_sft=False).told
