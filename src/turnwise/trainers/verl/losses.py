"""Losses that verl's workers call: a policy loss of the user's own, and a critic's on the tokens that have a target."""

import importlib
import os
from typing import Any

import torch
from verl.trainer.ppo.core_algos import register_policy_loss
from verl.utils.metric import AggregationType, Metric
from verl.workers.utils.padding import no_padding_2_padding

OWN = "TURNWISE_POLICY_LOSS"
"""Environment variable that names a policy loss as ``module:function``; verl knows it by that name."""


def register_own(path: str) -> None:
    """Make a function known to verl as a policy loss; it is imported when it is first called."""
    module, _, attribute = path.partition(":")

    def loss(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), attribute)(*args, **kwargs)

    register_policy_loss(path)(loss)


def targeted_value_loss(
    config: Any, model_output: Any, data: Any, dp_group: Any = None
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Squared error of the values, clipped as PPO does, on the tokens for which the method gives a target.

    Args:
        config: The critic's configuration.
        model_output: With ``values``.
        data: With ``values`` before the update, ``returns`` and ``value_mask``, the weight of each response token.
        dp_group: Not used.

    Returns:
        The loss, averaged over the whole mini-batch, and metrics.
    """
    del dp_group
    predicted = no_padding_2_padding(model_output["values"], data)
    tokens, ranks = data["batch_num_tokens"], data["dp_size"]
    told = data.select("values", "returns", "value_mask").to_padded_tensor()
    before, targets, weights = told["values"], told["returns"], told["value_mask"]
    clip = config.cliprange_value
    clipped = torch.minimum(torch.maximum(predicted, before - clip), before + clip)
    plain, bounded = (predicted - targets) ** 2, (clipped - targets) ** 2
    loss = 0.5 * (torch.maximum(plain, bounded) * weights).sum() / tokens * ranks
    cut = ((bounded > plain) * weights).sum() / weights.sum().clamp(min=1)
    return loss, {
        "critic/vf_loss": Metric(value=loss, aggregation=AggregationType.SUM),
        "critic/vf_clipfrac": cut.detach().item(),
        "critic/vpred_mean": ((predicted * weights).sum() / weights.sum().clamp(min=1)).detach().item(),
    }


if os.environ.get(OWN):
    register_own(os.environ[OWN])
