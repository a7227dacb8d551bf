"""Runs of one environment in order, panel by panel, with the ranks that the evidence leaves open."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from turnwise.evals.data import RunData
from turnwise.evals.efficiency import Efficiency, efficiency
from turnwise.evals.intervals import mean, proportion, unit
from turnwise.evals.metrics import Estimate
from turnwise.evals.statistics import paired


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Entry(_Document):
    """A run on the board."""

    rank: int
    """1 + the number of runs that are surely better (paired tests, false discovery rate 5 %)."""
    rank_worst: int
    """The number of runs that are not surely worse."""
    run: str
    agent: str
    model: str | None
    scored: int
    failed: int
    success: Estimate
    score: Estimate
    efficiency: Efficiency


class Board(_Document):
    """The runs on one panel and environment version; runs on different panels are never ranked together."""

    panel: str | None
    split: str | None
    digest: str
    env_version: str
    tasks: int
    entries: list[Entry]


class Leaderboard(_Document):
    """The document of ``turnwise leaderboard --json``."""

    schema_: int = Field(default=1, alias="schema")
    env: str
    boards: list[Board]

    def document(self) -> dict[str, Any]:
        """Return the document."""
        return self.model_dump(by_alias=True, mode="json")


def leaderboard(env: str, runs: Sequence[RunData]) -> Leaderboard:
    """Rank runs, a board for each panel, environment version and configuration; training runs are left out."""
    groups: dict[tuple[str, str, str], list[RunData]] = defaultdict(list)
    for run in runs:
        if run.record.env == env and run.record.kind != "train" and run.scored:
            groups[run.panel_digest, run.record.env_version, run.record.config_digest].append(run)
    boards = [_board(group) for group in groups.values()]
    return Leaderboard(env=env, boards=sorted(boards, key=lambda board: (-len(board.entries), board.digest)))


def _board(runs: Sequence[RunData]) -> Board:
    better = _surely_better(runs)
    entries = [
        _entry(run, len(better[run.name]), sum(run.name in seen for seen in better.values()), runs) for run in runs
    ]
    record = runs[0].record
    return Board(
        panel=f"{record.panel.name}@{record.panel.version}" if record.panel else None,
        split=record.panel.split if record.panel else None,
        digest=runs[0].panel_digest,
        env_version=record.env_version,
        tasks=len({row.task_key for run in runs for row in run.rows}),
        entries=sorted(
            entries, key=lambda entry: (-(entry.success.mean or 0.0), -(entry.score.mean or 0.0), entry.run)
        ),
    )


def _entry(run: RunData, above: int, below: int, runs: Sequence[RunData]) -> Entry:
    rows = run.scored
    tasks = [row.task_key for row in rows]
    return Entry(
        rank=1 + above,
        rank_worst=len(runs) - below,
        run=run.name,
        agent=run.record.agent,
        model=run.record.model,
        scored=len(rows),
        failed=len(run.rows) - len(rows),
        success=Estimate.of(proportion([bool(row.success) for row in rows], tasks)),
        score=Estimate.of(unit(mean([row.score or 0.0 for row in rows], tasks))),
        efficiency=efficiency(run),
    )


def _surely_better(runs: Sequence[RunData]) -> dict[str, set[str]]:
    """Return for each run the runs that beat it; many pairs are tested, so the false discovery rate is held at 5 %."""
    from scipy import stats

    pairs = [(a, b, _p_value(a, b)) for a, b in combinations(runs, 2)]
    beaten: dict[str, set[str]] = {run.name: set() for run in runs}
    if not pairs:
        return beaten
    adjusted = stats.false_discovery_control(np.array([p for _, _, (_, p) in pairs]))
    for (a, b, (difference, _)), p in zip(pairs, adjusted, strict=True):
        if p < 0.05:
            loser, winner = (a, b) if difference > 0 else (b, a)
            beaten[loser.name].add(winner.name)
    return beaten


def _p_value(a: RunData, b: RunData) -> tuple[float, float]:
    one_each = all(len(seen) == 1 for run in (a, b) for seen in run.outcomes().values())
    rates = [run.by_task(lambda row: float(bool(row.success))) for run in (a, b)]
    found = paired(*rates, binary=one_each)
    return found.difference.mean or 0.0, 1.0 if found.p_value is None else found.p_value
