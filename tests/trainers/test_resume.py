"""What a killed run leaves, and where the next one goes on."""

import fcntl
import json
from pathlib import Path

import pytest

from turnwise.errors import ConfigError, TrainerError
from turnwise.trainers.launch import Training, last_checkpoint
from turnwise.trainers.progress import Liveness, MetricsTail, forget_after
from turnwise.trainers.recipe import parse_recipe
from turnwise.trainers.verl.config import Paths, rl_overrides
from turnwise.trajectories import Store

RECIPE = {
    "name": "r",
    "env": {"name": "sql", "tasks": 2, "eval_tasks": 2},
    "model": {"path": "none"},
    "rl": {"steps": 3},
}


def checkpoint(folder: Path, step: int, *, whole: bool = True) -> None:
    (folder / f"global_step_{step}").mkdir(parents=True)
    if whole:
        (folder / f"global_step_{step}" / "data.pt").touch()


@pytest.mark.parametrize("tracker", ["2", "", "7"])
def test_the_last_whole_checkpoint_is_found_even_by_a_torn_tracker(tmp_path: Path, tracker: str) -> None:
    for step, whole in ((1, True), (2, True), (3, False)):
        checkpoint(tmp_path, step, whole=whole)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text(tracker)
    assert last_checkpoint(tmp_path) == 2
    assert (tmp_path / "latest_checkpointed_iteration.txt").read_text() == "2"


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "missing") == 0


def test_a_resumed_run_loads_the_checkpoint_and_evaluates_no_second_time(tmp_path: Path) -> None:
    recipe, paths = parse_recipe(RECIPE, "test"), Paths(root=tmp_path)
    fresh, later = (rl_overrides(recipe, paths, "m", done=done) for done in (0, 2))
    assert {"trainer.resume_mode=disable", "trainer.val_before_train=True"} <= set(fresh)
    assert {"trainer.resume_mode=auto", "trainer.val_before_train=False"} <= set(later)


def line(step: int, value: float) -> str:
    return json.dumps({"step": step, "data": {"loss": value}}) + "\n"


def test_metrics_of_redone_steps_replace_the_lost_ones(tmp_path: Path) -> None:
    told, kept = tmp_path / "part.jsonl", tmp_path / "kept.jsonl"
    lines: list[str] = []
    with Store.open(tmp_path / "s.db", "a") as store:
        told.write_text(line(0, 9.0) + line(1, 1.0) + line(2, 2.0) + line(3, 30.0) + '{"step": 4, "da')
        MetricsTail(told, store, "r", 3, lines.append, kept=kept)()
        forget_after(kept, 2)
        told.write_text(line(3, 3.0))
        MetricsTail(told, store, "r", 3, lines.append, kept=kept)()
        found = [(row.step, row.value) for row in store.metrics("r")]
    assert [json.loads(each)["step"] for each in kept.read_text().splitlines()] == [0, 1, 2, 3]
    assert sorted(found) == [(0, 9.0), (1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_run_without_checkpoint_forgets_all(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text(line(0, 1.0) + line(1, 1.0) + '{"torn')
    forget_after(kept, 0)
    assert kept.read_text() == ""


def test_a_run_that_goes_silent_is_noticed() -> None:
    now = [0.0]
    alive = Liveness(10, clock=lambda: now[0])
    for at, signs in ((0, 0), (9, 1), (18, 0)):
        now[0] = at
        alive.saw(signs)
    now[0] = 20
    with pytest.raises(TrainerError, match="no step was made for 10 s"):
        alive.saw(0)


def test_two_processes_cannot_train_in_one_folder(tmp_path: Path) -> None:
    training = Training(parse_recipe(RECIPE, "test"), tmp_path / "run")
    training.prepare(resume=False)
    with (tmp_path / "run" / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is training"):
            training.run(resume=True)


def test_a_method_that_cannot_be_fed_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    recipe = parse_recipe({**RECIPE, "rl": {"steps": 1, "credit": {"method": "archer"}}}, "test")
    with pytest.raises(ConfigError, match="'archer' needs the field 'q1'"):
        Training(recipe, tmp_path / "run").run()
    assert not (tmp_path / "run" / "recipe.json").exists()
