"""Random batches with every field, for tests, benchmarks and trying a method out."""

from typing import Any

import numpy as np

from turnwise.trainers.credit import segments
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.records import derived_fields


def random_batch(
    seed: int,
    *,
    groups: int = 4,
    group_size: int = 4,
    turns: tuple[int, int] = (1, 6),
    action_tokens: tuple[int, int] = (1, 5),
    observation_tokens: tuple[int, int] = (0, 4),
    states: int = 5,
    sparse: bool = False,
) -> CreditBatch:
    """Draw a batch with ragged turns and tokens, gaps between actions, and every field an estimator may need.

    Args:
        seed: Of the private generator.
        groups: How many groups.
        group_size: Trajectories per group.
        turns: Least and most turns of a trajectory.
        action_tokens: Least and most action tokens of a turn.
        observation_tokens: Least and most observation tokens after a turn.
        states: How many distinct states a group visits.
        sparse: Pay the last turn only, with 0 or 1.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(turns[0], turns[1] + 1, groups * group_size)
    count = int(lengths.sum())
    sizes = rng.integers(action_tokens[0], action_tokens[1] + 1, count)
    reward = rng.normal(size=count)
    if sparse:
        offsets = segments.offsets_of(lengths)
        reward = np.where(segments.last_elements(offsets), rng.integers(0, 2, count), 0).astype(np.float64)
    fields = _turn_fields(rng, count, states) | _token_fields(rng, int(sizes.sum()))
    fields["observation_tokens"] = rng.integers(observation_tokens[0], observation_tokens[1] + 1, count).astype(float)
    fields |= derived_fields(fields, segments.offsets_of(sizes))
    fields |= _trajectory_fields(rng, lengths.size)
    return CreditBatch.build(
        group=np.repeat(np.arange(groups), group_size),
        turns=lengths,
        reward=reward,
        action_tokens=sizes,
        traj_uids=[f"t{i:05d}" for i in range(lengths.size)],
        group_uids=[f"g{i:04d}" for i in range(groups)],
        **fields,
    )


def _turn_fields(rng: np.random.Generator, count: int, states: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: rng.integers(0, states, count) for name in ("state_key", "next_state_key", "action_key", "history_key")
    }
    fields["observation"] = [f"the room has number {key} and a door to the west" for key in fields["state_key"]]
    fields["valid_action"] = rng.random(count) < 0.9
    fields["grounded"] = rng.random(count) < 0.8
    for name in ("q1", "q2", "v1", "v2", "fork_value", "progress"):
        fields[name] = rng.normal(size=count)
    fields["gold_logprob"] = -rng.exponential(size=count)
    fields["duration"] = rng.exponential(size=count) + 0.01
    return fields


def _token_fields(rng: np.random.Generator, count: int) -> dict[str, Any]:
    logprobs = -rng.exponential(size=count)
    return {
        "logprobs": logprobs,
        "entropy": rng.exponential(size=count),
        "values": rng.normal(size=count),
        "sum_pi_sq": np.clip(np.exp(2 * logprobs) + 0.1 * rng.random(count), 0, 1),
        "thr": rng.normal(size=count),
    }


def _trajectory_fields(rng: np.random.Generator, count: int) -> dict[str, Any]:
    return {
        "baseline_reward": rng.normal(size=count),
        "bootstrap_value": rng.normal(size=count),
        "truncated": rng.random(count) < 0.3,
        "components": {"correct": rng.integers(0, 2, count).astype(float), "format": rng.random(count)},
    }
