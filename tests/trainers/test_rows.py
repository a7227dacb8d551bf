"""Rows of a training batch: from episodes and back, token by token, and what a step is measured by."""

from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

from turnwise.trainers.credit import CreditBatch, get
from turnwise.trainers.episodes import Ask, EpisodeMaker
from turnwise.trainers.fakeserver import FakeTokenServer
from turnwise.trainers.metrics import credit_metrics, episode_metrics, panel_metrics, time_shares
from turnwise.trainers.recipe import parse_recipe
from turnwise.trainers.rows import ToldRow, by_sequence, episodes_of, measured, response_of, told_rows
from turnwise.trainers.spread import spread, spread_targets
from turnwise.trajectories import Store, Trajectory
from word_env import TASK, word_tokenizer

pytestmark = pytest.mark.train
TOKENIZER: Any = word_tokenizer()

WORDS = [["no", "yes"], ["no", "no", "no"], ["no", "break"], ["yes"]]


@pytest.fixture(params=["full", "window:1"])
def episodes(tmp_path: Path, request: pytest.FixtureRequest) -> list[Trajectory]:
    document = {
        "name": "word",
        "env": {"name": TASK.env, "attempts": 1},
        "model": {"path": "none"},
        "agent": {"turn_tokens": 40, "context": request.param},
        "rl": {"steps": 1, "horizon": {"turns": [3]}},
    }
    chosen = parse_recipe(document, "test")

    async def one(sample: int, words: list[str]) -> Trajectory:
        server = FakeTokenServer(TOKENIZER, [f"say[{word}]" for word in words])
        ask = Ask(task=TASK, step=1, sample=sample)
        return await EpisodeMaker(chosen, tmp_path / "s.db", TOKENIZER, server).episode(ask, {"temperature": 1.0})

    return [anyio.run(one, sample, words) for sample, words in enumerate(WORDS)]


def rows_of(episodes: list[Trajectory]) -> list[ToldRow]:
    made = [told_rows(episode) or [ToldRow(episode_id=episode.episode_id, failure="f")] for episode in episodes]
    return [ToldRow.model_validate_json(row.model_dump_json()) for rows in made for row in rows]


def test_every_sampled_token_of_a_scored_episode_is_trained_in_exactly_one_row(episodes: list[Trajectory]) -> None:
    rows = rows_of(episodes)
    for episode in episodes:
        mine = [row for row in rows if row.episode_id == episode.episode_id and row.failure is None]
        trained = sum(int(episode.sequences[row.sequence].loss_mask[row.prompt :].sum()) for row in mine)
        assert trained == (episode.usage.completion_tokens if episode.scored else 0)
    assert sum(row.record is not None for row in rows) == 3


@pytest.mark.parametrize("method", ["turn_rloo", "grpo", "gigpo", "reinforce_plus_plus"])
def test_a_rows_advantages_are_the_estimators_on_the_episode(episodes: list[Trajectory], method: str) -> None:
    rows = rows_of(episodes)
    back = episodes_of(rows, {})
    assert [episode.episode_id for episode in back] == [e.episode_id for e in episodes if e.scored]
    batch = CreditBatch.from_trajectories(back)
    credit = get(method).estimate(batch)
    laid = by_sequence(back, spread(back, batch, credit))
    turn = 0
    for episode in episodes:
        for step in episode.turns if episode.scored else ():
            span = step.action_span
            assert span is not None
            row = next(r for r in rows if (r.episode_id, r.sequence) == (episode.episode_id, span.sequence))
            response = response_of(row, laid, len(episode.sequences[span.sequence]) - row.prompt)
            mine = response[span.start - row.prompt : span.end - row.prompt]
            expected = credit.on_tokens(batch)[batch.turn_of_token == turn]
            np.testing.assert_array_equal(mine, expected)
            turn += 1
    assert turn == batch.turns
    failed = next(row for row in rows if row.failure)
    assert response_of(failed, laid, 1).tolist() == [0.0]
    assert response_of(None, laid, 3).tolist() == [0.0] * 3


def test_what_the_trainer_computed_lands_on_trained_tokens_only(episodes: list[Trajectory]) -> None:
    rows = rows_of(episodes)
    lengths = [_response(episodes, row) for row in rows]
    computed = {"entropy": [np.full(n, index + 1.0) for index, n in enumerate(lengths)]}
    for episode in episodes_of(rows, computed):
        for row, value in ((row, i + 1.0) for i, row in enumerate(rows) if row.episode_id == episode.episode_id):
            sequence = episode.sequences[row.sequence]
            assert set(sequence.entropy[sequence.loss_mask]) == {value}
            assert not sequence.entropy[~sequence.loss_mask].any()


def test_what_the_trainer_computed_can_be_credited_again_from_the_store(
    episodes: list[Trajectory], tmp_path: Path
) -> None:
    rows = rows_of(episodes)
    rng = np.random.default_rng(0)
    computed = {
        name: [rng.random(_response(episodes, row)).astype(np.float32) for row in rows]
        for name in ("entropy", "values")
    }
    back = episodes_of(rows, computed)
    for episode in back:
        for turn in episode.turns:
            turn.gold_mean_logprob_before = -0.25 * (turn.index + 1)
    with Store.open(tmp_path / "s.db", "a") as store:
        store.append(map(measured, back))
        again = [store.episode(episode.episode_id) for episode in back]
    for method in ("empg", "igpo", "turn_gae", "gae"):
        theirs, ours = (get(method).estimate(batch := CreditBatch.from_trajectories(each)) for each in (again, back))
        np.testing.assert_array_equal(theirs.on_tokens(batch), ours.on_tokens(batch))


def _response(episodes: list[Trajectory], row: ToldRow) -> int:
    episode = next(episode for episode in episodes if episode.episode_id == row.episode_id)
    return 1 if row.failure else len(episode.sequences[row.sequence]) - row.prompt


def test_a_critics_targets_stand_on_anchor_tokens_and_their_weights_average_to_one(episodes: list[Trajectory]) -> None:
    back = episodes_of(rows_of(episodes), {})
    for episode in back:
        for sequence in episode.sequences:
            sequence.values = np.where(sequence.loss_mask, 0.5, 0.0)
    batch = CreditBatch.from_trajectories(back)
    targets, weights = spread_targets(back, batch, get("turn_gae").estimate(batch, {"whiten": False}))
    for episode, mine, weigh in zip(back, targets, weights, strict=True):
        for turn in episode.turns:
            span = turn.action_span
            assert span is not None
            assert weigh[span.sequence][span.start] > 0
            assert not weigh[span.sequence][span.start + 1 : span.end].any()
            assert mine[span.sequence][span.start] == episode.reward
    total = sum(array.sum() for each in weights for array in each)
    assert total == pytest.approx(batch.tokens)


def test_a_step_is_measured_without_its_failures(episodes: list[Trajectory]) -> None:
    scored = [episode for episode in episodes if episode.scored]
    found = episode_metrics(scored)
    assert found["turnwise/success"] == pytest.approx(2 / 3)
    assert found["turnwise/truncated_share"] == pytest.approx(1 / 3)
    assert found["turnwise/invalid_share"] == 0
    batch = CreditBatch.from_trajectories(scored)
    said = credit_metrics(get("turn_rloo").estimate(batch), batch)
    assert said["turnwise/advantage_std_per_turn"] > 0
    panel = panel_metrics([1.0, 0.0, 1.0], [True, False, True], ["a", "b", "c"], 1)
    assert panel["val/success"] == pytest.approx(2 / 3)
    assert panel["val/success_low"] < 2 / 3 < panel["val/success_high"]
    assert panel["val/failed_episodes"] == 1
    shares = time_shares({"step": 10.0, "gen": 6.0, "update_actor": 3.0}, {
        "turnwise/environment_seconds": 1.0, "turnwise/generation_seconds": 2.0,
    })  # fmt: skip
    assert shares["turnwise/time_environment"] == pytest.approx(0.2)
    assert sum(shares.values()) == pytest.approx(1.0)
