"""From the tokens of each turn to the sequences a trainer learns from.

Text that the policy sampled is never tokenised again: what the server says it read and wrote is what is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from turnwise.trajectories.records import SOURCES, Span, TokenSequence

Rewritten = Literal["window", "summary", "per_turn", "purified"]
"""Why a context policy gave the model another prompt than the conversation so far."""

_POLICY, _ENV, _SELF = map(SOURCES.index, SOURCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTokens:
    """The tokens of one turn, as the server read and sampled them."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    logprobs: Sequence[float] | None = None
    """One per completion token, nats."""
    pieces: Callable[[], Sequence[bytes] | None] | None = None
    """Tells the bytes of each completion token, and so where in the text it lies; called only where that matters."""
    own: Sequence[tuple[int, int]] = ()
    """Half-open ranges of completion tokens that the policy wrote in the environment's place."""
    rewritten: Rewritten | None = None
    """Why the prompt does not continue the conversation; None: it is meant to."""
    tokenizer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSpans:
    """Where a turn lies in the sequences."""

    action: Span
    observation: Span | None
    """The tokens between this turn's action and the next one's; None where the sequence ends with the action."""


def build_sequences(
    turns: Sequence[TurnTokens | None],
) -> tuple[tuple[TokenSequence, ...], tuple[TurnSpans | None, ...]]:
    """Lay the turns of an episode out as token sequences.

    A turn whose prompt extends the last sequence token for token continues it; any other opens a new sequence and says
    why: the context policy's reason, else ``drift`` (the server tokenised the conversation otherwise than it sampled).
    Every sampled token lies in exactly one sequence and is trained there, but for those that the policy wrote in the
    environment's place; all else is masked.

    Args:
        turns: One per turn; None where the tokens are not known. A turn after an unknown one opens a sequence.

    Returns:
        The sequences, and per turn its spans, None where its tokens are not known.
    """
    drafts: list[_Draft] = []
    places: list[tuple[int, int, int] | None] = []
    for turn in turns:
        if turn is None:
            places.append(None)
            continue
        broken = bool(places) and places[-1] is None
        if not drafts or broken or not drafts[-1].continues(turn):
            drafts.append(_Draft(_opened_by(turn, first=not drafts), turn.tokenizer))
        start, end = drafts[-1].extend(turn)
        places.append((len(drafts) - 1, start, end))
    return tuple(draft.sequence() for draft in drafts), _spans(places)


def token_ranges(text: str, spans: Sequence[tuple[int, int]], pieces: Sequence[bytes]) -> tuple[tuple[int, int], ...]:
    """Return the ranges of tokens that lie, at least in part, in given ranges of characters.

    Args:
        text: The message.
        spans: Half-open character ranges of it, in order.
        pieces: The bytes of each sampled token; the message lies somewhere in their concatenation.

    Raises:
        ValueError: The tokens do not spell the message.
    """
    spelt, said = b"".join(pieces), text.encode("utf-8", "replace")
    begin = spelt.find(said)
    if begin < 0:
        raise ValueError("the sampled tokens do not spell the message")
    ends = np.cumsum([len(piece) for piece in pieces])
    bounds = [tuple(begin + len(text[:at].encode("utf-8", "replace")) for at in span) for span in spans]
    return tuple(
        (int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(ends, end, side="left")) + 1)
        for start, end in bounds
        if start < end
    )


def _opened_by(turn: TurnTokens, *, first: bool) -> Any:
    return "start" if first else (turn.rewritten or "drift")


class _Draft:
    """A sequence that is still growing."""

    def __init__(self, opened_by: Any, tokenizer: str | None) -> None:
        self.opened_by, self.tokenizer = opened_by, tokenizer
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.sampled: list[tuple[int, int]] = []
        self.own: list[tuple[int, int]] = []
        self.known = True

    def continues(self, turn: TurnTokens) -> bool:
        length = len(self.ids)
        return len(turn.prompt_ids) >= length and list(turn.prompt_ids[:length]) == self.ids

    def extend(self, turn: TurnTokens) -> tuple[int, int]:
        context = list(turn.prompt_ids[len(self.ids) :])
        completion = list(turn.completion_ids)
        self.ids += context
        start = len(self.ids)
        self.ids += completion
        self.logprobs += [0.0] * len(context) + list(turn.logprobs or [0.0] * len(completion))
        self.known = self.known and turn.logprobs is not None
        self.sampled.append((start, len(self.ids)))
        self.own += [(start + first, start + last) for first, last in turn.own]
        return self.sampled[-1]

    def sequence(self) -> TokenSequence:
        mask: npt.NDArray[np.bool_] = np.zeros(len(self.ids), dtype=bool)
        for start, end in self.sampled:
            mask[start:end] = True
        source: npt.NDArray[np.intp] = np.where(mask, _POLICY, _ENV)
        for start, end in self.own:
            mask[start:end], source[start:end] = False, _SELF
        return TokenSequence(
            opened_by=self.opened_by,
            token_ids=self.ids,
            logprobs=self.logprobs if self.known else None,
            source=source,
            loss_mask=mask,
            tokenizer=self.tokenizer,
        )


def _spans(places: Sequence[tuple[int, int, int] | None]) -> tuple[TurnSpans | None, ...]:
    return tuple(
        _turn_spans(place, places[index + 1] if index + 1 < len(places) else None) if place else None
        for index, place in enumerate(places)
    )


def _turn_spans(place: tuple[int, int, int], following: tuple[int, int, int] | None) -> TurnSpans:
    sequence, start, end = place
    observation = None
    if following is not None and following[0] == sequence:
        observation = Span(sequence=sequence, start=end, end=following[1])
    return TurnSpans(action=Span(sequence=sequence, start=start, end=end), observation=observation)
