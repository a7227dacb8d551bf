"""The pipeline runs its stages in one order, and says what does not fit."""

import numpy as np
import pytest

from turnwise.errors import CreditError, UnknownNameError
from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch, Pipeline
from turnwise.trainers.credit.synthetic import random_batch


def test_one_name_is_a_pipeline() -> None:
    batch = random_batch(1)
    ours = Pipeline.of("turn_rloo").run(batch)
    np.testing.assert_array_equal(ours.advantages, credit.get("turn_rloo").estimate(batch).advantages)


def test_a_modulator_changes_the_stage_before() -> None:
    batch = random_batch(1)
    steps = {"turn": {"method": "gigpo"}, "modulate": [{"method": "sign_reweight", "params": {"negative": 0.5}}]}
    plain = credit.get("gigpo").estimate(batch).advantages
    np.testing.assert_allclose(Pipeline.of(steps).run(batch).advantages, np.where(plain < 0, plain / 2, plain))
    alone = credit.get("sign_reweight").estimate(batch, {"negative": 0.5, "base": "gigpo"})
    np.testing.assert_allclose(Pipeline.of(steps).run(batch).advantages, alone.advantages)


def test_salt_takes_the_base_stage() -> None:
    batch = random_batch(1)
    piped = Pipeline.of({"base": {"method": "rloo"}, "turn": {"method": "salt"}}).run(batch)
    alone = credit.get("salt").estimate(batch, {"base": "rloo"})
    np.testing.assert_allclose(piped.advantages, alone.advantages)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "needs a base or a turn stage"),
        ({"base": {"method": "grpo"}, "turn": {"method": "gigpo"}}, "does not compose after the stage 'base'"),
        ({"base": {"method": "gigpo"}}, "belongs to the stage 'turn'"),
        ({"turn": {"method": "empg"}}, "belongs to the stage 'modulate'"),
        ({"base": {"method": "grpo"}, "clip": -1}, "clip must be positive"),
        ({"base": {"method": "grpo", "params": {"epsilonn": 1}}}, "Did you mean 'epsilon'"),
        ({"base": {"method": "grpo"}, "whitening": "token"}, "Did you mean 'whiten'"),
        ({"base": "grpo"}, "must be an object"),
    ],
)
def test_what_does_not_compose_is_refused(config: dict, said: str) -> None:
    with pytest.raises(CreditError, match=said):
        Pipeline.of(config)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'turn_rloo'"):
        Pipeline.of("turn_rlo")
    with pytest.raises(UnknownNameError, match="cannot import"):
        credit.get("no.such.module:Class")
    with pytest.raises(UnknownNameError, match="credit filter"):
        Pipeline.of({"base": {"method": "grpo"}, "purify": [{"method": "best"}]}).run(random_batch(1))


def test_purified_trajectories_get_nothing() -> None:
    batch = random_batch(1, groups=4)
    steps = {"purify": [{"method": "top_groups", "params": {"fraction": 0.5}}], "base": {"method": "grpo"}}
    result = Pipeline.of(steps).run(batch)
    spread = np.array([batch.outcome[batch.group == g].std() for g in range(4)])
    kept = np.isin(batch.group_of_turn, np.argsort(-spread)[:2])
    assert (result.weights[kept] == 1).all()
    assert (result.weights[~kept] == 0).all()
    assert (result.advantages[~kept] == 0).all()
    plain = credit.get("grpo").estimate(batch).advantages
    np.testing.assert_allclose(result.advantages[kept], plain[kept])


def test_reward_weights_pay_the_last_turn() -> None:
    batch = random_batch(1)
    mixed = batch.get("components")["correct"] + 0.25 * batch.get("components")["format"]
    result = Pipeline.of({"turn": {"method": "turn_rloo"}, "reward_weights": {"correct": 1, "format": 0.25}}).run(batch)
    first = batch.turn_offsets[:-1]
    np.testing.assert_allclose(result.returns[first], mixed)
    with pytest.raises(CreditError, match="no component is named 'style'"):
        Pipeline.of({"base": {"method": "grpo"}, "reward_weights": {"style": 1}}).run(batch)


@pytest.mark.parametrize("method", ["grpo", "gae"])
def test_whitening_and_clipping(method: str) -> None:
    batch = random_batch(1, groups=20)
    result = Pipeline.of(Pipeline.of(method)).run(batch)
    stage = credit.get(method).stage
    white = Pipeline.of({stage: {"method": method}, "whiten": "token"}).run(batch).on_tokens(batch)
    np.testing.assert_allclose([white.mean(), white.std(ddof=1)], [0, 1], atol=1e-6)
    clipped = Pipeline.of({stage: {"method": method}, "clip": 0.5}).run(batch).on_tokens(batch)
    np.testing.assert_allclose(clipped, np.clip(result.on_tokens(batch), -0.5, 0.5))


def test_a_missing_field_names_field_and_method() -> None:
    batch = CreditBatch.build(group=[0, 0], turns=[1, 2], reward=[1.0, 0.0, 0.0])
    with pytest.raises(CreditError, match="gigpo needs the field 'state_key'"):
        Pipeline.of("gigpo").run(batch)
    with pytest.raises(CreditError, match="gae needs the field 'action_tokens'"):
        Pipeline.of("gae").run(batch)
    partly = batch.replace(value_first=np.array([1.0, np.nan, 2.0]))
    with pytest.raises(CreditError, match=r"turn_gae needs 'value_first' everywhere.*trajectory '1', turn 0"):
        Pipeline.of("turn_gae").run(partly)


def test_a_class_of_ones_own() -> None:
    found = credit.get("turnwise.trainers.credit.turn:TurnRLOO")
    assert found.name == "turn_rloo"
    with pytest.raises(CreditError, match=r"no turnwise\.trainers\.credit\.Estimator"):
        credit.get("collections:OrderedDict")
