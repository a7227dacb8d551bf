"""Estimates of the divergence from a reference policy, per token."""

from typing import Literal

import torch

Kind = Literal["k1", "kl", "abs", "k2", "mse", "k3", "low_var_kl", "k1+", "k3+", "abs+"]


def kl_divergence(log_prob: torch.Tensor, ref_log_prob: torch.Tensor, kind: Kind = "k3") -> torch.Tensor:
    """Estimate KL(policy || reference) from log-probs of sampled tokens (Schulman 2020).

    ``k1`` is unbiased and may be negative; ``k2`` is half the squared difference, and its gradient is that of the KL;
    ``k3`` is unbiased and never negative. A ``+`` keeps the value and takes ``k2``'s gradient.

    Args:
        log_prob: Any shape.
        ref_log_prob: The same shape.
        kind: Which estimate; ``kl``, ``mse`` and ``low_var_kl`` are verl's names of k1, k2 and k3.

    Raises:
        ValueError: The kind is unknown.
    """
    name = str(kind)
    value = _forward(log_prob, ref_log_prob, name.removesuffix("+"))
    if not name.endswith("+"):
        return value
    smooth = 0.5 * (log_prob - ref_log_prob).square()
    return smooth - smooth.detach() + value.detach()


def _forward(log_prob: torch.Tensor, ref_log_prob: torch.Tensor, name: str) -> torch.Tensor:
    difference = log_prob - ref_log_prob
    if name in ("k1", "kl"):
        return difference
    if name == "abs":
        return difference.abs()
    if name in ("k2", "mse"):
        return 0.5 * difference.square()
    if name in ("k3", "low_var_kl"):
        back = (-difference).clamp(-20.0, 20.0)
        return (torch.exp(back) - back - 1).clamp(-10.0, 10.0)
    raise ValueError(f"unknown KL estimate {name!r}; known: k1, abs, k2, k3, and each but k2 with a +")
