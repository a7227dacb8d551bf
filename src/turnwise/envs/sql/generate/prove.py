"""Whether a gold query can be trusted to tell right answers from wrong ones."""

import tempfile
from typing import Any, Protocol

from turnwise.envs.sql.compare import Comparison, Row, same
from turnwise.envs.sql.databases import image, variant
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.worker.frames import cell_in
from turnwise.envs.sql.worker.limits import Limits
from turnwise.tasks import assets

SEEDS = tuple(range(1, 11))
"""Variants that are tried."""
PLANTED_SEEDS = tuple(range(101, 113))
WANTED = 2
"""Variants a task is graded on, where so many are fit."""


class Lab(Protocol):
    """Runs queries on a database and its variants, blocking."""

    def rows(self, seed: int | None, sql: str, *, reverse: bool = False) -> list[Row] | None:
        """Return the whole result on the variant (None: the database itself), or None if there is none."""


class SqliteLab:
    """A lab for a SQLite image, given by its digest, or for a file, given by its path, which has no variants."""

    def __init__(self, digest: str, limits: Limits | None = None) -> None:
        self._digest = digest
        self._path = digest if "/" in digest else None
        self._limits = (limits or Limits()).to_json()
        self.error: str | None = None
        """Why the last query gave no result."""

    def rows(self, seed: int | None, sql: str, *, reverse: bool = False) -> list[Row] | None:
        """Return the whole result, or None if the query fails or its result is cut."""
        path = self._path or (image(self._digest) if seed is None else variant(self._digest, seed))
        request: dict[str, Any] = {"op": "query", "image": path, "sql": sql, "limits": self._limits}
        result = ask_now({**request, "reverse": reverse})
        self.error = result["error"] or (None if result["complete"] else "its result is larger than the limits allow")
        if self.error:
            return None
        return [tuple(cell_in(cell) for cell in row) for row in result["rows"]]


def stable(lab: Lab, seed: int | None, sql: str, rule: Comparison) -> list[Row] | None:
    """Return the result if it does not hang on an order that the query leaves open."""
    rows, reversed_rows = lab.rows(seed, sql), lab.rows(seed, sql, reverse=True)
    if rows is None or reversed_rows is None:
        return None
    return rows if same(rows, reversed_rows, rule, ordered=rule.ordered(sql)) else None


def fit_variants(lab: Lab, sql: str, rows: list[Row], rule: Comparison, *, empty: bool = False) -> tuple[int, ...]:
    """Return the seeds of variants on which the gold gives something, and something else.

    Args:
        empty: Whether a variant on which it gives nothing will do where there is no better one.
    """
    chosen: list[int] = []
    spare: list[int] = []
    for seed in SEEDS:
        other = stable(lab, seed, sql, rule)
        if other is not None and not same(other, rows, rule, ordered=rule.ordered(sql)):
            (chosen if other else spare).append(seed)
        if len(chosen) == WANTED:
            break
    return tuple(chosen or (spare[:WANTED] if empty else ()))


def trivial(lab: Lab, rows: list[Row], bare: str, rule: Comparison) -> bool:
    """Whether the result is empty, holds nothing but NULL, or is what the bare query gives too."""
    if not rows or all(cell is None for row in rows for cell in row):
        return True
    plain = lab.rows(None, bare)
    return plain is not None and same(plain, rows, rule, ordered=False)


def planted_image(digest: str, sql: str, rows: list[Row], rule: Comparison) -> str | None:
    """Make a variant into which the query's own constants are planted, and on which it gives something else.

    For queries that find nothing in any plain variant, or the same in all. The variant becomes an asset.

    Returns:
        Its digest, or None if planting changes nothing.
    """
    found = ask_now({"op": "constants", "queries": [sql], "dialect": "sqlite"})["found"]
    spare: str | None = None
    with tempfile.TemporaryDirectory() as directory:
        for seed in PLANTED_SEEDS:
            target = f"{directory}/{seed}.sqlite"
            request = {"op": "variant", "image": image(digest), "target": target, "seed": seed, "plants": found}
            ask_now(request)
            other = stable(SqliteLab(target), None, sql, rule)
            if other is None or same(other, rows, rule, ordered=rule.ordered(sql)):
                continue
            if other:
                return assets.put(target)
            spare = spare or assets.put(target)
    return spare
