"""What a success costs, and how a run did on each kind of task."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from turnwise.evals.data import RunData
from turnwise.evals.intervals import mean, proportion, unit
from turnwise.evals.metrics import Estimate
from turnwise.evals.statistics import bootstrap_ratio, cluster_sums
from turnwise.trajectories.tables import EpisodeRow


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Efficiency(_Document):
    """Spent on all scored episodes, for each that succeeded; null where none did, or the quantity is not known."""

    cost: Estimate
    """US dollars."""
    tokens: Estimate
    seconds: Estimate
    """Of the episodes' own time; it depends on the machine."""
    turns: Estimate


class Slice(_Document):
    """The episodes of one kind of task."""

    name: str
    tasks: int
    episodes: int
    success: Estimate
    score: Estimate


def efficiency(run: RunData) -> Efficiency:
    """Return cost, tokens, seconds and turns for each success."""
    rows = run.scored
    return Efficiency(
        cost=_per_success(rows, lambda row: row.cost),
        tokens=_per_success(rows, lambda row: row.prompt_tokens + row.completion_tokens),
        seconds=_per_success(rows, lambda row: row.wall_s),
        turns=_per_success(rows, lambda row: row.n_turns),
    )


def _per_success(rows: Sequence[EpisodeRow], value: Callable[[EpisodeRow], float | None]) -> Estimate:
    known = [(row, spent) for row in rows if (spent := value(row)) is not None]
    if len(known) < len(rows) or not rows:
        return Estimate(mean=None, low=None, high=None)
    tasks = [row.task_key for row in rows]
    tops, _ = cluster_sums([spent for _, spent in known], tasks)
    bottoms, _ = cluster_sums([float(bool(row.success)) for row in rows], tasks)
    return Estimate.of(bootstrap_ratio(tops, bottoms))


def slices(rows: Iterable[EpisodeRow], key: Callable[[EpisodeRow], Iterable[str]]) -> list[Slice]:
    """Return success and score by kind; an episode may be of several kinds, as with tags.

    Args:
        rows: Scored episodes.
        key: The kinds of an episode.
    """
    found: dict[str, list[EpisodeRow]] = defaultdict(list)
    for row in rows:
        for name in key(row):
            found[name].append(row)
    return [_slice(name, found[name]) for name in sorted(found, key=_natural)]


def by_difficulty(run: RunData) -> list[Slice]:
    """Return success by difficulty."""
    return slices(run.scored, lambda row: [] if row.difficulty is None else [str(row.difficulty)])


def by_tag(run: RunData) -> list[Slice]:
    """Return success by tag."""
    return slices(run.scored, lambda row: row.tags)


def by_split(run: RunData) -> list[Slice]:
    """Return success by split."""
    return slices(run.scored, lambda row: [row.split] if row.split else [])


def _slice(name: str, rows: Sequence[EpisodeRow]) -> Slice:
    tasks = [row.task_key for row in rows]
    return Slice(
        name=name,
        tasks=len(set(tasks)),
        episodes=len(rows),
        success=Estimate.of(proportion([bool(row.success) for row in rows], tasks)),
        score=Estimate.of(unit(mean([row.score or 0.0 for row in rows], tasks))),
    )


def _natural(name: str) -> tuple[int, float, str]:
    """Sort numbers as numbers, before names."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
