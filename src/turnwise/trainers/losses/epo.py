"""EPO: an entropy bonus, and a penalty where entropy leaves the band of its own history.

Built from the released code, whose phase weight falls over training; the paper's second version describes one that
grows.
"""

from collections.abc import Sequence
from typing import Literal

import torch

from turnwise.trainers.losses.aggregate import Mode, aggregate, masked_sum


def band_penalty(
    entropy: torch.Tensor,
    history: torch.Tensor,
    mask: torch.Tensor,
    *,
    variant: Literal["released", "hinge"] = "released",
    level: Literal["token", "seq"] = "token",
    kappa_l: float = 0.8,
    kappa_r: float = 1.2,
    out_range_penalty: float = 0.1,
    padded_mean: bool = True,
) -> torch.Tensor:
    """Penalty of each token for leaving ``(κ_l H̄, κ_r H̄)``; shape (B, L).

    ``released`` gives 0 inside and ``out_range_penalty`` elsewhere: piecewise constant, so it has no gradient and only
    shifts the reported loss. ``hinge`` gives ``out_range_penalty`` times the distance from the band: it has one.

    Args:
        entropy: Shape (B, L), nats, under the present policy.
        history: Shape (B,), mean over past epochs of the mean entropy at each row's rollout step.
        mask: Shape (B, L).
        variant: See above.
        level: Each token by itself, or the row's mean entropy.
        kappa_l: Lower end of the band as a share of the history.
        kappa_r: Upper end.
        out_range_penalty: α.
        padded_mean: Where ``seq``: the mean over the padded width, as released, or over the trained tokens.
    """
    if level == "seq":
        divisor = entropy.shape[-1] if padded_mean else mask.sum(-1, keepdim=True).clamp(min=1)
        held = entropy.sum(-1, keepdim=True) if padded_mean else masked_sum(entropy, mask, -1).unsqueeze(-1)
        value = (held / divisor).expand_as(entropy)
    else:
        value = entropy
    low, high = (kappa_l * history).unsqueeze(-1), (kappa_r * history).unsqueeze(-1)
    if variant == "hinge":
        return out_range_penalty * (torch.relu(low - value) + torch.relu(value - high))
    inside = (value > low) & (value < high)
    return torch.where(inside, 0.0, out_range_penalty).to(entropy.dtype)


def epo_loss(
    policy_loss: torch.Tensor,
    entropy: torch.Tensor,
    mask: torch.Tensor,
    history: torch.Tensor | None,
    *,
    entropy_coeff: float = 0.001,
    entropy_smooth_coeff: float = 1.0,
    phase_weight: float = 1.0,
    variant: Literal["released", "hinge"] = "released",
    level: Literal["token", "seq"] = "token",
    kappa_l: float = 0.8,
    kappa_r: float = 1.2,
    out_range_penalty: float = 0.1,
    mode: Mode = "token-mean",
) -> torch.Tensor:
    """``L_PG - λ (L_H - c · β · L_smooth)``.

    Args:
        policy_loss: A scalar.
        entropy: Shape (B, L).
        mask: Shape (B, L).
        history: Shape (B,), see ``band_penalty``; None: no epoch has passed, so there is no penalty.
        entropy_coeff: λ.
        entropy_smooth_coeff: c.
        phase_weight: β of the epoch, see ``schedules.epo_phase``.
        variant: See ``band_penalty``.
        level: See ``band_penalty``.
        kappa_l: See ``band_penalty``.
        kappa_r: See ``band_penalty``.
        out_range_penalty: See ``band_penalty``.
        mode: Aggregation of both terms.
    """
    bonus = aggregate(entropy, mask, mode)
    if history is None:
        return policy_loss - entropy_coeff * bonus
    penalty = band_penalty(
        entropy,
        history,
        mask,
        variant=variant,
        level=level,
        kappa_l=kappa_l,
        kappa_r=kappa_r,
        out_range_penalty=out_range_penalty,
    )
    smooth = aggregate(penalty * phase_weight, mask, mode)
    return policy_loss - entropy_coeff * (bonus - entropy_smooth_coeff * smooth)


class EntropyHistory:
    """Mean entropy per rollout step over all epochs so far."""

    def __init__(self, steps: int) -> None:
        """Start empty; ``steps`` is the most turns an episode can have."""
        self.sums = torch.zeros(steps)
        self.epochs = torch.zeros(steps)

    def add(self, entropy: torch.Tensor, mask: torch.Tensor, step: torch.Tensor) -> None:
        """Take in an epoch: entropy and mask of shape (B, L), rollout step of each row, shape (B,)."""
        sums, counts = masked_sum(entropy.detach(), mask, -1), mask.sum(-1).to(entropy.dtype)
        blank = torch.zeros_like(self.sums, dtype=entropy.dtype)
        total, held = blank.index_add(0, step, sums), blank.index_add(0, step, counts)
        seen = held > 0
        self.sums[seen] += (total[seen] / held[seen]).to(self.sums.dtype)
        self.epochs[seen] += 1

    def of(self, step: torch.Tensor | Sequence[int]) -> torch.Tensor:
        """History of each row's rollout step, shape (B,); NaN at a step no epoch has reached."""
        index = torch.as_tensor(step)
        return self.sums[index] / self.epochs[index]
