"""From stored records to a batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trajectories import Trajectory, Turn

_TURN_NUMBERS: dict[str, Callable[[Turn], float | None]] = {
    "value_first": lambda turn: turn.value_first,
    "value_last": lambda turn: turn.value_last,
    "gold_logprob": lambda turn: turn.gold_mean_logprob_before,
    "progress": lambda turn: turn.progress,
    "turn_entropy": lambda turn: turn.entropy,
    "duration": lambda turn: turn.timings.exec_s,
    "q1": lambda turn: None if turn.critic is None else turn.critic.q1,
    "q2": lambda turn: None if turn.critic is None else turn.critic.q2,
    "v1": lambda turn: None if turn.critic is None else turn.critic.v1,
    "v2": lambda turn: None if turn.critic is None else turn.critic.v2,
    "fork_value": lambda turn: probe_value(turn, "fork_value"),
    "info_gain": lambda turn: probe_value(turn, "info_gain"),
}
_KEYS = ("state_key", "next_state_key", "action_key", "history_key")
_TOKEN_ARRAYS = ("logprobs", "entropy", "values", "sum_pi_sq")


def probe_value(turn: Turn, name: str) -> float | None:
    """The number a probe wrote on a turn: ``probes[name]`` itself, or its ``value``."""
    stored = turn.probes.get(name)
    value = stored.get("value") if isinstance(stored, dict) else stored
    return float(value) if isinstance(value, int | float) else None


def from_trajectories(trajectories: Sequence[Trajectory], *, outcome: str = "reward") -> CreditBatch:
    """Build a batch from records.

    Args:
        trajectories: Scored episodes; a truncation's reward belongs to the last turn.
        outcome: ``reward``, the sum of the turns' rewards, or ``score``, the grader's.

    Raises:
        CreditError: An episode failed or has no such outcome, so it deserves no credit.
    """
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    uids = [trajectory.group_uid for trajectory in trajectories]
    known = list(dict.fromkeys(uids))
    number = {uid: i for i, uid in enumerate(known)}
    tokens = TokenReader(trajectories)
    fields = tokens.fields() | _turn_fields(turns) | _trajectory_fields(trajectories)
    return CreditBatch(
        group=np.array([number[uid] for uid in uids], dtype=np.int64),
        outcome=np.array([_outcome(trajectory, outcome) for trajectory in trajectories], dtype=np.float64),
        turn_offsets=segments.offsets_of([len(trajectory.turns) for trajectory in trajectories]),
        reward=np.array(_rewards(trajectories), dtype=np.float64),
        token_offsets=tokens.offsets,
        fields=fields,
        traj_uids=[trajectory.episode_id for trajectory in trajectories],
        group_uids=known,
    )


def _outcome(trajectory: Trajectory, which: str) -> float:
    value = trajectory.score if which == "score" else trajectory.reward
    if not trajectory.scored or value is None:
        raise CreditError(
            f"episode {trajectory.episode_id!r} has no {which} ({trajectory.stop_reason}): leave it out of the batch"
        )
    return value


def _rewards(trajectories: Sequence[Trajectory]) -> list[float]:
    out: list[float] = []
    for trajectory in trajectories:
        out.extend(turn.reward for turn in trajectory.turns)
        if trajectory.turns:
            out[-1] += trajectory.final_reward
    return out


def _turn_fields(turns: Sequence[Turn]) -> dict[str, Any]:
    fields: dict[str, Any] = {"valid_action": np.array([turn.status != "invalid" for turn in turns], dtype=np.bool_)}
    for name in _KEYS:
        keys = [getattr(turn, name) for turn in turns]
        if any(key is not None for key in keys):
            fields[name] = segments.codes(keys)
    for name, read in _TURN_NUMBERS.items():
        values = [read(turn) for turn in turns]
        if any(value is not None for value in values):
            fields[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return fields


def _trajectory_fields(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    cut = [bool(trajectory.turns) and trajectory.turns[-1].truncated for trajectory in trajectories]
    fields: dict[str, Any] = {"truncated": np.array(cut, dtype=np.bool_)}
    # a part that an episode never paid is 0; one that is None could not be judged, so its column is left out
    paid = sorted({name for trajectory in trajectories for name in trajectory.components})
    columns = {name: [trajectory.components.get(name, 0.0) for trajectory in trajectories] for name in paid}
    whole = {name: np.array(column, dtype=np.float64) for name, column in columns.items() if None not in column}
    if whole:
        fields["components"] = whole
    return fields | _probed(trajectories)


def _probed(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """What probes wrote on trajectories as a whole."""
    fields: dict[str, Any] = {}
    for name in ("coalitions", "permutations", "baseline_reward", "bootstrap_value"):
        column: list[Any] = [trajectory.extra.get(name) for trajectory in trajectories]
        if any(value is not None for value in column):
            numbers = name in ("baseline_reward", "bootstrap_value")
            fields[name] = (
                np.array([np.nan if v is None else v for v in column], dtype=np.float64) if numbers else column
            )
    return fields


class TokenReader:
    """Reads the action tokens of all turns; tokens outside the loss mask are not the policy's and are left out."""

    def __init__(self, trajectories: Sequence[Trajectory]) -> None:
        self.trajectories = trajectories
        self.where = [self._indices(trajectory) for trajectory in trajectories]
        self.known = all(index is not None for index in self.where) and bool(trajectories)

    @property
    def offsets(self) -> segments.Ints | None:
        """Shape (M + 1,); None where a turn has no span."""
        if not self.known:
            return None
        return segments.offsets_of([len(at) for index in self.where for _, at in index or ()])

    def fields(self) -> dict[str, Any]:
        """Token arrays that every sequence with action tokens carries, and observation lengths."""
        if not self.known:
            return {}
        out: dict[str, Any] = {}
        for name in _TOKEN_ARRAYS:
            parts = self._gather(name)
            if parts is not None:
                out[name] = np.concatenate(parts) if parts else np.zeros(0)
        shown = [_span_length(turn) for trajectory in self.trajectories for turn in trajectory.turns]
        if all(length is not None for length in shown):
            out["observation_tokens"] = np.array(shown, dtype=np.float64)
        return out | self._derived(out)

    def _derived(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {} if self.offsets is None else derived_fields(fields, self.offsets)

    @staticmethod
    def _indices(trajectory: Trajectory) -> list[tuple[int, segments.Ints]] | None:
        """Per turn its sequence and the positions of its trained action tokens; None where a span is missing."""
        out = []
        for turn in trajectory.turns:
            span = turn.action_span
            if unwritten(trajectory, turn):
                out.append((0, np.zeros(0, dtype=np.int64)))
                continue
            if span is None or not 0 <= span.sequence < len(trajectory.sequences):
                return None
            mask = np.asarray(trajectory.sequences[span.sequence].loss_mask, dtype=np.bool_)
            out.append((span.sequence, span.start + np.flatnonzero(mask[span.start : span.end])))
        return out

    def _gather(self, name: str) -> list[segments.Floats] | None:
        parts = []
        for trajectory, index in zip(self.trajectories, self.where, strict=True):
            for sequence, at in index or ():
                array = getattr(trajectory.sequences[sequence], name)
                if array is None:
                    return None
                parts.append(np.asarray(array, dtype=np.float64)[at])
        return parts


def unwritten(trajectory: Trajectory, turn: Turn) -> bool:
    """Tell a turn that a limit ended before the policy wrote anything from one whose tokens are not known."""
    empty = turn.action_span is None and not (turn.text or turn.calls)
    return empty and any(other.action_span is not None for other in trajectory.turns)


def _span_length(turn: Turn) -> int | None:
    span = turn.observation_span
    return 0 if span is None else span.end - span.start


def derived_fields(fields: dict[str, Any], offsets: segments.Ints) -> dict[str, Any]:
    """Turn fields that follow from token fields: mean entropy, first and last value; NaN for a turn without tokens."""
    out: dict[str, Any] = {}
    lengths = np.diff(offsets)
    if "entropy" in fields:
        sums = segments.total(fields["entropy"], segments.owners(offsets), lengths.size)
        out["turn_entropy"] = np.where(lengths > 0, segments.divide(sums, lengths), np.nan)
    if "values" in fields:
        out["value_first"] = _at(fields["values"], offsets[:-1], lengths)
        out["value_last"] = _at(fields["values"], offsets[1:] - 1, lengths)
    return out


def _at(values: segments.Floats, index: segments.Ints, lengths: segments.Ints) -> segments.Floats:
    out = np.full(lengths.size, np.nan)
    out[lengths > 0] = values[index[lengths > 0]]
    return out
