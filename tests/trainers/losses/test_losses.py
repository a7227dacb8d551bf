"""Losses against verl's where it has the same, against their definitions elsewhere."""

import math

import pytest

from turnwise.errors import TrainerError

pytestmark = pytest.mark.train

torch = pytest.importorskip("torch")
core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")

from turnwise.trainers import losses  # noqa: E402 - after the skip: it imports torch

SEEDS = range(3)


def drawn(seed: int, rows: int = 5, width: int = 9) -> dict[str, "torch.Tensor"]:
    make = torch.Generator().manual_seed(seed)
    mask = (torch.rand(rows, width, generator=make) < 0.6).double()
    mask[-1] = 0
    return {
        "log_prob": (-torch.rand(rows, width, generator=make).double() * 3).requires_grad_(),
        "old_log_prob": -torch.rand(rows, width, generator=make).double() * 3,
        "advantages": torch.randn(rows, width, generator=make).double() * 2,
        "mask": mask,
    }


def config(**changes: object) -> object:
    from verl.workers.config import ActorConfig

    policy_loss = changes.pop("policy_loss", {})
    made = ActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, clip_ratio_c=3.0, **changes)
    for key, value in policy_loss.items():
        object.__setattr__(made.policy_loss, key, value)
    return made


def same(ours: "torch.Tensor", theirs: "torch.Tensor", leaf: "torch.Tensor") -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(loss, leaf, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", losses.MODES)
def test_aggregation_is_verls(seed: int, mode: str) -> None:
    x = drawn(seed)
    ours = losses.aggregate(x["advantages"], x["mask"], mode)
    torch.testing.assert_close(ours, core_algos.agg_loss(x["advantages"], x["mask"], mode))
    scaled = losses.aggregate(x["advantages"], x["mask"], mode, tokens=40, sequences=7, scale=11, ranks=2)
    theirs = core_algos.agg_loss(
        x["advantages"], x["mask"], mode, dp_size=2, batch_num_tokens=40, global_batch_size=7, loss_scale_factor=11
    )
    torch.testing.assert_close(scaled, theirs)


def test_rows_of_one_episode_are_one_sequence() -> None:
    x = drawn(0, rows=4)
    episode = torch.tensor([0, 0, 1, 1])
    ours = losses.aggregate(x["advantages"], x["mask"], "seq-mean-token-mean", episode=episode)
    wide, mask = x["advantages"].reshape(2, -1), x["mask"].reshape(2, -1)
    torch.testing.assert_close(ours, losses.aggregate(wide, mask, "seq-mean-token-mean"))


def test_nothing_to_train_is_zero_and_an_unknown_mode_an_error() -> None:
    for mode in losses.MODES:
        assert losses.aggregate(torch.ones(2, 3), torch.zeros(2, 3), mode) == 0
    with pytest.raises(ValueError, match="unknown aggregation"):
        losses.aggregate(torch.ones(2, 3), torch.ones(2, 3), "mean")
    with pytest.raises(ValueError, match="global number of tokens"):
        losses.aggregate(torch.ones(2, 3), torch.ones(2, 3), ranks=2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean"])
def test_ppo_is_verls(seed: int, mode: str) -> None:
    x = drawn(seed)
    ours, metrics = losses.ppo_clip(**x, clip_low=0.2, clip_high=0.28, mode=mode)
    theirs, reported = core_algos.compute_policy_loss_vanilla(
        x["old_log_prob"],
        x["log_prob"],
        x["advantages"],
        x["mask"],
        mode,
        config(clip_ratio_low=0.2, clip_ratio_high=0.28),
    )
    same(ours, theirs, x["log_prob"])
    assert metrics["clip_fraction"] == pytest.approx(reported["actor/pg_clipfrac"])
    assert metrics["clip_fraction_lower"] == pytest.approx(reported["actor/pg_clipfrac_lower"])
    assert metrics["approx_kl"] == pytest.approx(reported["actor/ppo_kl"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sequence_mean_is_gspo(seed: int) -> None:
    x = drawn(seed)
    ours, _ = losses.ppo_clip(**x, level="sequence_mean", dual_clip=None, mode="seq-mean-token-mean")
    theirs, _ = core_algos.compute_policy_loss_gspo(
        x["old_log_prob"], x["log_prob"], x["advantages"], x["mask"], "seq-mean-token-mean", config(clip_ratio=0.2)
    )
    same(ours, theirs, x["log_prob"])


def test_the_turn_ratio_is_that_of_the_whole_turn() -> None:
    x = drawn(1, rows=1, width=6)
    x["mask"] = torch.tensor([[1.0, 1, 0, 1, 1, 1]]).double()
    turn = torch.tensor([[0, 0, -1, 1, 1, 1]])
    difference = (x["log_prob"] - x["old_log_prob"]).detach()
    whole = losses.log_ratio(x["log_prob"], x["old_log_prob"], x["mask"], level="turn", turn=turn)
    torch.testing.assert_close(whole[0, 0].detach(), difference[0, :2].sum())
    torch.testing.assert_close(whole[0, 4].detach(), difference[0, 3:].sum())
    mean = losses.log_ratio(x["log_prob"], x["old_log_prob"], x["mask"], level="turn_mean", turn=turn)
    torch.testing.assert_close(mean[0, 5].detach(), difference[0, 3:].mean())
    with pytest.raises(ValueError, match="needs the turn"):
        losses.log_ratio(x["log_prob"], x["old_log_prob"], x["mask"], level="turn")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ratio", [1.0, 1e-6])
def test_clip_cov_is_verls(seed: int, ratio: float) -> None:
    x = drawn(seed, rows=8, width=30)
    settings = {"clip_cov_ratio": ratio, "clip_cov_lb": 0.3, "clip_cov_ub": 5.0}
    torch.manual_seed(3)
    theirs, reported = core_algos.compute_policy_loss_clip_cov(
        x["old_log_prob"],
        x["log_prob"],
        x["advantages"],
        x["mask"],
        "token-mean",
        config(clip_ratio=0.2, clip_ratio_low=0.2, clip_ratio_high=0.2, policy_loss=settings),
    )
    ours, metrics = losses.clip_cov(**x, **settings, generator=torch.Generator().manual_seed(3))
    assert metrics["clip_fraction"] == pytest.approx(reported["actor/pg_clipfrac"])
    assert metrics["clip_fraction"] > 0
    same(ours, theirs, x["log_prob"])


@pytest.mark.parametrize("kind", ["k1", "kl", "abs", "k2", "mse", "k3", "low_var_kl", "k1+", "k3+", "abs+"])
def test_kl_is_verls(kind: str) -> None:
    x = drawn(2)
    ours = losses.kl_divergence(x["log_prob"], x["old_log_prob"], kind).sum()
    theirs = core_algos.kl_penalty(x["log_prob"], x["old_log_prob"], kind).sum()
    same(ours, theirs, x["log_prob"])
    with pytest.raises(ValueError, match="unknown KL"):
        losses.kl_divergence(x["log_prob"], x["old_log_prob"], "k4")


def test_the_released_penalty_has_no_gradient_and_the_hinge_has() -> None:
    entropy = torch.tensor([[0.5, 1.0, 2.0]], requires_grad=True)
    mask, history = torch.ones(1, 3), torch.tensor([1.0])
    released = losses.band_penalty(entropy, history, mask)
    assert released[0].tolist() == pytest.approx([0.1, 0, 0.1])
    hinge = losses.band_penalty(entropy, history, mask, variant="hinge")
    assert hinge[0].tolist() == pytest.approx([0.03, 0.0, 0.08])
    assert not released.requires_grad
    assert torch.autograd.grad(hinge.sum(), entropy)[0][0].tolist() == pytest.approx([-0.1, 0.0, 0.1])
    edge = losses.band_penalty(torch.tensor([[0.8, 1.2]]), history, torch.ones(1, 2))
    assert edge[0].tolist() == pytest.approx([0.1, 0.1])


def test_the_sequence_level_averages_over_the_padding_as_released() -> None:
    entropy, mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    args = (entropy, torch.tensor([1.0]), mask)
    assert losses.band_penalty(*args, level="seq")[0, 0] == pytest.approx(0.1)
    assert losses.band_penalty(*args, level="seq", padded_mean=False)[0, 0] == 0


def test_epo_adds_up() -> None:
    entropy, mask = torch.tensor([[0.5, 1.0, 9.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    loss = losses.epo_loss(torch.tensor(2.0), entropy, mask, torch.tensor([1.0]), entropy_coeff=0.1, phase_weight=0.5)
    assert float(loss) == pytest.approx(2 - 0.1 * (0.75 - 0.5 * 0.05))
    assert float(losses.epo_loss(torch.tensor(2.0), entropy, mask, None, entropy_coeff=0.1)) == pytest.approx(1.925)


def test_entropy_history() -> None:
    history = losses.EntropyHistory(3)
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    history.add(torch.tensor([[1.0, 3.0], [5.0, 99.0]]), mask, torch.tensor([0, 1]))
    history.add(torch.tensor([[4.0, 4.0], [4.0, 99.0]]), mask, torch.tensor([0, 0]))
    found = history.of([0, 1, 2])
    assert found[:2].tolist() == [3.0, 5.0]
    assert math.isnan(found[2])


def test_replay_keeps_good_tool_users_and_recalibrates() -> None:
    buffer = losses.ReplayBuffer(size=2, tolerate_steps=99)
    assert buffer.tolerate_steps == 10
    assert not buffer.add("a", reward=1, advantage=0.0, tool_calls=3, step=1)
    assert not buffer.add("b", reward=1, advantage=0.5, tool_calls=0, step=1)
    for name, reward in (("c", 0.2), ("d", 0.9), ("e", 1.0), ("f", 0.8)):
        assert buffer.add(name, reward=reward, advantage=0.5, tool_calls=1, step=1 if name == "c" else 5)
    assert buffer.full
    with pytest.raises(TrainerError, match="add_baselines"):
        buffer.recalibrated(torch.tensor([1.0]))
    buffer.add_baselines([0.1, 0.5, 0.9], [0.2, 0.4, 0.6])
    buffer.expire(11)
    assert [entry.item for entry in buffer.kept] == ["c", "d", "e", "f"]
    buffer.expire(12)
    assert [entry.item for entry in buffer.kept] == ["d", "e", "f"]
    assert buffer.recalibrated(torch.tensor([1.0]), scale=True)[0] == pytest.approx(0.5 / 0.4, abs=1e-4)
    taken = buffer.flush(seed=1)
    assert len(taken) == 2
    assert all(value == pytest.approx(entry.reward - 0.5) for entry, value in taken)
    assert buffer.flush() == []


def test_replay_by_decay() -> None:
    buffer = losses.ReplayBuffer()
    buffer.add("a", reward=0, advantage=0.5, tool_calls=1, step=1)
    assert [value for _, value in buffer.flush(decay=0.9)] == pytest.approx([0.45])
