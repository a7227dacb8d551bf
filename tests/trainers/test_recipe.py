"""A recipe says all, and refuses what nobody reads."""

from pathlib import Path

import pytest

from turnwise.errors import ConfigError
from turnwise.trainers.recipe import HorizonPart, Recipe, load_recipe

GOOD = """
name: demo
env: {name: sql}
model: {path: some/model}
rl: {steps: 3}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_defaults_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    recipe = load_recipe(path, ("rl.credit.method=gigpo", "seed=7"))
    assert recipe.rl is not None
    assert (recipe.rl.credit.method, recipe.seed, recipe.rl.group) == ("gigpo", 7, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rl.stepz=3", r"rl\.stepz.*no part of this recipe reads that key"),
        ("rollout=vllm", "needs device 'cuda'"),
        ("gpus=2", "no meaning on device 'cpu'"),
        ("rl.mini_batches=3", "must divide"),
        ("rl=null", "nothing to do"),
        ("sft={skip_share: 0.5}", "read with skip_tools"),
        ("model.tiny={}", "not both"),
        ("rl.steps=many", "valid integer"),
        ("prompt_tokens=4096", "below context_tokens"),
        ("nonsense", "key=value"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(write(tmp_path, GOOD), (change,))


def test_a_missing_or_broken_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        load_recipe(write(tmp_path, "a: [1"))
    with pytest.raises(ConfigError, match="recipe"):
        load_recipe(write(tmp_path, "- 1"))


def test_a_horizon_schedule_steps_up() -> None:
    horizon = HorizonPart(at=(0, 10, 20), turns=(5, 10, 15))
    assert [horizon.limit(step) for step in (0, 9, 10, 25)] == [5, 5, 10, 15]
    with pytest.raises(ValueError, match="rise"):
        HorizonPart(at=(0, 5, 5), turns=(1, 2, 3))


def test_threads_are_read_on_a_cpu_only(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, GOOD), ("threads=1",)).threads == 1
    with pytest.raises(ConfigError, match="threads is read on device 'cpu' only"):
        load_recipe(write(tmp_path, GOOD), ("threads=1", "device=cuda"))


def test_a_recipe_with_a_generator_reads_back_as_it_was_written(tmp_path: Path) -> None:
    text = GOOD.replace("{name: sql}", "{name: sql, generator: {name: sql, train: 4, eval: 2}}")
    recipe = load_recipe(write(tmp_path, text))
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    with pytest.raises(ConfigError, match="with a generator, split would not be read"):
        load_recipe(write(tmp_path, text), ("env.split=dev",))
