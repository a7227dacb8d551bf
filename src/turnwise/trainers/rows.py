"""Between episodes and the rows of a training batch: a row is one token sequence of an episode.

The agent loop tells each row what it is; the trainer puts the episodes together again, with what it computed since.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from turnwise.trajectories import Measured, TokenSequence, Trajectory

Floats = npt.NDArray[np.float64]


class ToldRow(BaseModel):
    """What a row says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    episode_id: str = ""
    sequence: int = 0
    """Index of its token sequence in the episode."""
    prompt: int = 1
    """Tokens before its response."""
    record: dict[str, Any] | None = None
    """The episode, on the row of its first sequence."""
    failure: str | None = None
    """Why the episode has no trained row."""
    lost: str | None = None
    """Why its record could not be kept: the run must end."""


def told_rows(record: Trajectory) -> list[ToldRow]:
    """Return the rows that train on an episode: one per sequence with trained tokens; none for a failed episode."""
    if not record.scored:
        return []
    trained = [index for index, sequence in enumerate(record.sequences) if sequence.loss_mask.any()]
    return [
        ToldRow(
            episode_id=record.episode_id,
            sequence=index,
            prompt=int(record.sequences[index].loss_mask.argmax()),
            record=record.model_dump(mode="json") if place == 0 else None,
        )
        for place, index in enumerate(trained)
    ]


def episodes_of(rows: Sequence[ToldRow], computed: Mapping[str, Sequence[Any]]) -> list[Trajectory]:
    """Put the episodes together again.

    Args:
        rows: A batch's rows, without those that only fill it up.
        computed: By the name of a sequence's field, one array per row over its response tokens: the log-probs,
            entropies and values that the trainer has just computed.

    Returns:
        The scored episodes, in the order of their first rows.
    """
    found = {row.episode_id: Trajectory.model_validate(row.record) for row in rows if row.record}
    for index, row in enumerate(rows):
        if row.episode_id not in found:
            continue
        sequence = found[row.episode_id].sequences[row.sequence]
        for name, arrays in computed.items():
            _fill(sequence, name, row.prompt, np.asarray(arrays[index], dtype=np.float32))
    return list(found.values())


def _fill(sequence: TokenSequence, name: str, prompt: int, values: npt.NDArray[np.float32]) -> None:
    whole = np.zeros(len(sequence), dtype=np.float32)
    whole[prompt:] = values[: len(sequence) - prompt]
    whole[~sequence.loss_mask] = 0.0
    setattr(sequence, name, whole)


def measured(episode: Trajectory) -> Measured:
    """Return what the trainer computed of an episode, as the store takes it beside the record it has."""
    names = ("entropy", "values")
    arrays = [{name: getattr(sequence, name) for name in names} for sequence in episode.sequences]
    told = [{name: array.tolist() for name, array in each.items() if array is not None} for each in arrays]
    gold = {turn.index: turn.gold_mean_logprob_before for turn in episode.turns}
    return Measured(
        episode_id=episode.episode_id,
        attempt=episode.attempt,
        sequences={index: each for index, each in enumerate(told) if each},
        turns={index: {"gold_mean_logprob_before": value} for index, value in gold.items() if value is not None},
    )


def by_sequence(episodes: Sequence[Trajectory], laid: Sequence[Sequence[Floats]]) -> dict[tuple[str, int], Floats]:
    """Index arrays over sequences, shape (L,), by episode and sequence."""
    return {
        (episode.episode_id, index): array
        for episode, arrays in zip(episodes, laid, strict=True)
        for index, array in enumerate(arrays)
    }


def response_of(row: ToldRow | None, laid: Mapping[tuple[str, int], Floats], length: int) -> Floats:
    """Return a row's part of what was laid over the sequences, shape (length,); zeros where there is none."""
    if row is None or (row.episode_id, row.sequence) not in laid:
        return np.zeros(length)
    return laid[row.episode_id, row.sequence][row.prompt :]
