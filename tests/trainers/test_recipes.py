"""Every recipe that ships can be read, is explained, and works in a small form on a tiny model."""

import os
from pathlib import Path

import pytest

from turnwise.trainers.launch import Training, explained
from turnwise.trainers.recipe import Recipe, load_recipe
from turnwise.trajectories import Store

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
METHODS = {"grpo", "rloo", "gigpo", "igpo", "empg", "turn_gae", "turn_rloo"}
SMALL = (
    "device=cpu",
    "rollout=transformers",
    "model={tiny: {vocab_size: 2048, hidden_size: 64, layers: 2, heads: 2, kv_heads: 1, max_positions: 16384}}",
    "context_tokens=16384",
    "prompt_tokens=8192",
    "rl.steps=1",
    "rl.tasks_per_step=2",
    "rl.group=2",
    "rl.micro_batch=2",
    "agent.turn_tokens=32",
)


def small(path: Path, *more: str) -> Recipe:
    """The recipe on a few tasks, a tiny model and a CPU."""
    generated = load_recipe(path).env.generator is not None
    tasks = ("env.generator.train=4", "env.generator.eval=2") if generated else ("env.tasks=4", "env.eval_tasks=2")
    return load_recipe(path, (*SMALL, *tasks, *more))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_read_and_explained(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    lines = explained(recipe, tmp_path)
    assert recipe.name == path.stem
    assert recipe.rl is not None
    assert f"trainer.total_training_steps={recipe.rl.steps}" in lines
    assert not list(tmp_path.iterdir())


def test_there_is_one_for_every_environment_and_method() -> None:
    recipes = [load_recipe(path) for path in RECIPES]
    assert {recipe.env.name for recipe in recipes} >= {"code", "gui", "search", "sql", "webshop"}
    assert {recipe.rl.credit.method for recipe in recipes if recipe.rl} == METHODS
    assert any(recipe.rl and len(recipe.rl.horizon.turns) > 1 for recipe in recipes)
    assert any(recipe.sft and recipe.model.path for recipe in recipes)


@pytest.mark.train
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_small_form_passes_the_check(path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the train extra")
    from turnwise.trainers.preflight import check_recipe

    errors = [found for found in check_recipe(small(path), probe=False) if found.verdict == "error"]
    if any("sandbox" in found.told for found in errors):
        pytest.skip(errors[0].told)
    assert errors == []


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_small_form_trains_a_step(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("verl", reason="needs the train extra")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    supervised = ("sft.epochs=1", "sft.batch=4", "sft.micro_batch=2") if load_recipe(path).sft else ()
    recipe = small(path, "rl.horizon={turns: [2]}", *supervised)
    folder = Training(recipe, tmp_path / "run").run()
    assert (folder / "config.json").exists()
    with Store.open(tmp_path / "run" / "episodes.db") as store:
        episodes = list(store.episodes(recipe.name))
        assert len([episode for episode in episodes if episode.scored]) == 4
        assert {row.episode_id for row in store.credit(recipe.name)} <= {episode.episode_id for episode in episodes}
