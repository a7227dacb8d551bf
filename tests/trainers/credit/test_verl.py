"""Where verl registers the same estimator, ours gives its numbers, on random batches with gaps between the actions."""

import numpy as np
import pytest

from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.credit.synthetic import random_batch

pytestmark = pytest.mark.train

torch = pytest.importorskip("torch")
core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")

SEEDS = range(4)


def rows(batch: CreditBatch) -> tuple[list[np.ndarray], int]:
    """Columns of each trajectory's action tokens in verl's padded matrix, and its width."""
    shown = batch.get("observation_tokens").astype(int)
    columns, width = [], 0
    for i in range(len(batch)):
        at, mine = 0, []
        for k in range(batch.turn_offsets[i], batch.turn_offsets[i + 1]):
            mine.append(np.arange(at, at + batch.action_tokens[k]))
            at += batch.action_tokens[k] + shown[k]
        columns.append(np.concatenate(mine))
        width = max(width, at)
    return columns, width + 3


def padded(batch: CreditBatch, values: np.ndarray, fill: float = 0.0) -> "torch.Tensor":
    columns, width = rows(batch)
    out = np.full((len(batch), width), fill)
    bounds = batch.traj_token_offsets
    for i, column in enumerate(columns):
        out[i, column] = values[bounds[i] : bounds[i + 1]]
    return torch.tensor(out, dtype=torch.float64)


def flat(batch: CreditBatch, matrix: "torch.Tensor") -> np.ndarray:
    return np.concatenate([matrix[i, column].numpy() for i, column in enumerate(rows(batch)[0])])


def inputs(batch: CreditBatch) -> dict:
    return {
        "token_level_rewards": padded(batch, batch.token_rewards()),
        "response_mask": padded(batch, np.ones(batch.tokens)),
        "index": batch.group,
    }


def same(batch: CreditBatch, ours: credit.Credit, theirs: "torch.Tensor") -> None:
    np.testing.assert_allclose(ours.on_tokens(batch), flat(batch, theirs), atol=1e-5)
    matrix = padded(batch, ours.on_tokens(batch))
    mask = padded(batch, np.ones(batch.tokens))
    np.testing.assert_allclose((theirs * mask).numpy(), matrix.numpy(), atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "name",
    ["grpo", "grpo_vectorized", "rloo", "rloo_vectorized", "opo", "gpg", "grpo_passk", "reinforce_plus_plus",
     "reinforce_plus_plus_baseline"],
)  # fmt: skip
@pytest.mark.parametrize("sparse", [False, True])
def test_outcome_methods(name: str, seed: int, sparse: bool) -> None:
    batch = random_batch(seed, sparse=sparse)
    function = core_algos.get_adv_estimator_fn(name)
    config = core_algos.AlgoConfig(gamma=0.9)
    theirs, _ = function(**inputs(batch), config=config)
    params = {"gamma": 0.9} if name == "reinforce_plus_plus" else {}
    same(batch, credit.get(name).estimate(batch, params), theirs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["grpo", "rloo", "rloo_vectorized", "opo", "gpg", "reinforce_plus_plus_baseline"])
def test_groups_of_one(name: str, seed: int) -> None:
    batch = random_batch(seed, groups=5, group_size=1)
    theirs, _ = core_algos.get_adv_estimator_fn(name)(**inputs(batch))
    same(batch, credit.get(name).estimate(batch), theirs)


def test_dr_grpo() -> None:
    batch = random_batch(1)
    theirs, _ = core_algos.get_adv_estimator_fn("grpo")(**inputs(batch), norm_adv_by_std_in_grpo=False)
    same(batch, credit.get("dr_grpo").estimate(batch), theirs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8), (1.0, 0.0)])
def test_gae(seed: int, gamma: float, lam: float) -> None:
    batch = random_batch(seed)
    given = inputs(batch)
    del given["index"]
    values = padded(batch, batch.get("values"), fill=7.0)  # what stands at observations must not matter
    theirs, returns = core_algos.compute_gae_advantage_return(**given, values=values, gamma=gamma, lam=lam)
    ours = credit.get("gae").estimate(batch, {"gamma": gamma, "lam": lam})
    np.testing.assert_allclose(ours.on_tokens(batch), flat(batch, theirs), atol=1e-5)
    np.testing.assert_allclose(ours.token_returns, flat(batch, returns), atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_remax(seed: int) -> None:
    batch = random_batch(seed)
    given = inputs(batch)
    del given["index"]
    theirs, returns = core_algos.get_adv_estimator_fn("remax")(
        **given, reward_baselines=torch.tensor(batch.get("baseline_reward"))
    )
    ours = credit.get("remax").estimate(batch)
    same(batch, ours, theirs)
    np.testing.assert_allclose(ours.returns[batch.turn_of_token], flat(batch, returns), atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["optimal_token_baseline", "tir_optimal_token_baseline"])
@pytest.mark.parametrize("zero_tail", [True, False])
@pytest.mark.parametrize("group_size", [1, 2, 4])
def test_optimal_token_baseline(name: str, seed: int, zero_tail: bool, group_size: int) -> None:
    batch = random_batch(seed, group_size=group_size)
    extra = {"old_log_probs": "logprobs", "sum_pi_squared": "sum_pi_sq"}
    theirs, _ = core_algos.get_adv_estimator_fn(name)(
        **inputs(batch),
        **{key: padded(batch, batch.get(field)) for key, field in extra.items()},
        handle_zero_tail=zero_tail,
    )
    same(batch, credit.get(name).estimate(batch, {"handle_zero_tail": zero_tail}), theirs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scaled", [True, False])
def test_gdpo(seed: int, scaled: bool) -> None:
    batch = random_batch(seed)
    given = inputs(batch)
    width = given["response_mask"].shape[1]
    theirs, _ = core_algos.get_adv_estimator_fn("gdpo")(
        **given,
        norm_adv_by_std_in_grpo=scaled,
        config={"gdpo_reward_keys": ["correct", "format"], "gdpo_reward_weights": [1.0, 0.5]},
        non_tensor_batch=batch.get("components"),
        batch={
            "prompts": torch.zeros(len(batch), 2),
            "attention_mask": torch.ones(len(batch), 2 + width, dtype=torch.long),
        },
    )
    params = {
        "gdpo_reward_keys": ["correct", "format"],
        "gdpo_reward_weights": [1.0, 0.5],
        "norm_adv_by_std_in_grpo": scaled,
    }
    same(batch, credit.get("gdpo").estimate(batch, params), theirs)
