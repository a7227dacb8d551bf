"""A run that reaches its budget: it stops clean, and its schedules and loggers were at work."""

import json
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="needs the train extra")

from turnwise.trainers.launch import Training, last_checkpoint
from turnwise.trainers.recipe import parse_recipe
from turnwise.trajectories import Store

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.timeout(900)]

FALLING = {"kind": "linear", "start": 0.1, "end": 0.0, "steps": 10}
RECIPE = {
    "name": "door",
    "env": {"name": "door:Door"},
    "model": {"tiny": {"vocab_size": 300, "hidden_size": 64, "layers": 2}},
    "agent": {"format": "brackets", "turn_tokens": 16},
    "context_tokens": 512,
    "prompt_tokens": 320,
    "loggers": ["tensorboard", "wandb"],
    "budget": {"tokens": 1200, "sft_share": 0.5},
    "sft": {"batch": 7, "micro_batch": 7, "lr": 0.003},
    "rl": {
        "steps": 50,
        "tasks_per_step": 4,
        "group": 4,
        "micro_batch": 8,
        "horizon": {"turns": [3]},
        "lr_schedule": {"kind": "cosine", "warmup_steps": 1, "end_share": 0.1},
        "schedules": {"entropy_coeff": FALLING, "kl_coeff": FALLING, "credit.gamma": FALLING},
        "credit": {"method": "turn_rloo", "clip": 0.5, "modulate": [{"method": "empg"}]},
    },
}


def test_a_run_stops_saved_and_evaluated_at_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here}:{here.parents[1] / 'src'}")
    monkeypatch.syspath_prepend(str(here))
    told: list[str] = []
    training = Training(parse_recipe(RECIPE, "test"), tmp_path / "run", told.append)
    model = training.run()
    assert (model / "config.json").exists()
    done = last_checkpoint(training.paths.checkpoints)
    assert 1 <= done < 50
    lines = [json.loads(line) for line in training.paths.metrics.read_text().splitlines()]
    steps = {line["step"]: line["data"] for line in lines}
    assert max(steps) == done
    assert "val/success" in steps[done]
    sampled = [steps[step]["turnwise/sampled_tokens"] for step in range(1, done + 1)]
    assert sum(sampled) >= 600 > sum(sampled[:-1])
    for step in range(1, done + 1):
        assert steps[step]["turnwise/entropy_coeff"] == pytest.approx(0.1 - 0.01 * step)
        assert steps[step]["actor/kl_coef"] == pytest.approx(0.1 - 0.01 * step)
    assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))
    assert list((tmp_path / "run").rglob("*.wandb"))
    with Store.open(training.paths.store) as store:
        rows = list(store.credit("door"))
    assert max(abs(value) for row in rows for value in row.token_advantages) <= 0.5
    assert any("the budget is spent after step" in line for line in told)
    assert any("supervised start" in line and "updates" in line for line in told)
    assert Training(training.recipe, training.root).run(resume=True) == model
    assert last_checkpoint(training.paths.checkpoints) == done
