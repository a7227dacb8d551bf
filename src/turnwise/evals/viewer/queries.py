"""What the pages ask the store: a page of rows at a time, sums from one index, never all records."""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

from turnwise.evals.intervals import Interval, proportion_by_task
from turnwise.evals.viewer.search import SearchIndex, expression
from turnwise.trajectories.records import Trajectory, Turn
from turnwise.trajectories.store import Store

Answer = TypeVar("Answer")

PAGE = 50
TURNS = 50
COUNTED = 10_000
"""Hits of a search that are counted; a reader who has more will narrow it down."""
SEARCH_S = 2.0
"""How long a search may take before it says that it has not seen everything."""

STRIDE = 500
"""Episodes looked through between two looks at the clock."""

SORTS = {
    "task": "task_id, sample",
    "score": "score DESC, task_id",
    "reward": "reward DESC, task_id",
    "turns": "n_turns DESC, task_id",
    "newest": "ended_at DESC",
}
COLUMNS = "task_id, sample, episode_id, stop_reason, scored, success, score, reward, n_turns, n_invalid, failure_kind"
OUTCOMES = {
    "solved": "success = 1",
    "unsolved": "scored = 1 AND success = 0",
    "failed": "scored = 0",
    "invalid": "n_invalid > 0",
}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a reader of the episode list asked for."""

    outcome: str = ""
    stop: str = ""
    q: str = ""
    sort: str = "task"
    page: int = 1

    def where(self, run: str) -> tuple[str, list[Any]]:
        """Return the condition on the index's columns, and its values."""
        conditions, values = ["run = ?", "latest = 1"], [run]
        if self.outcome in OUTCOMES:
            conditions.append(OUTCOMES[self.outcome])
        if self.stop:
            conditions.append("stop_reason = ?")
            values.append(self.stop)
        return " AND ".join(conditions), values


@dataclass(frozen=True, kw_only=True)
class Sums:
    """A run in numbers."""

    n: int
    scored: int
    success: Interval
    score: float | None
    reward: float | None
    turns: float | None
    failed: int


@dataclass(frozen=True, kw_only=True)
class EpisodePage:
    """A page of the episode list."""

    rows: list[Any]
    total: int
    """Rows that fit the filters; with an unfinished search, those found so far."""
    more: bool = False
    """Whether a search found more than ``total``, which are not counted."""
    complete: bool = True
    indexed: float = 1.0
    """The share of the store's episodes that the search index held when it was asked."""


class Remembered:
    """Answers about a store that hold until something is added to it; the counts of a large run take a moment."""

    MOST = 512

    def __init__(self) -> None:
        self._mark, self._known = "", dict[tuple[Any, ...], Any]()

    def get(self, mark: str, key: tuple[Any, ...], ask: Callable[[], Answer]) -> Answer:
        """Return what is known for the key, or ask."""
        if mark != self._mark or len(self._known) > self.MOST:
            self._mark, self._known = mark, {}
        known = self._known
        if key not in known:
            known[key] = ask()
        answer: Answer = known[key]
        return answer


def sums(store: Store, run: str) -> Sums:
    """Sum a run up."""
    sql = (
        "SELECT count(*) AS n, coalesce(sum(scored), 0) AS scored, coalesce(sum(success), 0) AS won, "
        "avg(score) AS score, avg(reward) AS reward, avg(n_turns) AS turns "
        "FROM episodes INDEXED BY episodes_list WHERE run = ? AND latest = 1"
    )
    by_task = (
        "SELECT sum(success) AS won, count(*) AS n FROM episodes INDEXED BY episodes_list "
        "WHERE run = ? AND latest = 1 AND scored = 1 GROUP BY task_id"
    )
    row = store.query(sql, run)[0]
    tasks = store.query(by_task, run)
    return Sums(
        n=row["n"],
        scored=row["scored"],
        success=proportion_by_task([task["won"] for task in tasks], [task["n"] for task in tasks]),
        score=row["score"],
        reward=row["reward"],
        turns=row["turns"],
        failed=row["n"] - row["scored"],
    )


def stop_reasons(store: Store, run: str) -> list[Any]:
    """Count a run's episodes by the reason they ended."""
    sql = "SELECT stop_reason, count(*) AS n FROM episodes WHERE run = ? AND latest = 1 GROUP BY stop_reason"
    return sorted(store.query(sql, run), key=lambda row: -row["n"])


def episodes(
    store: Store,
    index: SearchIndex,
    run: str,
    filters: Filters,
    remembered: Remembered | None = None,
    *,
    counted: int = COUNTED,
) -> EpisodePage:
    """Return a page of a run's episodes; of a search's hits, ``counted`` are counted at most, or up to the page."""
    where, values = filters.where(run)
    order, offset = SORTS.get(filters.sort, SORTS["task"]), (max(filters.page, 1) - 1) * PAGE
    if filters.q:
        words = expression(filters.q)
        if words is None:
            return _scan(store, run, filters, order, offset)
        return _search(index, words, (where, values), order=order, offset=offset, counted=counted)
    known = remembered or Remembered()
    count = f"SELECT count(*) AS n FROM episodes WHERE {where}"
    total = known.get(mark(store), (count, *values), lambda: store.query(count, *values)[0]["n"])
    sql = f"SELECT {COLUMNS} FROM episodes WHERE {where} ORDER BY {order} LIMIT {PAGE} OFFSET ?"
    rows = known.get(mark(store), (sql, *values, offset), lambda: store.query(sql, *values, offset))
    return EpisodePage(rows=rows, total=total)


def _search(
    index: SearchIndex, words: str, fits: tuple[str, list[Any]], *, order: str, offset: int, counted: int
) -> EpisodePage:
    """Ask the index; while it is being filled, for as long as a reader would wait and then for what it has."""
    whole, (where, values) = index.wait(SEARCH_S), fits
    share = 1.0 if whole else index.share
    # The plus keeps SQLite to the index of lists: going by the ids found would read a whole record for each.
    where += " AND +id IN (SELECT rowid FROM temp.said WHERE said MATCH ?)"
    # One query for the page and the count: the set of the ids found is what takes the time.
    most = max(counted, offset + PAGE) + 1
    sql = f"SELECT id FROM main.episodes WHERE {where} ORDER BY {order} LIMIT {most}"
    found = [row["id"] for row in index.query(sql, *values, words)]
    rows = index.query(
        f"SELECT {COLUMNS} FROM main.episodes WHERE id IN (SELECT value FROM json_each(?)) ORDER BY {order}",
        json.dumps(found[offset : offset + PAGE]),
    )
    more = len(found) == most
    return EpisodePage(rows=rows, total=len(found) - more, more=more, complete=whole, indexed=share)


def _scan(store: Store, run: str, filters: Filters, order: str, offset: int) -> EpisodePage:
    """Look through texts for what an index of words does not know: signs alone, scripts without spaces."""
    where, values = filters.where(run)
    # Records are JSON: a quotation mark or a backslash stands there escaped.
    plain, inside = _like(filters.q), _like(json.dumps(filters.q, ensure_ascii=False)[1:-1])
    sql = (
        f"SELECT * FROM episodes e WHERE {where} AND id BETWEEN ? AND ? AND (task_id LIKE ? ESCAPE '\\' OR "
        "episode_id LIKE ? ESCAPE '\\' OR failure LIKE ? ESCAPE '\\' OR record LIKE ? ESCAPE '\\' OR EXISTS "
        "(SELECT 1 FROM turns t WHERE t.episode = e.id AND t.record LIKE ? ESCAPE '\\'))"
    )
    found: list[Any] = []
    deadline = time.monotonic() + SEARCH_S
    upper = store.query("SELECT coalesce(max(id), 0) AS top FROM episodes")[0]["top"]
    while upper > 0 and time.monotonic() < deadline and len(found) < offset + 20 * PAGE:
        found += store.query(sql, *values, upper - STRIDE + 1, upper, plain, plain, plain, inside, inside)
        upper -= STRIDE
    for key, descending in [(part.split()[0], "DESC" in part) for part in reversed(order.split(", "))]:
        found.sort(key=itemgetter(key) if key in ("task_id", "sample") else _or_least(key), reverse=descending)
    return EpisodePage(rows=found[offset : offset + PAGE], total=len(found), complete=upper <= 0)


def _like(text: str) -> str:
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _or_least(key: str) -> Callable[[Any], float]:
    return lambda row: float("-inf") if row[key] is None else row[key]


def find(store: Store, run: str, episode_id: str, attempt: int | None = None) -> sqlite3.Row | None:
    """Return an episode's row, the latest attempt unless one is named."""
    which = "latest = 1" if attempt is None else "attempt = ?"
    sql = f"SELECT id, attempt, n_turns, group_uid FROM episodes WHERE run = ? AND episode_id = ? AND {which}"
    rows = store.query(sql, run, episode_id, *([] if attempt is None else [attempt]))
    return rows[0] if rows else None


def head(store: Store, key: int) -> Trajectory:
    """Return an episode without its turns and tokens."""
    return Trajectory.model_validate_json(store.query("SELECT record FROM episodes WHERE id = ?", key)[0]["record"])


def turns(store: Store, key: int, first: int, count: int) -> list[Turn]:
    """Return some of an episode's turns."""
    sql = "SELECT record FROM turns WHERE episode = ? AND idx >= ? ORDER BY idx LIMIT ?"
    return [Turn.model_validate_json(row["record"]) for row in store.query(sql, key, first, count)]


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Where in an episode to look first."""

    wrong: list[int]
    """Turns whose calls were wrong or did not work, the first of them."""
    more: int
    """How many more such turns there are."""
    last: Turn | None


def signs(store: Store, key: int, most: int = 8) -> Signs:
    """Return the turns that tell most about how an episode ended."""
    sql = "SELECT idx FROM turns WHERE episode = ? AND status IN ('invalid', 'failed') ORDER BY idx"
    wrong = [row["idx"] for row in store.query(sql, key)]
    last = store.query("SELECT record FROM turns WHERE episode = ? ORDER BY idx DESC LIMIT 1", key)
    return Signs(
        wrong=wrong[:most],
        more=max(len(wrong) - most, 0),
        last=Turn.model_validate_json(last[0]["record"]) if last else None,
    )


def neighbours(store: Store, run: str, episode_id: str) -> tuple[str | None, str | None]:
    """Return the episodes before and after one, in the order of the list."""
    at = "(SELECT task_id, sample, episode_id FROM episodes WHERE run = ? AND episode_id = ? AND latest = 1)"
    both = []
    for sign, order in (("<", "DESC"), (">", "ASC")):
        sql = (
            "SELECT episode_id FROM episodes "
            f"WHERE run = ? AND latest = 1 AND (task_id, sample, episode_id) {sign} {at} "
            f"ORDER BY task_id {order}, sample {order}, episode_id {order} LIMIT 1"
        )
        rows = store.query(sql, run, run, episode_id)
        both.append(rows[0]["episode_id"] if rows else None)
    return both[0], both[1]


def group(store: Store, uid: str, most: int = 64) -> list[sqlite3.Row]:
    """Return the episodes of a group."""
    sql = (
        "SELECT id, episode_id, task_id, sample, success, score, reward, stop_reason, n_turns FROM episodes "
        "WHERE group_uid = ? AND latest = 1 ORDER BY sample LIMIT ?"
    )
    return store.query(sql, uid, most)


def mark(store: Store) -> str:
    """Return a text that changes with every episode, run or number added."""
    sql = (
        "SELECT (SELECT coalesce(max(id), 0) FROM episodes) || '.' || (SELECT count(*) FROM runs) || '.' || "
        "(SELECT coalesce(max(rowid), 0) FROM metrics) AS mark"
    )
    return str(store.query(sql)[0]["mark"])
