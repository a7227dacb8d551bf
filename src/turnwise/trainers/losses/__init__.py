"""Losses and regularisers in torch; what they need from records, ``trainers.credit`` computed before."""

import importlib.util

from turnwise.errors import MissingExtraError

if importlib.util.find_spec("torch") is None:
    raise MissingExtraError.of("train", "torch")

from turnwise.trainers.losses.aggregate import MODES, Mode, aggregate, masked_mean, masked_sum
from turnwise.trainers.losses.epo import EntropyHistory, band_penalty, epo_loss
from turnwise.trainers.losses.kl import kl_divergence
from turnwise.trainers.losses.policy import clip_cov, log_ratio, ppo_clip
from turnwise.trainers.losses.replay import Kept, ReplayBuffer

__all__ = [
    "MODES",
    "EntropyHistory",
    "Kept",
    "Mode",
    "ReplayBuffer",
    "aggregate",
    "band_penalty",
    "clip_cov",
    "epo_loss",
    "kl_divergence",
    "log_ratio",
    "masked_mean",
    "masked_sum",
    "ppo_clip",
]
