"""The agent loop as verl calls it, against a fake token server."""

from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("verl", reason="needs the train extra")

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import DictConfigWrap

from turnwise.trainers.fakeserver import FakeTokenServer
from turnwise.trainers.recipe import parse_recipe
from turnwise.trainers.rows import ToldRow
from turnwise.trainers.verl.agent_loop import TurnwiseAgentLoop
from word_env import TASK, word_tokenizer

pytestmark = pytest.mark.train
TOKENIZER: Any = word_tokenizer()


def run(tmp_path: Path, words: list[str], *, purpose: str = "train", store: Path | None = None) -> list[Any]:
    document = {
        "name": "word",
        "env": {"name": TASK.env, "attempts": 1},
        "model": {"path": "none"},
        "agent": {"turn_tokens": 40, "context": "window:1"},
        "rl": {"steps": 1, "horizon": {"turns": [4]}},
    }
    (tmp_path / "recipe.json").write_text(parse_recipe(document, "test").model_dump_json())
    config = OmegaConf.create({"actor_rollout_ref": {"rollout": {}}, "data": {}})
    server = FakeTokenServer(TOKENIZER, [f"say[{word}]" for word in words], version=4)

    async def main() -> list[Any]:
        loop = TurnwiseAgentLoop(
            DictConfigWrap(config),
            server,
            TOKENIZER,
            None,
            object,
            DictConfigWrap(config.data),
            recipe=str(tmp_path / "recipe.json"),
            store=str(store or tmp_path / "s.db"),
        )
        row = {"task": TASK.model_dump_json(), "purpose": purpose, "global_steps": 5, "session_id": 1}
        return await loop.run({"temperature": 1.0}, **row)

    return anyio.run(main)


def told(output: Any) -> ToldRow:
    return ToldRow.model_validate_json(output.extra_fields["turnwise"])


def test_an_episode_becomes_a_row_per_sequence(tmp_path: Path) -> None:
    outputs = run(tmp_path, ["no", "no", "yes"])
    assert [told(output).sequence for output in outputs] == list(range(len(outputs)))
    assert len(outputs) > 1
    for output in outputs:
        assert len(output.response_ids) == len(output.response_mask) == len(output.response_logprobs)
        assert output.response_mask[0] == 1
        assert set(output.response_logprobs) <= {0.0, -0.5}
        assert output.reward_score == 1.0
        assert output.extra_fields["max_global_steps"] == 4


def test_a_failed_episode_keeps_the_groups_size_and_trains_nothing(tmp_path: Path) -> None:
    (output,) = run(tmp_path, ["no", "break"])
    assert output.response_mask == [0]
    assert told(output).failure == "the wire broke"
    assert output.extra_fields["reward_extra_info"]["failed"] == 1.0


def test_a_record_that_cannot_be_kept_says_so_to_the_trainer(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (output,) = run(tmp_path, ["yes"], store=tmp_path / "full")
    assert (told(output).lost or "").startswith("StoreError: ")


def test_an_evaluation_reports_its_outcome_and_trains_nothing(tmp_path: Path) -> None:
    (output,) = run(tmp_path, ["yes"], purpose="eval")
    assert output.response_mask == [0]
    assert told(output).failure is None
    assert output.extra_fields["reward_extra_info"] == {"success": 1.0, "score": 1.0, "failed": 0.0, "lost": 0.0}
