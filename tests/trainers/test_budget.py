"""Budgets, schedules and the credit pipeline of a recipe."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turnwise.errors import ConfigError, TurnwiseError
from turnwise.trainers.budget import Spent, sft_length, spent_by
from turnwise.trainers.credit import get
from turnwise.trainers.credit.synthetic import random_batch
from turnwise.trainers.crediting import check_credit, needed_fields, params_at, pipeline_at, stored_params
from turnwise.trainers.recipe import BudgetPart, Recipe, RlPart, parse_recipe

RL = {"steps": 10}
SFT_RL = {"name": "r", "env": {"name": "sql"}, "model": {"path": "m"}, "rl": RL}


def rl(**settings: Any) -> RlPart:
    return RlPart.model_validate({**RL, **settings})


def test_a_budget_is_reached_by_tokens_or_seconds() -> None:
    budget = BudgetPart(tokens=100, seconds=10)
    assert Spent(tokens=99, seconds=9).reached(budget) is None
    assert Spent(tokens=100, seconds=9).reached(budget) == "100 of 100 tokens are sampled"
    assert Spent(tokens=0, seconds=10).reached(budget) == "10 of 10 seconds have passed"
    assert Spent(tokens=1e9).reached(None) is None


def test_what_was_spent_is_read_back_up_to_a_checkpoint(tmp_path: Path) -> None:
    told = [{"turnwise/sampled_tokens": 5.0, "timing_s/step": 2.0, "timing_s/testing": 1.0}, {"val/success": 0.5}]
    lines = [{"step": step, "data": data} for step, data in ((0, told[1]), (1, told[0]), (2, told[0]), (3, told[0]))]
    (tmp_path / "metrics").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert spent_by(tmp_path / "metrics", 2) == Spent(tokens=10, seconds=6)
    assert spent_by(tmp_path / "none", 2) == Spent()


def test_a_share_of_the_tokens_bounds_the_supervised_start() -> None:
    budget = BudgetPart(tokens=1000, sft_share=0.25)
    assert (budget.sft_tokens, budget.rl_tokens) == (250, 750)
    length = sft_length(250, batch=4, trained=[10] * 10)
    assert (length.steps, length.epochs) == (6, 3)
    assert sft_length(1, batch=4, trained=[10] * 10).steps == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": {}}, "give tokens, seconds or both"),
        ({"budget": {"seconds": 5, "sft_share": 0.5}}, "sft_share divides tokens"),
        ({"budget": {"tokens": 5, "sft_share": 0.5}}, "takes the place of sft.steps"),
        ({"budget": {"tokens": 5, "sft_share": 0.5}, "sft": {"epochs": 2}}, "takes the place of sft.steps"),
        ({"budget": {"tokens": 5}, "rl": None, "sft": {}}, "read by rl"),
        ({"rl": {**RL, "schedules": {"lr": {"kind": "constant", "value": 1}}}}, "have schedules"),
        ({"rl": {**RL, "schedules": {"kl_coeff": {"kind": "wavy"}}}}, "no schedule is named 'wavy'"),
        (
            {"rl": {**RL, "kl_coeff": 0.1, "schedules": {"kl_coeff": {"kind": "constant", "value": 1}}}},
            "its own value would not be read",
        ),
        ({"rl": {**RL, "lr_schedule": {"end_share": 0.1}}}, "read by kind 'cosine' alone"),
    ],
)
def test_what_nothing_would_read_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TurnwiseError, match=message):
        parse_recipe({**SFT_RL, **change}, "test")


def test_coefficients_and_parameters_follow_their_schedules() -> None:
    falling = {"kind": "linear", "start": 1.0, "end": 0.0, "steps": 10}
    part = rl(schedules={"entropy_coeff": falling, "credit.gamma": falling}, kl_coeff=0.5)
    assert [part.at("entropy_coeff", step) for step in (0, 5, 10)] == [1.0, 0.5, 0.0]
    assert part.at("kl_coeff", 3) == 0.5
    assert params_at(part, 5) == {"gamma": 0.5}
    assert stored_params(part, 5) == {"gamma": 0.5}


def test_without_further_stages_the_pipeline_is_the_method() -> None:
    batch = random_batch(0)
    mine = pipeline_at(rl(credit={"method": "turn_rloo"}), 1).run(batch)
    np.testing.assert_array_equal(mine.advantages, get("turn_rloo").estimate(batch).advantages)


def test_statistics_clip_and_stages_are_heeded() -> None:
    batch = random_batch(0)
    part = rl(credit={"method": "grpo", "statistics": {"center": "batch", "scale": "none"}, "clip": 0.1})
    credit = pipeline_at(part, 1).run(batch)
    assert np.abs(credit.advantages).max() <= 0.1
    assert stored_params(part, 1)["pipeline"] == {"clip": 0.1}
    modulated = rl(credit={"method": "gigpo", "modulate": [{"method": "empg"}]})
    assert set(needed_fields(modulated)) >= {"state_key", "turn_entropy"}


@pytest.mark.parametrize(
    ("credit", "message"),
    [
        ({"method": "rloo", "statistics": {"center": "batch"}}, "no parameter 'statistics'"),
        ({"method": "grpo", "statistics": {}, "params": {"statistics": {}}}, "leave one out"),
        ({"method": "grpo", "statistics": {"centre": "batch"}}, "center"),
        ({"method": "grpo", "modulate": [{"method": "rloo"}]}, "belongs to the stage"),
        ({"method": "turn_rloo", "params": {"gama": 1}}, "gamma"),
    ],
)
def test_a_pipeline_that_cannot_be_built_is_refused(credit: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_credit(rl(credit=credit))


def test_a_recipe_reads_back_from_a_runs_folder() -> None:
    falling = {"kind": "linear", "start": 1.0, "end": 0.0, "steps": 10}
    part = {**RL, "schedules": {"entropy_coeff": falling, "credit.gamma": falling}, "lr_schedule": {"kind": "cosine"}}
    recipe = parse_recipe({**SFT_RL, "rl": part, "sft": {}, "budget": {"tokens": 9, "sft_share": 0.5}}, "test")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
