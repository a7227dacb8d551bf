"""From records to a batch: spans, masks and the truncation's reward."""

import numpy as np
import pytest

from trajectory_samples import an_episode
from turnwise.errors import CreditError
from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.credit.recredit import on_sequences
from turnwise.trajectories import Span, TokenSequence, Trajectory, Turn


def an_agentic_episode(sample: int = 0, **changes: object) -> Trajectory:
    """Two turns in one sequence and a third in a second one; the policy wrote one observation itself."""
    ids = np.arange(12)
    source = [1, 1, 0, 0, 1, 1, 0, 2, 0, 1, 1, 1]
    mask = [0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0]
    first = TokenSequence(
        token_ids=ids, source=source, loss_mask=mask, logprobs=-ids / 10, values=ids / 2.0, entropy=ids / 4.0
    )
    second = TokenSequence(
        opened_by="window", token_ids=ids[:3], source=[1, 0, 0], loss_mask=[0, 1, 1], logprobs=[0, -1, -2],
        values=[0, 7, 8], entropy=[0, 0.5, 1.5],
    )  # fmt: skip
    turns = (
        Turn(index=0, reward=0.25, state_key="s", action_span=Span(sequence=0, start=2, end=4),
             observation_span=Span(sequence=0, start=4, end=6)),
        Turn(index=1, reward=0.5, state_key="t", action_span=Span(sequence=0, start=6, end=9),
             observation_span=Span(sequence=0, start=9, end=12)),
        Turn(index=2, reward=0.0, state_key="u", action_span=Span(sequence=1, start=1, end=3)),
    )  # fmt: skip
    given = {"turns": turns, "sequences": (first, second), "final_reward": 1.0, "reward": 1.75, "sample": sample}
    return an_episode(**given | changes)  # type: ignore[arg-type]


def test_tokens_are_those_the_policy_wrote_and_is_trained_on() -> None:
    batch = CreditBatch.from_trajectories([an_agentic_episode()])
    assert batch.action_tokens.tolist() == [2, 2, 2]
    np.testing.assert_allclose(batch.get("logprobs"), [-0.2, -0.3, -0.6, -0.8, -1, -2], rtol=1e-6)
    np.testing.assert_allclose(batch.get("values"), [1, 1.5, 3, 4, 7, 8])
    np.testing.assert_allclose(batch.get("value_first"), [1, 3, 7])
    np.testing.assert_allclose(batch.get("value_last"), [1.5, 4, 8])
    np.testing.assert_allclose(batch.get("turn_entropy"), [0.625, 1.75, 1])
    assert batch.get("observation_tokens").tolist() == [2, 3, 0]


def test_a_truncation_s_reward_belongs_to_the_last_turn() -> None:
    batch = CreditBatch.from_trajectories([an_agentic_episode()])
    assert batch.reward.tolist() == [0.25, 0.5, 1.0]
    assert batch.outcome.tolist() == [1.75]
    assert credit.get("turn_rloo").estimate(batch).advantages.tolist() == [1.75, 1.5, 1.0]
    by_score = CreditBatch.from_trajectories([an_agentic_episode()], outcome="score")
    assert by_score.outcome.tolist() == [1.0]


def test_credit_lies_on_action_tokens_and_nowhere_else() -> None:
    episode = an_agentic_episode()
    first, second = on_sequences(episode, [1.0, [2.0, 3.0], -1.0])
    assert first.tolist() == [0, 0, 1, 1, 0, 0, 2, 0, 3, 0, 0, 0]
    assert second.tolist() == [0, -1, -1]
    without = episode.model_copy(update={"turns": (Turn(index=0),)})
    with pytest.raises(CreditError, match="no action span"):
        on_sequences(without, [1.0])


def test_records_without_tokens_still_get_turn_credit() -> None:
    plain = [an_agentic_episode(sample=k, sequences=(), turns=(Turn(index=0, reward=float(k)),)) for k in range(2)]
    batch = CreditBatch.from_trajectories(plain)
    assert not batch.has("action_tokens")
    assert credit.get("turn_rloo").estimate(batch).advantages.tolist() == [-1.0, 1.0]
    with pytest.raises(CreditError, match="opo needs the field 'action_tokens'"):
        credit.get("opo").estimate(batch)


def test_a_turn_that_a_limit_ended_before_a_word_has_no_tokens_and_leaves_the_others_theirs() -> None:
    episode = an_agentic_episode()
    cut = episode.model_copy(update={"turns": (*episode.turns, Turn(index=3))})
    batch = CreditBatch.from_trajectories([cut, an_agentic_episode(sample=1)])
    assert batch.action_tokens.tolist() == [2, 2, 2, 0, 2, 2, 2]
    np.testing.assert_allclose(batch.get("turn_entropy"), [0.625, 1.75, 1, np.nan, 0.625, 1.75, 1])
    first, second = on_sequences(cut, [1.0, 2.0, -1.0, 5.0])
    assert (first.sum(), second.tolist()) == (6.0, [0, -1, -1])


def test_a_failed_episode_deserves_no_credit() -> None:
    with pytest.raises(CreditError, match="leave it out"):
        CreditBatch.from_trajectories([an_episode(failed=True)])


def test_components_common_to_all_are_kept() -> None:
    batch = CreditBatch.from_trajectories([an_agentic_episode(), an_agentic_episode(sample=1)])
    assert list(batch.get("components")) == ["outcome"]  # `judge` failed, so it is None
    assert batch.get("valid_action").all()
