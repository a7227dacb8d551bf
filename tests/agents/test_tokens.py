import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from turnwise.agents import TurnTokens, build_sequences
from turnwise.trajectories import SOURCES

ids = st.lists(st.integers(0, 50), max_size=6)
POLICY = SOURCES.index("policy")


def test_a_prompt_that_extends_the_last_sequence_continues_it() -> None:
    first = TurnTokens(prompt_ids=[1, 2], completion_ids=[3, 4], logprobs=[-0.1, -0.2])
    second = TurnTokens(prompt_ids=[1, 2, 3, 4, 9], completion_ids=[5], logprobs=[-0.5])
    sequences, spans = build_sequences([first, second])
    assert len(sequences) == 1
    only = sequences[0]
    assert only.opened_by == "start"
    assert only.token_ids.tolist() == [1, 2, 3, 4, 9, 5]
    assert only.loss_mask.tolist() == [False, False, True, True, False, True]
    assert np.allclose(only.logprobs, [0, 0, -0.1, -0.2, 0, -0.5])
    assert spans[0] is not None
    assert (spans[0].action.start, spans[0].action.end) == (2, 4)
    assert spans[0].observation is not None
    assert (spans[0].observation.start, spans[0].observation.end) == (4, 5)
    assert spans[1] is not None
    assert spans[1].observation is None


def test_a_rewritten_prompt_opens_a_sequence_with_its_reason_and_drift_is_named() -> None:
    first = TurnTokens(prompt_ids=[1], completion_ids=[2])
    window = TurnTokens(prompt_ids=[7], completion_ids=[3], rewritten="window")
    drifted = TurnTokens(prompt_ids=[7, 4], completion_ids=[5])
    sequences, spans = build_sequences([first, window, drifted])
    assert [sequence.opened_by for sequence in sequences] == ["start", "window", "drift"]
    assert [span.action.sequence for span in spans if span] == [0, 1, 2]
    assert all(sequence.logprobs is None for sequence in sequences)


def test_a_policy_reason_does_not_break_a_prompt_that_still_extends() -> None:
    first = TurnTokens(prompt_ids=[1], completion_ids=[2])
    same = TurnTokens(prompt_ids=[1, 2, 3], completion_ids=[4], rewritten="window")
    sequences, _ = build_sequences([first, same])
    assert len(sequences) == 1


def test_a_turn_of_unknown_tokens_breaks_the_sequence() -> None:
    first = TurnTokens(prompt_ids=[1], completion_ids=[2])
    later = TurnTokens(prompt_ids=[1, 2, 8, 8, 3], completion_ids=[4])
    sequences, spans = build_sequences([first, None, later])
    assert spans[1] is None
    assert [sequence.opened_by for sequence in sequences] == ["start", "drift"]
    assert sum(int(sequence.loss_mask.sum()) for sequence in sequences) == 2


@given(st.lists(st.tuples(ids, ids, st.booleans()), max_size=6))
def test_every_sampled_token_is_trained_exactly_once(drawn: list[tuple[list[int], list[int], bool]]) -> None:
    turns, so_far = [], list[int]()
    for context, completion, extends in drawn:
        prompt = so_far + context if extends else context
        turns.append(TurnTokens(prompt_ids=prompt, completion_ids=completion, logprobs=[-1.0] * len(completion)))
        so_far = prompt + completion
    sequences, spans = build_sequences(turns)
    assert sum(int(s.loss_mask.sum()) for s in sequences) == sum(len(t.completion_ids) for t in turns)
    for turn, span in zip(turns, spans, strict=True):
        assert span is not None
        sequence = sequences[span.action.sequence]
        assert sequence.token_ids[span.action.start : span.action.end].tolist() == list(turn.completion_ids)
        assert sequence.token_ids[: span.action.start].tolist() == list(turn.prompt_ids)
    for sequence in sequences:
        assert ((sequence.source == POLICY) == sequence.loss_mask).all()
        assert np.allclose(sequence.logprobs[~sequence.loss_mask], 0.0)
