"""What every method keeps to: rows in any order, gaps anywhere, and every degenerate batch gives defined numbers."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnwise.trainers import credit
from turnwise.trainers.credit import Credit, CreditBatch
from turnwise.trainers.credit.segments import offsets_of
from turnwise.trainers.credit.synthetic import random_batch

QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PARAMS: dict[str, dict[str, Any]] = {
    "xrpo_sharpen": {"lam": 0.5, "kappa": 0.5},
    "shapley": {"mode": "sampled"},
    "gigpo": {"mode": "mean_std_norm"},
}
EVERY = [name for name in credit.names() if name != "grpo_passk"]
"""``grpo_passk`` refuses groups of one by definition."""


def whole(batch: CreditBatch) -> CreditBatch:
    """Add what the Shapley probe writes."""
    stored = [
        [{"order": list(range(count)), "values": np.cumsum([0.0, *batch.reward[start : start + count]]).tolist()}]
        for start, count in zip(batch.turn_offsets, batch.turn_counts, strict=False)
    ]
    return batch.replace(permutations=stored)


def run(name: str, batch: CreditBatch) -> Credit:
    return credit.get(name).estimate(batch, PARAMS.get(name))


def check_defined(batch: CreditBatch, result: Credit) -> None:
    assert result.advantages.shape == result.returns.shape == result.weights.shape == (batch.turns,)
    assert result.advantages.dtype == np.float64
    for values in (result.advantages, result.returns, result.weights, result.tokens, result.token_returns):
        assert values is None or np.isfinite(values).all()
    assert result.tokens is None or result.tokens.shape == (batch.tokens,)


@pytest.mark.parametrize("name", EVERY)
@given(seed=st.integers(0, 10_000), data=st.data())
@QUICK
def test_row_order_does_not_matter(name: str, seed: int, data: st.DataObject) -> None:
    batch = whole(random_batch(seed, groups=3, group_size=3))
    order = np.array(data.draw(st.permutations(range(len(batch)))))
    first, second = run(name, batch), run(name, batch.take(order))
    for i, row in enumerate(order):
        mine = first.advantages[batch.turn_offsets[row] : batch.turn_offsets[row + 1]]
        bounds = offsets_of(batch.turn_counts[order])
        np.testing.assert_allclose(second.advantages[bounds[i] : bounds[i + 1]], mine, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in EVERY if n != "optimal_token_baseline"])
@given(seed=st.integers(0, 10_000), gap=st.integers(0, 50))
@QUICK
def test_an_observation_changes_no_credit(name: str, seed: int, gap: int) -> None:
    batch = whole(random_batch(seed, groups=2, group_size=3))
    longer = batch.replace(observation_tokens=batch.get("observation_tokens") + gap)
    np.testing.assert_array_equal(run(name, batch).on_tokens(batch), run(name, longer).on_tokens(longer))


DEGENERATE = {
    "group of one": {"group_size": 1},
    "one turn": {"turns": (1, 1)},
    "one token": {"turns": (1, 1), "action_tokens": (1, 1), "groups": 1, "group_size": 1},
    "no tokens": {"action_tokens": (0, 0)},
    "some turns without tokens": {"action_tokens": (0, 1)},
    "no turns": {"turns": (0, 0)},
    "some without turns": {"turns": (0, 1)},
    "no trajectories": {"groups": 0},
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("constant", [False, True])
def test_degenerate_batches_give_defined_numbers(name: str, case: str, constant: bool) -> None:
    batch = whole(random_batch(3, **DEGENERATE[case]))
    if constant:
        batch = batch.replace(reward=np.full(batch.turns, 0.1), outcome=np.full(len(batch), 0.1))
    batch = batch.replace(truncated=np.ones(len(batch), dtype=bool))
    filled = {field: np.nan_to_num(batch.get(field)) for field in ("turn_entropy", "value_first", "value_last")}
    batch = batch.replace(**filled)
    check_defined(batch, run(name, batch))


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "opo", "turn_rloo", "lite_ppo", "gpg"])
def test_equal_outcomes_give_nothing(name: str) -> None:
    batch = random_batch(5, turns=(3, 3))
    batch = batch.replace(reward=np.full(batch.turns, 0.1), outcome=np.full(len(batch), 0.3))
    np.testing.assert_allclose(run(name, batch).advantages, 0.0, atol=1e-12)


@given(seed=st.integers(0, 10_000))
@QUICK
def test_neutral_parameters_reduce_to_the_base(seed: int) -> None:
    batch = random_batch(seed)
    base = credit.get("dr_grpo").estimate(batch).advantages
    gigpo = {"step_advantage_w": 0.0, "compute_mean_std_cross_steps": False, "invalid_action_penalty_coef": 0.0}
    np.testing.assert_allclose(credit.get("gigpo").estimate(batch, gigpo).advantages, base, atol=1e-12)
    alone = batch.replace(state_key=np.arange(batch.turns))
    np.testing.assert_allclose(credit.get("salt").estimate(alone, {"base": "dr_grpo"}).advantages, base, atol=1e-12)
    empg = credit.get("empg").estimate(batch, {"k": 0.0, "zeta": 0.0, "base": "dr_grpo"}).advantages
    np.testing.assert_allclose(empg, base - base.mean(), atol=1e-6)
    even = batch.replace(duration=np.full(batch.turns, 3.0))
    np.testing.assert_allclose(credit.get("duration").estimate(even).weights, 1.0)
    thr = credit.get("thr").estimate(batch, {"p": 0.5, "base": "dr_grpo"}).advantages
    np.testing.assert_allclose(thr, base, atol=1e-12)
    signs = credit.get("sign_reweight").estimate(batch, {"base": "dr_grpo"}).advantages
    np.testing.assert_allclose(signs, base, atol=1e-12)


@given(seed=st.integers(0, 10_000))
@QUICK
def test_a_turn_without_reward_keeps_its_boundary(seed: int) -> None:
    batch = random_batch(seed, turns=(2, 6), sparse=True)
    ours = credit.get("bilevel_gae").estimate(batch, {"whiten": False})
    nudged = batch.replace(reward=np.where(batch.reward == 0, 1e-12, batch.reward))
    np.testing.assert_allclose(
        ours.tokens, credit.get("bilevel_gae").estimate(nudged, {"whiten": False}).tokens, atol=1e-9
    )
    still = batch.replace(gold_logprob=np.full(batch.turns, -1.0))
    kept = credit.get("igpo").estimate(still, {"gamma": 0.5}).advantages
    dropped = credit.get("igpo").estimate(still, {"gamma": 0.5, "drop_zero": True}).advantages
    inner = ~batch.is_last
    following = np.append(dropped[1:], 0.0)
    np.testing.assert_allclose(dropped[inner], following[inner])
    assert not np.allclose(kept[inner], np.append(kept[1:], 0.0)[inner]) or np.allclose(kept, 0)


@given(seed=st.integers(0, 10_000), gamma=st.floats(0, 1), lam=st.floats(0, 1))
@QUICK
def test_one_turn_gae_is_a_bandit_baseline(seed: int, gamma: float, lam: float) -> None:
    batch = random_batch(seed, turns=(1, 1))
    ours = credit.get("turn_gae").estimate(batch, {"gamma": gamma, "lam": lam, "whiten": False})
    np.testing.assert_allclose(ours.advantages, batch.reward - batch.get("value_first"))


@given(seed=st.integers(0, 10_000), n=st.integers(2, 5))
@QUICK
def test_duplicating_a_group(seed: int, n: int) -> None:
    batch = random_batch(seed, groups=2, group_size=n)
    twice = batch.take(np.tile(np.arange(len(batch)), 2))
    centred, once = (credit.get("dr_grpo").estimate(b).advantages for b in (twice, batch))
    np.testing.assert_allclose(centred[: batch.turns], once, atol=1e-12)
    left, alone = (credit.get("rloo").estimate(b).advantages for b in (twice, batch))
    shrunk = (2 * n / (2 * n - 1)) / (n / (n - 1))
    np.testing.assert_allclose(left[: batch.turns], alone * shrunk, atol=1e-9)


@given(seed=st.integers(0, 10_000), updates=st.integers(2, 4))
@QUICK
@pytest.mark.parametrize("name", EVERY)
def test_updates_in_one_call_are_credited_apart(name: str, seed: int, updates: int) -> None:
    parts = [whole(random_batch(seed + k, groups=2, group_size=2)) for k in range(updates)]
    whole_batch = join(parts)
    expected = np.concatenate([run(name, part).advantages for part in parts])
    np.testing.assert_allclose(run(name, whole_batch).advantages, expected, atol=1e-9)


def join(parts: list[CreditBatch]) -> CreditBatch:
    fields: dict[str, Any] = {}
    for name, value in parts[0].fields.items():
        columns = [part.fields[name] for part in parts]
        if isinstance(value, dict):
            fields[name] = {key: np.concatenate([column[key] for column in columns]) for key in value}
        else:
            fields[name] = (
                np.concatenate(columns) if isinstance(value, np.ndarray) else [v for column in columns for v in column]
            )
    return CreditBatch.build(
        group=np.concatenate([part.group + 100 * k for k, part in enumerate(parts)]),
        turns=np.concatenate([part.turn_counts for part in parts]),
        reward=np.concatenate([part.reward for part in parts]),
        action_tokens=np.concatenate([part.action_tokens for part in parts]),
        shard=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        **fields,
    )


@given(seed=st.integers(0, 10_000))
@QUICK
def test_shapley_divides_what_all_turns_won(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turns = int(rng.integers(1, 5))
    table = rng.normal(size=1 << turns)
    coalitions = [
        {"turns": [t for t in range(turns) if mask >> t & 1], "value": float(table[mask])} for mask in range(1 << turns)
    ]
    batch = CreditBatch.build(group=[0], turns=[turns], reward=np.zeros(turns), coalitions=[coalitions])
    exact = credit.get("shapley").estimate(batch).advantages
    np.testing.assert_allclose(exact.sum(), table[-1] - table[0])
    orders = [
        {"order": list(order), "values": [float(table[sum(1 << t for t in order[:k])]) for k in range(turns + 1)]}
        for order in permutations(range(turns))
    ]
    sampled = credit.get("shapley").estimate(batch.replace(permutations=[orders]), {"mode": "sampled"})
    np.testing.assert_allclose(sampled.advantages, exact, atol=1e-12)
