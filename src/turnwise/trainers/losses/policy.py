"""Policy losses: PPO's clip at the level of tokens, turns or sequences, and clip-cov."""

from typing import Literal

import torch

from turnwise.trainers.losses.aggregate import Mode, aggregate, masked_mean, masked_sum

Level = Literal["token", "turn", "turn_mean", "sequence", "sequence_mean"]


def log_ratio(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    mask: torch.Tensor,
    *,
    level: Level = "token",
    turn: torch.Tensor | None = None,
) -> torch.Tensor:
    """Log of the importance ratio of each token at a level; shape (B, L).

    Args:
        log_prob: Shape (B, L), under the present policy.
        old_log_prob: Shape (B, L), of the policy that sampled.
        mask: Shape (B, L).
        level: ``turn`` and ``sequence`` sum over their tokens (the ratio of the whole); ``_mean`` divides by their
            number (GSPO). The gradient of each token is its own.
        turn: Shape (B, L), the number of each token's turn within its row; needed at the turn levels.

    Raises:
        ValueError: A turn level without ``turn``.
    """
    difference = (log_prob - old_log_prob) * mask
    if level == "token":
        return difference
    if level.startswith("turn"):
        if turn is None:
            raise ValueError(f"level {level!r} needs the turn of each token")
        index = turn.clamp(min=0).long()
    else:
        index = torch.zeros_like(mask, dtype=torch.long)
    width = int(index.max()) + 1 if index.numel() else 1
    blank = torch.zeros(mask.shape[0], width, dtype=log_prob.dtype, device=log_prob.device)
    whole = blank.scatter_add(1, index, difference.detach())
    if level.endswith("_mean"):
        whole = whole / blank.scatter_add(1, index, mask.to(log_prob.dtype)).clamp(min=1)
    return log_prob - log_prob.detach() + whole.gather(1, index)


def ppo_clip(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = 3.0,
    level: Level = "token",
    turn: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
    mode: Mode = "token-mean",
    scale: float | None = None,
    episode: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """PPO's clipped loss, with the dual clip for negative advantages.

    Args:
        log_prob: Shape (B, L).
        old_log_prob: Shape (B, L).
        advantages: Shape (B, L).
        mask: Shape (B, L), 1 on trained tokens.
        clip_low: The ratio may fall to ``1 - clip_low``.
        clip_high: The ratio may rise to ``1 + clip_high``.
        dual_clip: Bound of the loss of negative advantages (> 1); None: no bound.
        level: Level of the ratio.
        turn: Turn of each token, for the turn levels.
        weights: Shape (B, L), factors on the loss: a method's weights, importance corrections.
        mode: Aggregation.
        scale: For ``seq-mean-token-sum-norm``.
        episode: Shape (B,), where several rows are one episode.

    Returns:
        The loss and metrics ``clip_fraction``, ``clip_fraction_lower`` and ``approx_kl``.

    Raises:
        ValueError: ``dual_clip`` is not above 1, or the aggregation is unknown.
    """
    if dual_clip is not None and dual_clip <= 1:
        raise ValueError(f"dual_clip must be above 1, got {dual_clip!r}")
    # exp(20) is still finite in half precision's successor formats; beyond it a ratio carries no information
    difference = log_ratio(log_prob, old_log_prob, mask, level=level, turn=turn).clamp(-20.0, 20.0)
    ratio = torch.exp(difference)
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip_low, 1 + clip_high)
    losses = torch.maximum(plain, clipped)
    lower = torch.zeros_like(losses)
    if dual_clip is not None:
        bound = -advantages * dual_clip
        lower = ((losses > bound) & (advantages < 0)).to(losses.dtype)
        losses = torch.where(advantages < 0, torch.minimum(losses, bound), losses)
    if weights is not None:
        losses = losses * weights
    metrics = {
        "clip_fraction": float(masked_mean((clipped > plain).to(losses.dtype), mask)),
        "clip_fraction_lower": float(masked_mean(lower, mask)),
        "approx_kl": float(masked_mean((old_log_prob - log_prob).detach(), mask)),
    }
    return aggregate(losses, mask, mode, scale=scale, episode=episode), metrics


def clip_cov(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    clip_cov_ratio: float = 0.0002,
    clip_cov_lb: float = 1.0,
    clip_cov_ub: float = 5.0,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    generator: torch.Generator | None = None,
    mode: Mode = "token-mean",
) -> tuple[torch.Tensor, dict[str, float]]:
    """PPO without the gradient of a few tokens whose advantage and log-prob vary together (arXiv 2505.22617).

    Candidates have ``lb < (A - mean A)(logp - mean logp) < ub`` and are not already clipped;
    ``max(1, ⌊ratio · tokens⌋)`` of them, drawn at random, are dropped.

    Args:
        log_prob: Shape (B, L).
        old_log_prob: Shape (B, L).
        advantages: Shape (B, L).
        mask: Shape (B, L).
        clip_cov_ratio: Share of the trained tokens that is dropped; positive.
        clip_cov_lb: Lower bound of the covariance.
        clip_cov_ub: Upper bound.
        clip_low: As in ``ppo_clip``.
        clip_high: As in ``ppo_clip``.
        generator: Draws the tokens; give one with a seed for a repeatable loss.
        mode: Aggregation.

    Raises:
        ValueError: ``clip_cov_ratio`` is not positive.
    """
    if clip_cov_ratio <= 0:
        raise ValueError(f"clip_cov_ratio must be positive, got {clip_cov_ratio!r}")
    ratio = torch.exp(log_prob - old_log_prob)
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip_low, 1 + clip_high)
    covariance = (advantages - masked_mean(advantages, mask)) * (log_prob - masked_mean(log_prob, mask)).detach()
    open_to = (mask > 0) & ~(clipped > plain) & (covariance > clip_cov_lb) & (covariance < clip_cov_ub)
    found = torch.nonzero(open_to)
    count = min(max(int(clip_cov_ratio * float(mask.sum())), 1), len(found))
    chosen = found[torch.randperm(len(found), generator=generator)[:count].to(found.device)]
    keep = torch.ones_like(plain)
    keep[chosen[:, 0], chosen[:, 1]] = 0.0
    loss = aggregate(torch.maximum(plain, clipped) * keep, mask, mode)
    dropped = masked_sum((keep == 0).to(plain.dtype), mask) / (mask.sum() + 1e-8)
    return loss, {
        "clip_fraction": float(dropped),
        "approx_kl": float(masked_mean((old_log_prob - log_prob).detach(), mask)),
    }
