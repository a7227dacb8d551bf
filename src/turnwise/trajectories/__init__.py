"""What happened: the records, the store, export."""

if __name__ != "turnwise.trajectories":
    raise ImportError(f"import turnwise.trajectories, not {__name__}")

from turnwise.trajectories.records import (
    SOURCES,
    VOLATILE,
    Attempt,
    ContextRecord,
    CriticValues,
    Failure,
    Hint,
    Judgement,
    PanelRef,
    Span,
    Timings,
    TokenSequence,
    Trajectory,
    Turn,
    Usage,
    episode_id,
    group_uid,
    stable_seed,
    without_volatile,
)
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import CreditRow, EpisodeRow, Measured, MetricRow

__all__ = [
    "SOURCES",
    "VOLATILE",
    "Attempt",
    "ContextRecord",
    "CreditRow",
    "CriticValues",
    "EpisodeRow",
    "Failure",
    "Hint",
    "Judgement",
    "Measured",
    "MetricRow",
    "PanelRef",
    "RunRecord",
    "Span",
    "Store",
    "Timings",
    "TokenSequence",
    "Trajectory",
    "Turn",
    "Usage",
    "episode_id",
    "group_uid",
    "stable_seed",
    "without_volatile",
]
