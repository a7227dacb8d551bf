"""The real trainer, from a recipe to a model that answers: supervised start, then reinforcement learning."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
transformers = pytest.importorskip("transformers", reason="needs the train extra")
pytest.importorskip("verl", reason="needs the train extra")

from turnwise.trainers.credit import CreditBatch, get  # noqa: E402
from turnwise.trainers.launch import Training  # noqa: E402
from turnwise.trainers.recipe import parse_recipe  # noqa: E402
from turnwise.trainers.spread import spread  # noqa: E402
from turnwise.trajectories import Store  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.timeout(900)]

RECIPE = {
    "name": "door",
    "env": {"name": "door:Door"},
    "model": {"tiny": {"vocab_size": 300, "hidden_size": 64, "layers": 2}},
    "agent": {"format": "brackets", "turn_tokens": 24},
    "context_tokens": 512,
    "prompt_tokens": 320,
    "sft": {"epochs": 20, "batch": 8, "micro_batch": 8, "lr": 0.003},
    "rl": {
        "steps": 2,
        "tasks_per_step": 4,
        "group": 4,
        "lr": 0.001,
        "micro_batch": 8,
        "horizon": {"turns": [4]},
        "credit": {"method": "turn_rloo"},
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("training") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.syspath_prepend(str(Path(__file__).parent))
        model = Training(parse_recipe(RECIPE, "test"), root).run()
    return root, model


def test_every_episode_is_stored_with_tokens_and_credit(trained: tuple[Path, Path]) -> None:
    root, _ = trained
    with Store.open(root / "episodes.db") as store:
        episodes = [episode for episode in store.episodes("door") if episode.scored]
        rows = {row.episode_id: row for row in store.credit("door")}
        assert len(store.metrics("door")) > 50
    assert {episode.step for episode in episodes} == {1, 2}
    assert all(episode.sequences for episode in episodes)
    assert set(rows) == {episode.episode_id for episode in episodes}


def test_the_losses_advantages_are_the_estimators_on_the_stored_records(trained: tuple[Path, Path]) -> None:
    root, _ = trained
    with Store.open(root / "episodes.db") as store:
        episodes = [episode for episode in store.episodes("door") if episode.scored]
        rows = {row.episode_id: row for row in store.credit("door")}
    for step in (1, 2):
        mine = [episode for episode in episodes if episode.step == step]
        batch = CreditBatch.from_trajectories(mine)
        laid = spread(mine, batch, get("turn_rloo").estimate(batch))
        for episode, arrays in zip(mine, laid, strict=True):
            np.testing.assert_allclose(rows[episode.episode_id].token_advantages, np.concatenate(arrays), atol=1e-6)


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
