"""Credit stored episodes again, under any method, parameters and reward weights, without a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import describe
from turnwise.trainers.credit.base import Credit
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.pipeline import Pipeline
from turnwise.trainers.credit.records import from_trajectories, unwritten
from turnwise.trajectories import Trajectory


@dataclass(frozen=True, kw_only=True)
class Recredited:
    """Credit of the episodes that have what every pipeline asks for."""

    trajectories: tuple[Trajectory, ...]
    batch: CreditBatch
    credits: tuple[Credit, ...]
    """One per pipeline."""
    lacking: tuple[tuple[str, str], ...]
    """Episode id and reason of each that was left out."""


def recredit(trajectories: Sequence[Trajectory], pipelines: Sequence[Pipeline]) -> Recredited:
    """Credit episodes under one pipeline or several; groups hold only the episodes all pipelines can credit.

    Raises:
        CreditError: No episode can be credited.
    """
    kept, lacking = [], []
    for trajectory in trajectories:
        why = _why_not(trajectory, pipelines)
        if why is None:
            kept.append(trajectory)
        else:
            lacking.append((trajectory.episode_id, why))
    if not kept:
        reason = lacking[0][1] if lacking else "there are none"
        raise CreditError(f"none of {len(lacking)} episodes can be credited: {reason}")
    batch = from_trajectories(kept)
    return Recredited(
        trajectories=tuple(kept),
        batch=batch,
        credits=tuple(pipeline.run(batch) for pipeline in pipelines),
        lacking=tuple(lacking),
    )


def _why_not(trajectory: Trajectory, pipelines: Sequence[Pipeline]) -> str | None:
    if not trajectory.scored:
        return f"not scored ({trajectory.stop_reason})"
    if not trajectory.turns:
        return "no turns"
    try:
        alone = from_trajectories([trajectory])
        for pipeline in pipelines:
            pipeline.require(alone)
    except CreditError as error:
        return str(error)
    return None


def compare(batch: CreditBatch, first: Credit, second: Credit) -> dict[str, Any]:
    """How two results differ: correlation, turns whose sign differs, and the difference of each turn."""
    a, b = first.advantages, second.advantages
    flips = np.sign(a) * np.sign(b) < 0
    spread = float(a.std() * b.std()) if a.size else 0.0
    correlation = float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else None
    turns = [
        {"trajectory": batch.uid(int(i)), "turn": int(t), "first": x, "second": y, "difference": x - y}
        for i, t, x, y in zip(batch.traj_of_turn, batch.turn_index, a.tolist(), b.tolist(), strict=True)
    ]
    return {
        "turns": turns,
        "correlation": correlation,
        "sign_differs": float(flips.mean()) if a.size else 0.0,
        "largest_difference": float(np.abs(a - b).max(initial=0.0)),
    }


def summary(batch: CreditBatch, credit: Credit) -> dict[str, Any]:
    """A method's result in a few numbers."""
    a = credit.advantages
    varied = np.zeros(len(batch), dtype=np.bool_)
    if a.size:
        first = a[batch.turn_offsets[:-1][batch.turn_counts > 0]]
        owner = np.cumsum(batch.turn_counts > 0)[batch.traj_of_turn] - 1
        changed = np.bincount(owner, weights=(a != first[owner]), minlength=first.size) > 0
        varied[batch.turn_counts > 0] = changed
    return {
        "trajectories": len(batch),
        "groups": batch.groups,
        "turns": batch.turns,
        "mean": float(a.mean()) if a.size else 0.0,
        "std": float(a.std()) if a.size else 0.0,
        "positive": float((a > 0).mean()) if a.size else 0.0,
        "zero": float((a == 0).mean()) if a.size else 0.0,
        "trajectories_with_varied_turns": float(varied.mean()) if len(batch) else 0.0,
    }


def per_episode(batch: CreditBatch, credit: Credit) -> list[dict[str, Any]]:
    """Result of each trajectory of the batch, as the store keeps it: advantages, returns and weights per turn."""
    bounds = list(zip(batch.turn_offsets[:-1].tolist(), batch.turn_offsets[1:].tolist(), strict=True))
    diagnostics = {
        key: value for key, value in describe.plain(credit.diagnostics).items() if not isinstance(value, list)
    }
    return [
        {
            "advantages": credit.advantages[a:b].tolist(),
            "returns": credit.returns[a:b].tolist(),
            "weights": credit.weights[a:b].tolist(),
            "diagnostics": diagnostics,
        }
        for a, b in bounds
    ]


def on_sequences(trajectory: Trajectory, turns: Sequence[Any]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Lay credit out over a trajectory's token sequences; every token that is no trained action token gets exactly 0.

    Args:
        trajectory: With an action span on every turn that the policy wrote.
        turns: Per turn one number, or one per trained action token.

    Returns:
        One array per sequence, of its length.

    Raises:
        CreditError: A turn has no action span.
    """
    out = [np.zeros(len(sequence)) for sequence in trajectory.sequences]
    for turn, values in zip(trajectory.turns, turns, strict=True):
        span = turn.action_span
        if unwritten(trajectory, turn):
            continue
        if span is None:
            raise CreditError(f"turn {turn.index} of episode {trajectory.episode_id!r} has no action span")
        mask = np.asarray(trajectory.sequences[span.sequence].loss_mask[span.start : span.end], dtype=np.bool_)
        out[span.sequence][span.start + np.flatnonzero(mask)] = values
    return out
