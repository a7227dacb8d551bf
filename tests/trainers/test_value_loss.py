"""The critic's loss against verl's own, and on targets that stand on a few tokens only."""

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("verl", reason="needs the train extra")

from tensordict import TensorDict  # noqa: E402
from verl.trainer.ppo.core_algos import compute_value_loss  # noqa: E402
from verl.utils import tensordict_utils as tu  # noqa: E402

from turnwise.trainers.verl.losses import targeted_value_loss  # noqa: E402

pytestmark = pytest.mark.train
LENGTHS = ((3, 4), (2, 6))
"""Prompt and response of each row."""


def nested(rows: list[Any]) -> Any:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def batch(weights: list[Any], seed: int = 0) -> tuple[Any, Any, dict[str, Any]]:
    rng = torch.Generator().manual_seed(seed)
    draw = [torch.randn(p + r, generator=rng).requires_grad_() for p, r in LENGTHS]
    rows = {name: [torch.randn(r, generator=rng) for _, r in LENGTHS] for name in ("values", "returns")}
    columns = {
        "prompts": nested([torch.zeros(p, dtype=torch.long) for p, _ in LENGTHS]),
        "responses": nested([torch.zeros(r, dtype=torch.long) for _, r in LENGTHS]),
        "value_mask": nested(weights),
        **{name: nested(each) for name, each in rows.items()},
    }
    data = TensorDict(columns, batch_size=len(LENGTHS))
    tu.assign_non_tensor(data, batch_num_tokens=sum(r for _, r in LENGTHS), dp_size=1)
    return draw, data, rows


def test_with_a_target_everywhere_it_is_verls_loss() -> None:
    draw, data, rows = batch([torch.ones(r) for _, r in LENGTHS])
    ours, metrics = targeted_value_loss(SimpleNamespace(cliprange_value=0.5), {"values": nested(draw)}, data)
    widest = max(r for _, r in LENGTHS)

    def padded(each: list[Any]) -> Any:
        return torch.stack([torch.nn.functional.pad(row, (0, widest - len(row))) for row in each])

    theirs, clipped = compute_value_loss(
        vpreds=padded([row[p - 1 : p + r - 1] for row, (p, r) in zip(draw, LENGTHS, strict=True)]),
        values=padded(rows["values"]),
        returns=padded(rows["returns"]),
        response_mask=padded([torch.ones(r) for _, r in LENGTHS]),
        cliprange_value=0.5,
        loss_agg_mode="token-mean",
    )
    torch.testing.assert_close(ours, theirs)
    assert metrics["critic/vf_clipfrac"] == pytest.approx(float(clipped))


def test_only_tokens_with_a_target_push_the_critic() -> None:
    weights = [torch.zeros(r) for _, r in LENGTHS]
    weights[0][1] = weights[1][4] = sum(r for _, r in LENGTHS) / 2
    draw, data, rows = batch(weights)
    loss, _ = targeted_value_loss(SimpleNamespace(cliprange_value=1e9), {"values": nested(draw)}, data)
    errors = [draw[0][LENGTHS[0][0]] - rows["returns"][0][1], draw[1][LENGTHS[1][0] + 3] - rows["returns"][1][4]]
    torch.testing.assert_close(loss, 0.5 * torch.stack(errors).square().mean())
    loss.backward()
    assert [row.grad.nonzero().flatten().tolist() for row in draw] == [[LENGTHS[0][0]], [LENGTHS[1][0] + 3]]
