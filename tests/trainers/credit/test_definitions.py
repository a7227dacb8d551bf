"""Methods without a reference implementation on this machine, against their definitions written out by loops."""

import numpy as np
import pytest

from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.credit.synthetic import random_batch

SEEDS = range(5)


def turns_of(batch: CreditBatch, i: int) -> range:
    return range(batch.turn_offsets[i], batch.turn_offsets[i + 1])


def returns_of(batch: CreditBatch, i: int, gamma: float, reward: np.ndarray | None = None) -> list[float]:
    out, carry = [], 0.0
    for k in reversed(turns_of(batch, i)):
        carry = (batch.reward if reward is None else reward)[k] + gamma * carry
        out.insert(0, carry)
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_turn_rloo(seed: int, gamma: float) -> None:
    batch = random_batch(seed, turns=(1, 7), group_size=3)
    all_returns = [returns_of(batch, i, gamma) for i in range(len(batch))]
    expected = []
    for i, mine in enumerate(all_returns):
        others = [all_returns[j] for j in range(len(batch)) if j != i and batch.group[j] == batch.group[i]]
        for t, value in enumerate(mine):
            running = [other[t] for other in others if len(other) > t]
            expected.append(value - np.mean(running or [other[-1] for other in others]))
    np.testing.assert_allclose(credit.get("turn_rloo").estimate(batch, {"gamma": gamma}).advantages, expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", ["mean_norm", "mean_std_norm"])
@pytest.mark.parametrize("cross", [True, False])
def test_gigpo(seed: int, mode: str, cross: bool) -> None:
    batch = random_batch(seed)
    penalty = 0.1 * ~batch.get("valid_action")
    step_returns = np.concatenate([returns_of(batch, i, 0.95, batch.reward - penalty) for i in range(len(batch))])
    rows = batch.outcome[batch.traj_of_turn] - penalty
    expected = np.zeros(batch.turns)
    for k in range(batch.turns):
        same_group = batch.group_of_turn == batch.group_of_turn[k]
        pool = rows[same_group if cross else same_group & (batch.turn_index == 0)]
        here = step_returns[same_group & (batch.get("state_key") == batch.get("state_key")[k])]
        scale = (lambda x: x.std(ddof=1) + 1e-6) if mode == "mean_std_norm" else (lambda x: 1.0)
        expected[k] = (rows[k] - pool.mean()) / scale(pool)
        expected[k] += 0.7 * (step_returns[k] - here.mean()) / scale(here) if len(here) > 1 else 0.0
    params = {"mode": mode, "compute_mean_std_cross_steps": cross, "step_advantage_w": 0.7}
    np.testing.assert_allclose(credit.get("gigpo").estimate(batch, params).advantages, expected, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["prob_diff", "log_prob_diff"])
@pytest.mark.parametrize("norm", ["joint", "separate"])
def test_igpo(seed: int, kind: str, norm: str) -> None:
    batch = random_batch(seed, turns=(1, 5))
    level = np.exp(batch.get("gold_logprob")) if kind == "prob_diff" else batch.get("gold_logprob")
    raw = np.zeros(batch.turns)
    for i in range(len(batch)):
        for k in turns_of(batch, i):
            raw[k] = batch.outcome[i] if k == batch.turn_offsets[i + 1] - 1 else level[k + 1] - level[k]
    shaped = np.zeros(batch.turns)
    for k in range(batch.turns):
        mine = batch.group_of_turn == batch.group_of_turn[k]
        pool = raw[mine & (batch.is_last == batch.is_last[k])] if norm == "separate" else raw[mine]
        scale = np.sqrt(pool.var() + 1e-8) + 1e-6 if len(pool) > 1 else 1.0
        shaped[k] = (raw[k] - pool.mean()) / scale
    expected = np.concatenate([returns_of(batch, i, 0.8, shaped) for i in range(len(batch))])
    params = {"info_gain_type": kind, "info_gain_norm_mode": norm, "gamma": 0.8}
    np.testing.assert_allclose(credit.get("igpo").estimate(batch, params).advantages, expected, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("anchor", ["first", "last"])
def test_turn_gae(seed: int, anchor: str) -> None:
    batch, gamma, lam = random_batch(seed), 0.9, 0.7
    value = batch.get(f"value_{anchor}")
    expected = np.zeros(batch.turns)
    for i in range(len(batch)):
        carry = following = 0.0
        for k in reversed(turns_of(batch, i)):
            carry = batch.reward[k] + gamma * following - value[k] + gamma * lam * carry
            expected[k], following = carry, value[k]
    params = {"gamma": gamma, "lam": lam, "anchor": anchor, "whiten": False}
    ours = credit.get("turn_gae").estimate(batch, params)
    np.testing.assert_allclose(ours.advantages, expected, atol=1e-9)
    np.testing.assert_allclose(ours.returns, expected + value, atol=1e-9)
    white = credit.get("turn_gae").estimate(batch, params | {"whiten": True}).on_tokens(batch)
    spread = np.repeat(expected, batch.action_tokens)
    np.testing.assert_allclose(white, (spread - spread.mean()) / np.sqrt(spread.var(ddof=1) + 1e-8), atol=1e-9)
