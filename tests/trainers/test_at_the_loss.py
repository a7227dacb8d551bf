"""What reaches verl's policy loss is the estimator's word on the stored records: through verl, minutes each."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("verl", reason="needs the train extra")

from turnwise.trainers.credit import CreditBatch, get
from turnwise.trainers.launch import Training
from turnwise.trainers.recipe import parse_recipe
from turnwise.trainers.spread import spread
from turnwise.trainers.tiny import TinyModel, build_tiny
from turnwise.trajectories import Store

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1800)]
HERE = Path(__file__).parent
Row = tuple[tuple[int, ...], tuple[float, ...]]


def row_of(mask: Any, advantages: Any) -> Row:
    at = np.flatnonzero(mask)
    part = slice(at[0], at[-1] + 1)
    return tuple(np.asarray(mask[part], dtype=int).tolist()), tuple(np.float32(advantages[part]).round(4).tolist())


@pytest.fixture(
    params=[
        ("gae", "window:1", {"critic": {"lr": 0.001}}),
        ("turn_gae", "full", {"critic": {"lr": 0.001}, "mini_batches": 2}),
        ("igpo", "window:1", {}),
        ("empg", "full", {}),
        ("fork_value", "full", {"probe": {"branches": 2}}),
        ("remax", "per-turn:1", {}),
    ],
    ids=lambda param: param[0],
)
def recipe(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    method, context, parts = request.param
    folder = tmp_path / "model"
    build_tiny(folder, ["say[yes] Say something, train 1."], TinyModel(vocab_size=300, hidden_size=64, layers=2))
    return {
        "name": "t",
        "env": {"name": "trouble:Trouble", "attempts": 1},
        "model": {"path": str(folder)},
        "agent": {"format": "native", "turn_tokens": 8, "context": context},
        "context_tokens": 640,
        "prompt_tokens": 320,
        "rl": {
            "steps": 2,
            "tasks_per_step": 4,
            "group": 4,
            "lr": 0.001,
            "micro_batch": 4,
            "horizon": {"turns": [3]},
            "loss": "recording:loss",
            "credit": {"method": method},
            **parts,
        },
    }


def test_the_estimators_word_reaches_the_loss(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("RECORDED", str(tmp_path / "recorded"))
    (tmp_path / "recorded").mkdir()
    monkeypatch.setenv("TROUBLE", "one")
    monkeypatch.setenv("TROUBLE_AFTER", "12")
    monkeypatch.setenv("TROUBLE_ROOT", str(root))
    Training(parse_recipe(recipe, "test"), root, print).run()
    method = recipe["rl"]["credit"]["method"]
    with Store.open(root / "episodes.db") as store:
        episodes = list(store.episodes("t"))
        rows = store.credit("t")
    scored = [episode for episode in episodes if episode.scored]
    assert len(episodes) == 32
    assert len(scored) == len(rows) == 24
    expected: list[Row] = []
    for step in (1, 2):
        mine = [episode for episode in scored if episode.step == step]
        batch = CreditBatch.from_trajectories(mine)
        for episode, arrays in zip(mine, spread(mine, batch, get(method).estimate(batch)), strict=True):
            expected += [row_of(s.loss_mask, array) for s, array in zip(episode.sequences, arrays, strict=True)]
    calls = [np.load(path) for path in (tmp_path / "recorded").iterdir()]
    handed = [each for call in calls for each in zip(call["response_mask"], call["advantages"], strict=True)]
    assert sorted(row_of(mask, advantages) for mask, advantages in handed if mask.any()) == sorted(expected)
    assert not any(advantages[mask == 0].any() for mask, advantages in handed)
    assert sum(any(advantages) for _, advantages in expected) > 12
