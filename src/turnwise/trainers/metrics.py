"""What a training step is measured by, beside verl's own numbers: ``turnwise/``, and ``val/`` for the panel."""

from collections.abc import Mapping, Sequence

import numpy as np

from turnwise.envs import Status, StopReason
from turnwise.evals.intervals import proportion
from turnwise.trainers.credit import Credit, CreditBatch
from turnwise.trajectories import Trajectory

_PARTS = {"update": ("update_actor", "update_critic"), "rollout": ("gen",)}


def credit_metrics(credit: Credit, batch: CreditBatch) -> dict[str, float]:
    """Summarise what the estimator said: how far turns differ, and how many push at all.

    ``advantage_spread_per_episode`` is the mean over episodes of the largest minus the smallest advantage of a turn;
    ``advantage_std_per_turn`` the mean over turn indices of the deviation between the episodes that reached them.
    """
    advantages = credit.advantages
    bounds = zip(batch.turn_offsets[:-1], batch.turn_offsets[1:], strict=True)
    within = [float(np.ptp(advantages[start:end])) for start, end in bounds if end > start]
    index = np.asarray(batch.turn_index)
    at_turn = [advantages[index == turn] for turn in np.unique(index)]
    return {
        "turnwise/advantage_std": float(np.std(advantages)) if advantages.size else 0.0,
        "turnwise/advantage_spread_per_episode": float(np.mean(within)) if within else 0.0,
        "turnwise/advantage_std_per_turn": float(np.mean([np.std(each) for each in at_turn])) if at_turn else 0.0,
        "turnwise/zero_advantage_share": float(np.mean(advantages == 0)) if advantages.size else 0.0,
        "turnwise/dropped_turns_share": float(np.mean(credit.weights == 0)) if advantages.size else 0.0,
        "turnwise/outcome_mean": float(np.mean(batch.outcome)) if len(batch) else 0.0,
    }


def episode_metrics(episodes: Sequence[Trajectory]) -> dict[str, float]:
    """Summarise scored episodes: success, invalid calls, how they ended, tokens, and where their seconds went."""
    turns = [turn for episode in episodes for turn in episode.turns]
    invalid = [turn.status == Status.INVALID for turn in turns]
    opened = [sequence.opened_by for episode in episodes for sequence in episode.sequences]
    acting = sum(turn.timings.exec_s or 0.0 for turn in turns)
    writing = sum(turn.timings.generation_s or 0.0 for turn in turns)
    return {
        "turnwise/success": float(np.mean([bool(episode.success) for episode in episodes])),
        "turnwise/score": float(np.mean([episode.score or 0.0 for episode in episodes])),
        "turnwise/turns": len(turns) / len(episodes),
        "turnwise/invalid_share": float(np.mean(invalid)) if invalid else 0.0,
        "turnwise/truncated_share": float(np.mean([_cut(episode) for episode in episodes])),
        "turnwise/sampled_tokens": float(sum(episode.usage.completion_tokens for episode in episodes)),
        "turnwise/sequences": len(opened) / len(episodes),
        "turnwise/drift_share": float(np.mean([name == "drift" for name in opened])) if opened else 0.0,
        "turnwise/environment_seconds": acting,
        "turnwise/generation_seconds": writing,
    }


def panel_metrics(
    scores: Sequence[float], successes: Sequence[bool], tasks: Sequence[str], failed: int
) -> dict[str, float]:
    """Summarise an evaluation on the panel; what failed is counted apart and in no mean.

    Args:
        scores: Of the scored episodes.
        successes: The same episodes'.
        tasks: A name of each one's task, by which the interval is clustered.
        failed: How many further episodes failed.
    """
    rate = proportion(successes, tasks)
    found = {"val/success": rate.mean, "val/success_low": rate.low, "val/success_high": rate.high}
    known = {name: value for name, value in found.items() if value is not None}
    return known | {"val/score": float(np.mean(scores)) if scores else 0.0, "val/failed_episodes": float(failed)}


def _cut(episode: Trajectory) -> bool:
    return StopReason(episode.stop_reason).truncates


def time_shares(timing: Mapping[str, float], metrics: Mapping[str, float]) -> dict[str, float]:
    """Split a step's wall time into shares that add up to 1.

    Episodes run at the same time, so the collection's wall time is split as the episodes' own seconds are.

    Args:
        timing: verl's seconds by section; ``step`` is the whole.
        metrics: With ``environment_seconds`` and ``generation_seconds`` of the step's episodes.
    """
    whole = timing.get("step", 0.0)
    if whole <= 0:
        return {}
    seconds = {part: sum(timing.get(name, 0.0) for name in names) for part, names in _PARTS.items()}
    acting = metrics.get("turnwise/environment_seconds", 0.0)
    writing = metrics.get("turnwise/generation_seconds", 0.0)
    share = acting / (acting + writing) if acting + writing > 0 else 0.0
    return {
        "turnwise/time_environment": seconds["rollout"] * share / whole,
        "turnwise/time_generation": seconds["rollout"] * (1 - share) / whole,
        "turnwise/time_update": seconds["update"] / whole,
        "turnwise/time_other": max(0.0, 1 - (seconds["rollout"] + seconds["update"]) / whole),
    }
