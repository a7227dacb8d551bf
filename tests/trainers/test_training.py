"""The real trainer, from a recipe to a model that answers: supervised start, then reinforcement learning."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
transformers = pytest.importorskip("transformers", reason="needs the train extra")
pytest.importorskip("verl", reason="needs the train extra")

from turnwise.trainers.credit import CreditBatch, get  # noqa: E402
from turnwise.trainers.launch import Training  # noqa: E402
from turnwise.trainers.recipe import parse_recipe  # noqa: E402
from turnwise.trainers.spread import spread  # noqa: E402
from turnwise.trajectories import Store, Trajectory  # noqa: E402

Row = tuple[tuple[int, ...], tuple[float, ...]]
pytestmark = [pytest.mark.train, pytest.mark.timeout(900)]

RECIPE = {
    "name": "door",
    "env": {"name": "door:Door", "attempts": 1},
    "model": {"tiny": {"vocab_size": 300, "hidden_size": 64, "layers": 2}},
    "agent": {"format": "brackets", "turn_tokens": 24, "context": "window:1"},
    "context_tokens": 512,
    "prompt_tokens": 320,
    "sft": {"epochs": 120, "batch": 7, "micro_batch": 7, "lr": 0.003},
    "rl": {
        "steps": 2,
        "tasks_per_step": 4,
        "group": 4,
        "lr": 0.001,
        "micro_batch": 8,
        "horizon": {"turns": [4]},
        "credit": {"method": "turn_rloo"},
        "loss": "recording:loss",
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("training") / "run"
    (root.parent / "recorded").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RECORDED", str(root.parent / "recorded"))
        patch.syspath_prepend(str(Path(__file__).parent))
        model = Training(parse_recipe(RECIPE, "test"), root).run()
    return root, model


def episodes_of(root: Path) -> list[Trajectory]:
    with Store.open(root / "episodes.db") as store:
        return list(store.episodes("door"))


def test_every_episode_is_stored_with_tokens_and_credit(trained: tuple[Path, Path]) -> None:
    root, _ = trained
    with Store.open(root / "episodes.db") as store:
        rows = {row.episode_id: row for row in store.credit("door")}
        metrics = {row.name for row in store.metrics("door")}
    episodes = episodes_of(root)
    assert {episode.step for episode in episodes} == {1, 2}
    assert len(episodes) == 2 * 4 * 4
    scored = [episode for episode in episodes if episode.scored]
    assert all(episode.sequences for episode in scored)
    assert set(rows) == {episode.episode_id for episode in scored}
    assert metrics >= MEASURED


MEASURED = {
    "turnwise/success", "turnwise/advantage_std_per_turn", "turnwise/invalid_share", "turnwise/truncated_share",
    "turnwise/failed_episodes", "turnwise/time_environment", "turnwise/time_generation", "turnwise/time_update",
    "turnwise/update_sparsity", "actor/entropy", "actor/pg_clipfrac", "actor/ppo_kl",
}  # fmt: skip


def test_an_episode_that_fails_is_kept_and_is_no_score(trained: tuple[Path, Path]) -> None:
    root, _ = trained
    failed = [episode for episode in episodes_of(root) if not episode.scored]
    assert failed
    assert {episode.failure.message for episode in failed if episode.failure} == {"the hinge broke"}
    assert {(episode.score, episode.reward) for episode in failed} == {(None, None)}
    lines = [json.loads(line)["data"] for line in (root / "rl-metrics.jsonl").read_text().splitlines()]
    assert sum(line.get("turnwise/failed_episodes", 0) for line in lines) == len(failed)


def trained_rows(root: Path, method: str) -> list[Row]:
    """Return mask and advantages of every row that the stored episodes make, from the first trained token on."""
    made = []
    for step in (1, 2):
        mine = [episode for episode in episodes_of(root) if episode.scored and episode.step == step]
        batch = CreditBatch.from_trajectories(mine)
        for episode, arrays in zip(mine, spread(mine, batch, get(method).estimate(batch)), strict=True):
            made += [row_of(s.loss_mask, array) for s, array in zip(episode.sequences, arrays, strict=True)]
    return sorted(made)


def row_of(mask: Any, advantages: Any) -> Row:
    at = np.flatnonzero(mask)
    part = slice(at[0], at[-1] + 1)
    assert not np.asarray(advantages)[~np.asarray(mask, dtype=bool)].any()
    return tuple(np.asarray(mask[part], dtype=int).tolist()), tuple(np.float32(advantages[part]).round(5).tolist())


def test_the_losses_advantages_are_the_estimators_on_the_stored_records(trained: tuple[Path, Path]) -> None:
    root, _ = trained
    handed = [np.load(path) for path in (root.parent / "recorded").iterdir()]
    rows = [row for call in handed for row in zip(call["response_mask"], call["advantages"], strict=True)]
    untrained = [advantages for mask, advantages in rows if not mask.any()]
    assert untrained
    assert not any(advantages.any() for advantages in untrained)
    expected = trained_rows(root, "turn_rloo")
    assert sorted(row_of(mask, advantages) for mask, advantages in rows if mask.any()) == expected
    assert len(expected) >= 2 * 12
    assert sum(any(advantages) for _, advantages in expected) > 4


def test_rollout_and_trainer_agree_on_every_token(trained: tuple[Path, Path]) -> None:
    root, _ = trained
    lines = [json.loads(line) for line in (root / "rl-metrics.jsonl").read_text().splitlines()]
    steps = [line["data"] for line in lines if "training/rollout_probs_diff_max" in line["data"]]
    assert len(steps) == 2
    assert max(step["training/rollout_probs_diff_max"] for step in steps) < 1e-4
    assert all(np.isfinite(step["actor/grad_norm"]) for step in steps)


def test_the_trained_model_loads_and_answers(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Door 1: say bee."}], add_generation_prompt=True, return_tensors="pt"
    )
    ids = ids if isinstance(ids, torch.Tensor) else ids["input_ids"]
    out = model.generate(ids, max_new_tokens=8, do_sample=False)
    assert out.shape[1] > ids.shape[1]
