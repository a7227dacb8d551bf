"""Training that is killed, breaks, hangs or runs out of disk: through verl, minutes each."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("verl", reason="needs the train extra")

from turnwise.errors import TrainerError, TurnwiseError
from turnwise.trainers.launch import Training, last_checkpoint
from turnwise.trainers.recipe import parse_recipe
from turnwise.trainers.tiny import TinyModel, build_tiny
from turnwise.trajectories import Store, Trajectory

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1800)]
HERE = Path(__file__).parent
RECIPE: dict[str, Any] = {
    "name": "t",
    "env": {"name": "trouble:Trouble", "attempts": 2, "call_seconds": 5},
    "agent": {"format": "native", "turn_tokens": 8},
    "context_tokens": 512,
    "prompt_tokens": 320,
    "rl": {
        "steps": 3,
        "tasks_per_step": 4,
        "group": 4,
        "lr": 0.001,
        "micro_batch": 8,
        "save_every": 1,
        "horizon": {"at": [0, 3], "turns": [1, 2]},
    },
}


@pytest.fixture(scope="module", autouse=True)
def _policy(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make an untrained policy: what it says is as good as any."""
    folder = tmp_path_factory.mktemp("policy") / "model"
    build_tiny(folder, ["say[yes] Say something, train 1."], TinyModel(vocab_size=300, hidden_size=64, layers=2))
    RECIPE["model"] = {"path": str(folder)}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("TROUBLE", "none")
    monkeypatch.setenv("TROUBLE_AFTER", "4")
    monkeypatch.setenv("TROUBLE_ROOT", str(tmp_path / "run"))
    return tmp_path / "run"


def train(root: Path, *, resume: bool = False, **changes: Any) -> Path:
    return Training(parse_recipe({**RECIPE, **changes}, "test"), root, print).run(resume=resume)


def episodes(root: Path, **where: Any) -> list[Trajectory]:
    with Store.open(root / "episodes.db") as store:
        found = list(store.episodes("t", attempts=True))
    return [episode for episode in found if all(getattr(episode, name) == value for name, value in where.items())]


def losses(root: Path) -> dict[int, dict[str, float]]:
    lines = [json.loads(line) for line in (root / "rl-metrics.jsonl").read_text().splitlines()]
    assert len({line["step"] for line in lines}) == len(lines)
    names = ("actor/pg_loss", "actor/grad_norm", "actor/entropy", "turnwise/outcome_mean", "actor/lr")
    return {line["step"]: {name: line["data"][name] for name in names} for line in lines if line["step"]}


def tokens(root: Path) -> dict[str, list[list[int]]]:
    return {episode.episode_id: [s.token_ids.tolist() for s in episode.sequences] for episode in episodes(root)}


KILLED = """
import json, sys
from pathlib import Path
from turnwise.trainers.launch import Training
from turnwise.trainers.recipe import Recipe
Training(Recipe.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2])).run()
"""


def test_two_steps_a_kill_and_a_resumption_equal_three_steps(run: Path, tmp_path: Path) -> None:
    changes = {"deterministic": True}
    train(run, **changes)
    document = tmp_path / "recipe.json"
    document.write_text(parse_recipe({**RECIPE, **changes}, "test").model_dump_json())
    killed = tmp_path / "killed"
    launcher = subprocess.Popen([sys.executable, "-c", KILLED, str(document), str(killed)])
    written = killed / "rl-metrics.part.jsonl"
    while last_checkpoint(killed / "checkpoints") < 2 or '{"step":2,' not in written.read_text(encoding="utf-8"):
        assert launcher.poll() is None
        time.sleep(0.2)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert last_checkpoint(killed / "checkpoints") == 2
    train(killed, resume=True, **changes)
    assert tokens(killed) == tokens(run)
    whole, resumed = losses(run), losses(killed)
    assert list(resumed) == list(whole) == [1, 2, 3]
    assert any(abs(step["actor/pg_loss"]) > 1e-3 for step in whole.values())
    for step, numbers in whole.items():
        assert resumed[step] == pytest.approx(numbers, abs=1e-4)
    with Store.open(killed / "episodes.db") as store:
        assert len({(row.step, row.name) for row in store.metrics("t")}) == len(store.metrics("t"))


def test_what_breaks_or_hangs_costs_its_episodes_and_no_more(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUBLE", "some")
    train(run, rl={**RECIPE["rl"], "steps": 1})
    attempts = episodes(run)
    messages = {episode.failure.message for episode in attempts if episode.failure}
    assert len(messages) == 2
    assert any("did not end within 5 s" in message for message in messages)
    assert sum(episode.scored for episode in attempts) == 8
    assert len(attempts) == 8 + 2 * 8
    told = json.loads((run / "rl-metrics.jsonl").read_text().splitlines()[-1])["data"]
    assert (told["turnwise/failed_episodes"], told["turnwise/credited_episodes"]) == (8, 8)


def test_a_world_that_is_broken_altogether_ends_the_run_and_says_why(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUBLE", "break")
    with pytest.raises(TrainerError, match="step 1: all 16 episodes failed: the hinge broke"):
        train(run)


def test_a_dead_rollout_server_ends_the_run_and_the_next_goes_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUBLE", "kill")
    monkeypatch.setenv("TROUBLE_AFTER", str(4 + 16 + 8))
    with pytest.raises(TrainerError, match=r"died|ModelUnavailable|rollout server"):
        train(run)
    assert last_checkpoint(run / "checkpoints") == 1
    assert sum(episode.scored for episode in episodes(run, step=1)) == 16
    monkeypatch.setenv("TROUBLE", "none")
    train(run, resume=True)
    assert last_checkpoint(run / "checkpoints") == 3
    assert {episode.step for episode in episodes(run) if episode.scored} == {1, 2, 3}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_ends_the_run_and_loses_nothing(
    run: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small_disk / "run"
    monkeypatch.setenv("TROUBLE_ROOT", str(root))
    monkeypatch.setenv("TROUBLE", "fill")
    monkeypatch.setenv("TROUBLE_AFTER", str(4 + 16 + 8))
    with pytest.raises((TurnwiseError, OSError), match=r"(?i)disk is full|no space left"):
        train(root)
    assert last_checkpoint(root / "checkpoints") == 1
    (root / "filler").unlink()
    assert sum(episode.scored for episode in episodes(root, step=1)) == 16
    monkeypatch.setenv("TROUBLE", "none")
    train(root, resume=True)
    assert last_checkpoint(root / "checkpoints") == 3
    assert [len(episodes(root, step=step, scored=True)) for step in (1, 2, 3)] == [16, 16, 16]
    assert np.isfinite([step["actor/grad_norm"] for step in losses(root).values()]).all()
