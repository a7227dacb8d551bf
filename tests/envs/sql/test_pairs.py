"""500 pairs of results with a known relation: each preset judges as its definition says."""

import random
from collections.abc import Callable

import pytest

from turnwise.envs.sql.compare import comparison, same

Rows = list[tuple[object, ...]]


def table(rng: random.Random) -> Rows:
    """Make rows whose columns cannot be mistaken for each other, with one row twice."""
    width, height = rng.randint(2, 4), rng.randint(3, 9)
    makers: list[Callable[[int], object]] = [
        lambda i: i,
        lambda i: f"name {i}",
        lambda i: i + 0.125,
        lambda i: None if i % 3 == 0 else f"x{i}",
    ]
    rows: Rows = [tuple(makers[column](i) for column in range(width)) for i in range(height)]
    return [*rows, rows[0]]


def reordered(rows: Rows, rng: random.Random) -> Rows:
    return rows[1:] + rows[:1] if rows[0] != rows[1] else rows[::-1]


def recolumned(rows: Rows, rng: random.Random) -> Rows:
    return [row[1:] + row[:1] for row in rows]


def deduplicated(rows: Rows, rng: random.Random) -> Rows:
    return list(dict.fromkeys(rows))


def shorter(rows: Rows, rng: random.Random) -> Rows:
    return rows[:1] + rows[2:]


def longer(rows: Rows, rng: random.Random) -> Rows:
    return [*rows, tuple(-1 for _ in rows[0])]


def one_cell(rows: Rows, rng: random.Random) -> Rows:
    place = rng.randrange(1, len(rows) - 1)
    return [(("wrong", *row[1:]) if i == place else row) for i, row in enumerate(rows)]


def one_column_less(rows: Rows, rng: random.Random) -> Rows:
    return [row[:-1] for row in rows]


def swapped_cells(rows: Rows, rng: random.Random) -> Rows:
    """Swap one cell between two rows: each column's values stay the same."""
    first, second = rows[1], rows[2]
    return [rows[0], (second[0], *first[1:]), (first[0], *second[1:]), *rows[3:]]


def last_digit(rows: Rows, rng: random.Random) -> Rows:
    return [tuple(cell * (1 + 1e-12) if isinstance(cell, float) else cell for cell in row) for row in rows]


def equal(rows: Rows, rng: random.Random) -> Rows:
    return list(rows)


# (default, spider, bird), each for an unordered gold; then the same for an ordered one.
RELATIONS: list[tuple[Callable[[Rows, random.Random], Rows], tuple[bool, ...], tuple[bool, ...]]] = [
    (equal, (True, True, True), (True, True, True)),
    (reordered, (True, True, True), (False, False, True)),
    (recolumned, (True, True, False), (True, True, False)),
    (deduplicated, (False, False, True), (False, False, True)),
    (shorter, (False, False, False), (False, False, False)),
    (longer, (False, False, False), (False, False, False)),
    (one_cell, (False, False, False), (False, False, False)),
    (one_column_less, (False, False, False), (False, False, False)),
    (swapped_cells, (False, False, False), (False, False, False)),
    (last_digit, (True, False, False), (True, False, False)),
]


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation[0].__name__)
def test_each_preset_judges_as_defined(
    relation: tuple[Callable[[Rows, random.Random], Rows], tuple[bool, ...], tuple[bool, ...]],
) -> None:
    change, unordered, ordered = relation
    rng = random.Random(change.__name__)
    for number in range(50):
        gold = table(rng)
        if change is last_digit:
            gold = [(*row[:2], 0.1 + number) for row in gold]
        answer = change(gold, rng)
        for wanted, sql in ((unordered, "SELECT a FROM t"), (ordered, "SELECT a FROM t ORDER BY a")):
            for name, verdict in zip(("default", "spider", "bird"), wanted, strict=True):
                rule = comparison(name)
                assert same(answer, gold, rule, ordered=rule.ordered(sql)) is verdict, (name, sql, gold, answer)
