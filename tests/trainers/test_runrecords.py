"""A training's evaluations are runs that the other commands read."""

import random
from pathlib import Path

import pytest

from synthetic_runs import episode
from turnwise.tasks import load_panel
from turnwise.trainers.recipe import parse_recipe
from turnwise.trainers.runrecords import add_runs
from turnwise.trajectories import Store
from turnwise_cli import turnwise

RECIPE = {"name": "mine", "env": {"name": "sql"}, "model": {"path": "m"}, "rl": {"steps": 4}}


def test_each_evaluation_is_described_once_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, rng = parse_recipe(RECIPE, "test"), random.Random(0)
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "evaluation")}
    for path in files.values():
        path.write_text("".join(task.model_dump_json() + "\n" for task in list(load_panel("sql/chinook@1"))[:4]))
    with Store.open(tmp_path / "episodes.db", "a") as store:
        for run in ("mine", "mine-eval-0", "mine-eval-4", "mine-demonstrations"):
            store.append([episode(run, index, 0, rng) for index in range(8)])
        for _ in range(2):
            add_runs(store, recipe, **files)
        records = {record.run: record for record in store.runs()}
    assert set(records) == {"mine", "mine-eval-0", "mine-eval-4"}
    assert records["mine"].kind == "train"
    assert records["mine-eval-0"].differences(records["mine-eval-4"]) == []
    assert records["mine-eval-0"].panel == records["mine-eval-4"].panel
    ran = turnwise(capsys, "compare", "mine-eval-0", "mine-eval-4", "--store", tmp_path / "episodes.db")
    assert ran.code == 0, ran.err
    assert "success" in ran.out
