"""What a policy wrote in the engine's place is recorded as its own and masked, whatever the tokens' borders."""

import re
from collections.abc import Sequence

import anyio
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from turnwise.agents import TurnTokens, build_sequences
from turnwise.agents.base import Agent, AgentFactory, Conversation, Generation, Stage
from turnwise.agents.rollout import rollout
from turnwise.agents.tokens import token_ranges
from turnwise.envs import Action, ToolSpec, make
from turnwise.tasks.panels import load_panel
from turnwise.trajectories.records import SOURCES

TASK = load_panel("search/world", "dev").tasks[0]
SELF = SOURCES.index("self")
TEXT = "<think>é</think><search>a</search><information>b\nü 北京</information><think>c</think><answer>x</answer>"


class Own(AgentFactory):
    """Writes one message, told in given pieces."""

    name = "own"

    def __init__(self, pieces: Sequence[bytes] | None) -> None:
        super().__init__()
        self.pieces = pieces

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        return OwnAgent(self.pieces)


class OwnAgent(Agent):
    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        return None

    def __init__(self, pieces: Sequence[bytes] | None) -> None:
        self.pieces = pieces

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        count = len(self.pieces or [b""] * 9)
        tokens = TurnTokens(prompt_ids=[1, 2], completion_ids=list(range(10, 10 + count)), pieces=lambda: self.pieces)
        return Generation(action=Action(text=TEXT), tokens=tokens)


def pieces_of(text: str) -> list[bytes]:
    return [piece.encode() for piece in re.findall(r"\w+|\W", text)] + [b"<|im_end|>"]


def test_the_record_masks_the_information() -> None:
    async def main() -> None:
        pieces = pieces_of(TEXT)
        env = make("search", interface="tags", engine="self")
        trajectory = await rollout(env, Own(pieces), TASK, seed=0)
        assert trajectory.failure is None
        assert trajectory.turns[0].observation_source == "self"
        assert trajectory.gold_answers == tuple(TASK.gold["answers"])  # type: ignore[arg-type]
        (sequence,) = trajectory.sequences
        own = b"".join(piece for piece, source in zip(pieces, sequence.source[2:], strict=True) if source == SELF)
        assert own.decode() == "<information>b\nü 北京</information>"
        assert not sequence.loss_mask[sequence.source == SELF].any()
        assert sequence.loss_mask.sum() == len(pieces) - (sequence.source == SELF).sum()
        real = await rollout(make("search", interface="tags"), Own(pieces), TASK, seed=0)
        assert SELF not in real.sequences[0].source
        assert real.turns[0].observation_source == "retrieval"

    anyio.run(main)


def test_tokens_without_text_fail_rather_than_train_on_it() -> None:
    async def main() -> None:
        env = make("search", interface="tags", engine="self")
        for pieces in (None, [b"other"] * 9):
            trajectory = await rollout(env, Own(pieces), TASK, seed=0)
            assert trajectory.failure is not None
            assert trajectory.failure.kind == "agent"

    anyio.run(main)


@given(st.text(min_size=1, max_size=40), st.data())
def test_ranges_cover_exactly_the_tokens_that_touch_the_span(text: str, data: st.DataObject) -> None:
    text = text.encode("utf-8", "replace").decode()
    whole = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    ((first, last),) = token_ranges(text, [(start, end)], pieces)
    low, high = len(text[:start].encode()), len(text[:end].encode())
    offsets = np.cumsum([0, *map(len, pieces)])
    touched = [n for n in range(len(pieces)) if offsets[n] < high and offsets[n + 1] > low]
    assert list(range(first, last)) == touched


def test_sequences_without_own_tokens_are_as_before() -> None:
    (sequence,), _ = build_sequences([TurnTokens(prompt_ids=[1], completion_ids=[2, 3])])
    assert sequence.source.tolist() == [1, 0, 0]
    assert sequence.loss_mask.tolist() == [False, True, True]
