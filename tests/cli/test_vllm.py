"""A real vLLM behind ``turnwise eval --serve``: tokens are kept, calls parse, and a trained checkpoint answers."""

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import numpy as np
import pytest

from turnwise.models.serve import PYTHON_VARIABLE
from turnwise.trajectories import Store, Trajectory
from turnwise_cli import Ran, turnwise

pytest.importorskip("transformers", reason="needs the train extra")

TRAINERS = Path(__file__).parents[1] / "trainers"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.train,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not os.environ.get(PYTHON_VARIABLE), reason=f"needs vLLM: name its Python by {PYTHON_VARIABLE}"),
]
FLAGS = ("dtype=float32", "max-num-seqs=16", "enforce-eager=true", "max-model-len=2048")
TINY = {"vocab_size": 600, "hidden_size": 64, "layers": 2, "heads": 2, "kv_heads": 1}
"""vLLM's attention on a CPU wants heads of 32 numbers at least."""
RECIPE = {
    "name": "door",
    "env": {"name": "door:Door"},
    "model": {"tiny": TINY},
    "agent": {"format": "native", "turn_tokens": 48},
    "context_tokens": 768,
    "prompt_tokens": 512,
    "sft": {"epochs": 200, "batch": 7, "micro_batch": 7, "lr": 0.004},
    "rl": {"steps": 1, "tasks_per_step": 4, "group": 4, "micro_batch": 8, "horizon": {"turns": [4]}},
}
Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    settings = [word for flag in FLAGS for word in ("--serve-set", flag)]
    return lambda *arguments: turnwise(capsys, "eval", *arguments, *settings, "--run", "served", "--json")


def episodes(folder: Path) -> list[Trajectory]:
    with Store.open(folder / "runs.sqlite") as store:
        return list(store.episodes("served"))


def check_tokens(found: list[Trajectory]) -> None:
    """Every sampled token is there with its log-prob, and is what the server counted."""
    for episode in found:
        assert episode.failure is None, episode.failure
        for sequence in episode.sequences:
            assert sequence.logprobs is not None
            assert np.isfinite(sequence.logprobs[sequence.loss_mask]).all()
            assert (sequence.logprobs[sequence.loss_mask] <= 0).all()
        sampled = sum(int(sequence.loss_mask.sum()) for sequence in episode.sequences)
        assert sampled == episode.usage.completion_tokens > 0


def test_a_tiny_model_keeps_its_tokens_and_its_calls_parse(run: Run, tmp_path: Path) -> None:
    from turnwise.trainers.demonstrate import play, rendered_texts
    from turnwise.trainers.launch import panels
    from turnwise.trainers.recipe import parse_recipe
    from turnwise.trainers.tiny import TinyModel, build_tiny

    made = {"name": "tiny", "env": {"name": "sql", "tasks": 8}, "model": {"tiny": TINY}, "sft": {}}
    recipe = parse_recipe({**made, "agent": {"format": "native"}}, "test")
    shown = rendered_texts(recipe.agent, anyio.run(play, recipe, list(panels(recipe.env)[0])))
    build_tiny(tmp_path / "model", shown, TinyModel.model_validate(TINY))
    # A random model calls nothing by itself: the server holds it to calls, though not to arguments that make sense.
    forced = ("--agent-set", 'extra={"tool_choice": "required"}', "--agent-set", "max_tokens=400")
    ran = run("sql", "--agent", "chat", "--serve", "model", "--n", 4, "--limit", "turns=2", *forced)
    assert ran.code == 0, ran.err
    found = episodes(tmp_path)
    check_tokens(found)
    calls = [call for episode in found for turn in episode.turns for call in turn.calls]
    assert calls
    assert {call.name for call in calls} <= {tool.name for tool in found[0].tools}


def test_a_trained_checkpoint_loads_and_answers(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("verl", reason="needs the train extra")
    from turnwise.trainers.launch import Training
    from turnwise.trainers.recipe import parse_recipe

    monkeypatch.setenv("PYTHONPATH", f"{TRAINERS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(TRAINERS))
    folder = Training(parse_recipe(RECIPE, "test"), tmp_path / "run").run()
    ran = run("door:Door", "--serve", folder, "--model", "door", "--limit", "turns=4")
    assert ran.code == 0, ran.err
    found = episodes(tmp_path)
    whole = [episode for episode in found if episode.failure is None]
    check_tokens(whole)
    assert len(whole) >= 7, "one door of eight is broken"
    turns = [turn for episode in whole for turn in episode.turns]
    assert np.mean([turn.status == "ok" for turn in turns]) > 0.5
    assert all(isinstance(call.arguments, dict) for turn in turns if turn.status == "ok" for call in turn.calls)
