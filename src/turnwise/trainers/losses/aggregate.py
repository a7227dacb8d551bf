"""From a loss per token to one number, in the ways trainers differ in."""

from typing import Literal

import torch

Mode = Literal["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]
MODES: tuple[Mode, ...] = (
    "token-mean",
    "token-sum",
    "seq-mean-token-sum",
    "seq-mean-token-mean",
    "seq-mean-token-sum-norm",
)


def masked_sum(values: torch.Tensor, mask: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Sum where the mask is set; what stands elsewhere, NaN included, does not matter."""
    kept = torch.where(mask.bool(), values, torch.zeros((), dtype=values.dtype, device=values.device)) * mask
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean where the mask is set, 0 where it is empty."""
    return masked_sum(values, mask) / (mask.sum() + 1e-8)


def aggregate(
    loss: torch.Tensor,
    mask: torch.Tensor,
    mode: Mode = "token-mean",
    *,
    tokens: float | None = None,
    sequences: float | None = None,
    scale: float | None = None,
    episode: torch.Tensor | None = None,
    ranks: int = 1,
) -> torch.Tensor:
    """Aggregate a loss per token.

    Args:
        loss: Shape (B, L).
        mask: Shape (B, L), 1 on the tokens that are trained; a row without any drops out of the sequence mean.
        mode: ``seq-mean-token-sum-norm`` divides by ``scale``, or by the padded width L where it is not given.
        tokens: Trained tokens of the global batch; by default of this one.
        sequences: Rows of the global batch that are trained (episodes where ``episode`` is given).
        scale: Constant length, so that the loss does not depend on the padding.
        episode: Shape (B,), numbers from 0: rows of one episode then count as one sequence; None: a row is one.
        ranks: How many ranks average their gradients.

    Raises:
        ValueError: The mode is unknown, or a global count is missing with several ranks.
    """
    if mode not in MODES:
        raise ValueError(f"unknown aggregation {mode!r}; known: {', '.join(MODES)}")
    if mode == "token-sum":
        return masked_sum(loss, mask) * ranks
    if mode == "token-mean":
        total = mask.sum().clamp(min=1) if tokens is None else tokens
        _need(tokens, ranks, "tokens")
        return masked_sum(loss, mask) / total * ranks
    _need(sequences, ranks, "sequences")
    sums, counts = _per_sequence(loss, mask, episode)
    if mode == "seq-mean-token-mean":
        sums = sums / (counts + 1e-8)
    present = (counts > 0).to(loss.dtype)
    mean = (sums * present).sum() / (present.sum().clamp(min=1) if sequences is None else sequences) * ranks
    if mode == "seq-mean-token-sum-norm":
        mean = mean / (loss.shape[-1] if scale is None else scale)
    return mean


def _need(count: float | None, ranks: int, name: str) -> None:
    if count is None and ranks > 1:
        raise ValueError(f"with {ranks} ranks the global number of {name} is needed")


def _per_sequence(
    loss: torch.Tensor, mask: torch.Tensor, episode: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum and token count of each row, or of each episode's rows together."""
    sums, counts = masked_sum(loss, mask, -1), mask.sum(-1).to(loss.dtype)
    if episode is None:
        return sums, counts
    size = int(episode.max()) + 1 if episode.numel() else 0
    zeros = torch.zeros(size, dtype=loss.dtype, device=loss.device)
    return zeros.index_add(0, episode, sums), zeros.index_add(0, episode, counts)
