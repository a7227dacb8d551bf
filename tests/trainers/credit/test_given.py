"""Methods that read a judgement from the record, and modulators, against their definitions written out by loops."""

from itertools import pairwise

import numpy as np
import pytest

from turnwise.errors import CreditError
from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.credit.synthetic import random_batch

SEEDS = range(4)


def turns_of(batch: CreditBatch, i: int) -> range:
    return range(batch.turn_offsets[i], batch.turn_offsets[i + 1])


def per_turn(batch: CreditBatch, values: np.ndarray) -> np.ndarray:
    return values[batch.traj_of_turn]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", [{"h": 1}, {"h": 2}, {"h": 3}, {"full": True}])
def test_salt(seed: int, rule: dict) -> None:
    batch = random_batch(seed, states=2)
    state, action, after = (batch.get(name) for name in ("state_key", "action_key", "next_state_key"))
    base = credit.get("rloo").estimate(batch).advantages

    def edge(k: int) -> tuple:
        t = batch.turn_index[k]
        first = k - t if "full" in rule else k - min(t, rule["h"] - 1)
        past = [(state[j], action[j] if "full" in rule else 0) for j in range(first, k)]
        missing = 0 if "full" in rule else rule["h"] - 1 - (k - first)
        return (batch.group_of_turn[k], missing, tuple(past), state[k], action[k], after[k])

    edges = [edge(k) for k in range(batch.turns)]
    expected = []
    for k in range(batch.turns):
        passing = {batch.traj_of_turn[j]: base[j] for j in range(batch.turns) if edges[j] == edges[k]}
        expected.append(np.mean(list(passing.values())))
    got = credit.get("salt").estimate(batch, {**rule, "base": "rloo"})
    np.testing.assert_allclose(got.advantages, expected, atol=1e-12)
    assert 0 < got.diagnostics["merged_turns"] < 1 or "full" in rule or rule["h"] > 1


def test_a_shared_first_step_gets_nothing_when_half_of_its_trajectories_win() -> None:
    batch = CreditBatch.build(
        group=[0, 0], turns=[2, 2], reward=[0, 1, 0, 0],
        state_key=np.array([0, 1, 0, 1]), action_key=np.array([0, 1, 0, 2]), next_state_key=np.array([1, 2, 1, 3]),
    )  # fmt: skip
    np.testing.assert_allclose(credit.get("salt").estimate(batch).advantages, [0, 0.7071, 0, -0.7071], atol=1e-3)


@pytest.mark.parametrize("variant", ["paper", "released_weighted", "released_loo"])
@pytest.mark.parametrize("redistribute", ["none", "exact"])
def test_spa_rewards(variant: str, redistribute: str) -> None:
    batch = random_batch(2)
    expected = np.zeros(batch.turns)
    loo = credit.get("rloo").estimate(batch).advantages
    for i in range(len(batch)):
        n = batch.turn_counts[i]
        progress = np.array(
            [loo[k] if variant == "released_loo" else batch.get("progress")[k] for k in turns_of(batch, i)]
        )
        if redistribute == "exact":
            progress = progress + (batch.outcome[i] - progress.sum()) / n
        for t, k in enumerate(turns_of(batch, i)):
            grounded = 1.0 if t == n - 1 else float(batch.get("grounded")[k])
            expected[k] = (progress[t] + 0.5 * grounded) * ((n - 1 - t) if variant == "released_weighted" else 1)
    params = {"variant": variant, "redistribute": redistribute}
    paid = batch.replace(reward=expected)
    fused = credit.get("spa").estimate(batch, params)
    np.testing.assert_allclose(fused.tokens, credit.get("gae").estimate(paid).tokens, atol=1e-9)
    plain = credit.get("spa").estimate(batch, {**params, "credit": "returns"})
    last = batch.is_last
    np.testing.assert_allclose(plain.advantages[last], expected[last])


def test_archer_and_fork_value() -> None:
    batch = random_batch(1)
    archer = credit.get("archer").estimate(batch).advantages
    lower = np.minimum(batch.get("q1"), batch.get("q2")) - np.minimum(batch.get("v1"), batch.get("v2"))
    np.testing.assert_allclose(archer, lower)
    residual = credit.get("archer").estimate(batch, {"token_baseline": True})
    np.testing.assert_allclose(residual.tokens, np.repeat(lower, batch.action_tokens) - batch.get("values"))
    value = batch.get("fork_value")
    td, mc = (credit.get("fork_value").estimate(batch, {"form": form}) for form in ("td", "mc"))
    for i in range(len(batch)):
        for k in turns_of(batch, i):
            after = 0.0 if k == batch.turn_offsets[i + 1] - 1 else value[k + 1]
            assert td.advantages[k] == pytest.approx(batch.reward[k] + after - value[k])
            assert mc.advantages[k] == pytest.approx(batch.reward[k : batch.turn_offsets[i + 1]].sum() - value[k])
    traced = credit.get("fork_value").estimate(batch, {"lam": 1.0})
    np.testing.assert_allclose(traced.advantages, mc.advantages, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_empg(seed: int) -> None:
    batch = random_batch(seed)
    base, entropy = credit.get("dr_grpo").estimate(batch).advantages, batch.get("turn_entropy")
    scaled = (entropy - entropy.min()) / (entropy.max() - entropy.min() + 1e-8)
    gain = np.exp(-0.7 * scaled) / (np.exp(-0.7 * scaled).mean() + 1e-8)
    expected = base * gain
    for k in range(batch.turns - 1):
        if not batch.is_last[k]:
            expected[k] += 0.1 * np.exp(-0.3 * scaled[k + 1])
    params = {"k": 0.7, "k'": 0.3, "ζ": 0.1, "base": "dr_grpo"}
    got = credit.get("empg").estimate(batch, params).advantages
    np.testing.assert_allclose(got, expected - expected.mean(), atol=1e-9)
    assert gain.mean() == pytest.approx(1, abs=1e-6)


def test_equal_entropies_leave_a_bonus_on_all_but_the_last() -> None:
    batch = random_batch(1).replace(turn_entropy=np.full(random_batch(1).turns, 2.0))
    got = credit.get("empg").estimate(batch, {"base": "dr_grpo"}).advantages
    expected = credit.get("dr_grpo").estimate(batch).advantages + 0.1 * ~batch.is_last
    np.testing.assert_allclose(got, expected - expected.mean(), atol=1e-6)


def test_duration_weighs_the_gradient_and_not_the_advantage() -> None:
    batch = random_batch(1)
    got = credit.get("duration").estimate(batch, {"floor": 0.5})
    seconds = np.maximum(batch.get("duration"), 0.5)
    np.testing.assert_allclose(got.weights, seconds / seconds.mean())
    np.testing.assert_allclose(got.advantages, credit.get("grpo").estimate(batch).advantages)


def test_sharpening_favours_unlikely_successes() -> None:
    batch = random_batch(4, sparse=True)
    base = per_turn(batch, credit.get("grpo").estimate(batch).advantages[batch.turn_offsets[:-1]])
    score = np.array([batch.get("logprobs")[a:b].mean() for a, b in pairwise(batch.traj_token_offsets)])
    expected = base.copy()
    for k in range(batch.turns):
        i = batch.traj_of_turn[k]
        if batch.outcome[i] > 0:
            mean = score[batch.group == batch.group[i]].mean()
            expected[k] += min(max(2.0 * (1 - np.exp(score[i] - mean)), 0), 0.5 * base[k])
    got = credit.get("xrpo_sharpen").estimate(batch, {"λ": 2.0, "κ": 0.5}).advantages
    np.testing.assert_allclose(got, expected, atol=1e-9)
    assert (got != base).any()
    with pytest.raises(CreditError, match="needs a value for lam, kappa"):
        credit.get("xrpo_sharpen").estimate(batch)


def test_thr_and_nthr() -> None:
    batch = random_batch(4, sparse=True)
    base, score = credit.get("grpo").estimate(batch).on_tokens(batch), batch.get("thr")
    signed = credit.get("thr").estimate(batch, {"p": 0.2}).tokens
    np.testing.assert_allclose(signed, base * np.where(score > 0, 1.6, 0.4))
    got = credit.get("thr").estimate(batch, {"mode": "nthr", "beta": 0.5}).tokens
    bounds = batch.traj_token_offsets
    means = np.array([score[a:b].mean() for a, b in pairwise(bounds)])
    right = batch.outcome > 0
    for i in range(len(batch)):
        mine = batch.group == batch.group[i]
        factor = np.ones(bounds[i + 1] - bounds[i])
        if not right[i] and (right & mine).any():
            above = score[bounds[i] : bounds[i + 1]] > 0.5 * means[right & mine].min()
            factor[above] = 2 * abs(0.5 - right[mine].mean())
        np.testing.assert_allclose(got[bounds[i] : bounds[i + 1]], base[bounds[i] : bounds[i + 1]] * factor)


def test_lite_ppo_scales_by_the_batch() -> None:
    batch = random_batch(1)
    got = credit.get("lite_ppo").estimate(batch).advantages
    for k in range(batch.turns):
        i = batch.traj_of_turn[k]
        mean = batch.outcome[batch.group == batch.group[i]].mean()
        assert got[k] == pytest.approx((batch.outcome[i] - mean) / (batch.outcome.std(ddof=1) + 1e-6))
    flat = batch.replace(outcome=batch.outcome * 1e-9)
    assert (credit.get("lite_ppo").estimate(flat, {"agentic": True}).advantages == 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_bilevel_and_variable_clock_and_turn_start(seed: int) -> None:
    batch = random_batch(seed)
    value, ends = batch.get("values"), np.zeros(batch.tokens, dtype=bool)
    ends[batch.token_offsets[1:] - 1] = True
    two, clock, start = np.zeros(batch.tokens), np.zeros(batch.tokens), np.zeros(batch.tokens)
    for i in range(len(batch)):
        turns, tokens = turns_of(batch, i), range(batch.traj_token_offsets[i], batch.traj_token_offsets[i + 1])
        high, opening = {}, {}
        carry = nxt = carry0 = nxt0 = 0.0
        for k in reversed(turns):
            end, begin = batch.token_offsets[k + 1] - 1, batch.token_offsets[k]
            carry = batch.reward[k] + 0.9 * nxt - value[end] + 0.9 * 0.8 * carry
            nxt, high[end] = value[end], carry
            paid = batch.outcome[i] if k == turns[-1] else 0.0
            carry0 = paid + 0.9 * nxt0 - value[begin] + 0.9 * 0.6 * carry0
            nxt0, opening[begin] = value[begin], carry0
        low = after = run = follow = climb = step = 0.0
        for x in reversed(tokens):
            if ends[x]:
                low, after = 0.0, 0.0
            low = (high[x] + value[x] if ends[x] else 0.0) + 0.97 * after - value[x] + 0.97 * 0.8 * low
            two[x], after = low, value[x]
            gamma, lam = (0.95, 0.7) if ends[x] else (1.0, 0.8)
            reward = batch.reward[batch.turn_of_token[x]] if ends[x] else 0.0
            run = reward + gamma * follow - value[x] + gamma * lam * run
            clock[x], follow = run, value[x]
            if x + 1 in opening and x + 1 < tokens.stop:
                climb = opening[x + 1]
            climb = (batch.outcome[i] if x == tokens[-1] else 0.0) + 0.97 * step - value[x] + 0.97 * 0.8 * climb
            start[x], step = climb, value[x]
    raw = {"whiten": False}
    bilevel = credit.get("bilevel_gae").estimate(batch, {"gamma": 0.97, "lam": 0.8, "high_level_gamma": 0.9, **raw})
    np.testing.assert_allclose(bilevel.tokens, two, atol=1e-9)
    np.testing.assert_allclose(bilevel.token_returns, two + value, atol=1e-9)
    variable = {"lam_token": 0.8, "gamma_turn": 0.95, "λ_turn": 0.7, "mix": 1.0, **raw}
    np.testing.assert_allclose(credit.get("variable_clock_gae").estimate(batch, variable).tokens, clock, atol=1e-9)
    plain = credit.get("gae").estimate(batch, {"gamma": 1.0, "lam": 0.8, **raw}).tokens
    mixed = credit.get("variable_clock_gae").estimate(batch, {**variable, "mix": 0.25}).tokens
    np.testing.assert_allclose(mixed, plain + 0.25 * (clock - plain), atol=1e-9)
    turn_start = {"gamma": 0.97, "lam": 0.8, "high_level_gamma": 0.9, "high_level_lam": 0.6, **raw}
    np.testing.assert_allclose(credit.get("turn_start_gae").estimate(batch, turn_start).tokens, start, atol=1e-9)


def test_bootstrapping_continues_only_after_a_truncated_end() -> None:
    batch = random_batch(1)
    for name, field in (("gae", "values"), ("turn_gae", "value_first")):
        params = {"lam": 0.0, "whiten": False, "bootstrap": True}
        got = credit.get(name).estimate(batch, params)
        without = credit.get(name).estimate(batch, {**params, "bootstrap": False})
        change = (got.on_tokens(batch) - without.on_tokens(batch)) != 0
        touched = np.zeros(len(batch), dtype=bool)
        touched[batch.traj_of_turn[batch.turn_of_token[change]]] = True
        np.testing.assert_array_equal(touched, batch.get("truncated"))
        trimmed = batch.replace(fields={key: v for key, v in batch.fields.items() if key != "bootstrap_value"})
        with pytest.raises(CreditError, match="'bootstrap_value'"):
            credit.get(name).estimate(trimmed, params)
        assert field in batch.fields
