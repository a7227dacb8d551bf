"""A seeded variant of a database: same schema, other rows, so that only a query that means the right thing is right.

Rows are dropped, added and changed a little: values change places within their column (so constants of a question
still occur), numbers move, the extremes of a column give way, references point elsewhere but never nowhere, and a
column whose values were unique keeps them unique.
"""

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

DROP, SWAP, JITTER, GROW = 0.12, 0.4, 0.3, 0.06
"""Shares of rows dropped and of values swapped and moved, and of rows added; the first and last vary with the seed."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    name: str
    locator: tuple[str, ...]
    """Columns that find a row: ``rowid``, or the primary key of a table without one."""
    columns: tuple[str, ...]
    types: tuple[str, ...]
    primary: tuple[str, ...]
    fixed: frozenset[str]
    """Columns that no change touches: keys, what is referenced, what is unique or generated."""
    foreign: tuple[tuple[str, str, str], ...]
    """(column, table, column referenced)."""


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


Plant = tuple[str, Any]
"""A column's lower-case name and a value that should occur in it."""


def build_variant(source: str, target: str, seed: int, plants: Sequence[Plant] | None = None) -> None:
    """Write the variant of the database at ``source`` to ``target``; the file appears whole or not at all.

    Args:
        source: The database.
        target: Where the variant goes.
        seed: Decides what is changed.
        plants: Values to plant into columns, so that queries which ask for them find something; and other values
            become the most frequent. References may then lead nowhere.
    """
    partial = f"{target}.{os.getpid()}.partial"
    shutil.copyfile(source, partial)
    os.chmod(partial, 0o600)
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "ignore_check_constraints=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _change(connection, seed, plants)
    finally:
        connection.close()
    os.replace(partial, target)


def _change(connection: sqlite3.Connection, seed: int, plants: Sequence[Plant] | None) -> None:
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    connection.execute("BEGIN")
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {quoted(name)}")
    tables = _tables(connection)
    for table in _children_first(tables):
        rng = random.Random(f"{seed}:{table.name}")
        # Both at once could leave a small table as large as it was.
        mood = rng.choice(("drop", "grow", "both"))
        can_grow = len(table.primary) < 2
        dropped = (mood != "grow" or not can_grow) and _drop(connection, table, tables, rng)
        _alter(connection, table, rng)
        if can_grow and (mood != "drop" or not dropped):
            _grow(connection, table, rng)
        if plants is not None:
            _skew(connection, table, rng)
            _plant(connection, table, plants, rng)
    for _, sql in triggers:
        connection.execute(sql)
    connection.execute("COMMIT")


def _tables(connection: sqlite3.Connection) -> list[_Table]:
    rows = connection.execute("PRAGMA table_list").fetchall()
    names = sorted(
        (row[1], bool(row[4])) for row in rows if row[0] == "main" and row[2] == "table" and row[1][:7] != "sqlite_"
    )
    referenced: dict[str, set[str]] = {}
    foreign = {name: _foreign(connection, name) for name, _ in names}
    for links in foreign.values():
        for _, parent, column in links:
            referenced.setdefault(parent.lower(), set()).add(column.lower())
    return [_table(connection, name, plain, foreign[name], referenced) for name, plain in names]


def _foreign(connection: sqlite3.Connection, table: str) -> tuple[tuple[str, str, str], ...]:
    links = []
    for row in connection.execute(f"PRAGMA foreign_key_list({quoted(table)})"):
        column = row[4]
        if column is None:
            keys = [info[1] for info in connection.execute(f"PRAGMA table_info({quoted(row[2])})") if info[5]]
            column = keys[0] if keys else row[3]
        links.append((row[3], row[2], column))
    return tuple(links)


def _table(
    connection: sqlite3.Connection,
    name: str,
    without_rowid: bool,
    foreign: tuple[tuple[str, str, str], ...],
    referenced: dict[str, set[str]],
) -> _Table:
    info = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
    columns = [(row[1], str(row[2]).upper(), row[5]) for row in info if not row[6]]
    primary = tuple(column for column, _, key in sorted(columns, key=lambda c: c[2]) if key)
    fixed = set(primary) | {column for column, _, _ in columns if column.lower() in referenced.get(name.lower(), set())}
    for index in connection.execute(f"PRAGMA index_list({quoted(name)})").fetchall():
        if index[2]:
            fixed |= {row[2] for row in connection.execute(f"PRAGMA index_info({quoted(index[1])})") if row[2]}
    return _Table(
        name=name,
        locator=primary if without_rowid else ("rowid",),
        columns=tuple(column for column, _, _ in columns),
        types=tuple(kind for _, kind, _ in columns),
        primary=primary,
        fixed=frozenset(fixed),
        foreign=foreign,
    )


def _children_first(tables: Sequence[_Table]) -> list[_Table]:
    """Order tables so that one comes after those that refer to it, as far as there are no cycles."""
    left, ordered = list(tables), []
    while left:
        parents = {parent.lower() for table in left for _, parent, _ in table.foreign if parent != table.name}
        free = [table for table in left if table.name.lower() not in parents] or left[:1]
        ordered += free
        left = [table for table in left if table not in free]
    return ordered


def _locate(table: _Table) -> str:
    return " AND ".join(f"{quoted(column)} IS ?" for column in table.locator)


def _rows(connection: sqlite3.Connection, table: _Table) -> list[tuple[Any, ...]]:
    keys = ", ".join(quoted(column) for column in table.locator)
    columns = ", ".join(quoted(column) for column in table.columns)
    return connection.execute(f"SELECT {keys}, {columns} FROM {quoted(table.name)} ORDER BY {keys}").fetchall()


def _drop(connection: sqlite3.Connection, table: _Table, tables: Sequence[_Table], rng: random.Random) -> bool:
    """Drop some rows that nothing refers to; say whether there were any."""
    links = [
        (child.name, column, target)
        for child in tables
        for column, parent, target in child.foreign
        if parent.lower() == table.name.lower()
    ]
    used = [
        {row[0] for row in connection.execute(f"SELECT DISTINCT {quoted(column)} FROM {quoted(child)}")}
        for child, column, _ in links
    ]
    places = [[c.lower() for c in table.columns].index(target.lower()) for _, _, target in links]
    width = len(table.locator)
    free = [
        row
        for row in _rows(connection, table)
        if not any(row[width + place] in values for place, values in zip(places, used, strict=True))
    ]
    count = min(round(len(free) * DROP * rng.uniform(0.5, 1.5) + 0.5), max(len(free) - 1, 0))
    for row in rng.sample(free, count):
        connection.execute(f"DELETE FROM {quoted(table.name)} WHERE {_locate(table)}", row[:width])
    return count > 0


def _alter(connection: sqlite3.Connection, table: _Table, rng: random.Random) -> None:
    rows = _rows(connection, table)
    width = len(table.locator)
    links = {column.lower() for column, _, _ in table.foreign}
    for place, column in enumerate(table.columns):
        if column in table.fixed or column in table.locator or not rows:
            continue
        old = [row[width + place] for row in rows]
        new = _new_values(old, rng, reference=column.lower() in links)
        changes = [
            (after, *row[:width]) for row, before, after in zip(rows, old, new, strict=True) if after is not before
        ]
        connection.executemany(
            f"UPDATE OR IGNORE {quoted(table.name)} SET {quoted(column)} = ? WHERE {_locate(table)}", changes
        )


def _new_values(old: list[Any], rng: random.Random, *, reference: bool) -> list[Any]:
    new = list(old)
    places = rng.sample(range(len(old)), round(len(old) * SWAP))
    moved = [new[place] for place in places]
    rng.shuffle(moved)
    for place, value in zip(places, moved, strict=True):
        new[place] = value
    if reference:
        return new
    numbers = [value for value in old if isinstance(value, int | float)]
    if numbers and len(numbers) == sum(value is not None for value in old):
        return _jitter(new, numbers, rng)
    return _trim(new, rng)


def _jitter(values: list[Any], numbers: list[float], rng: random.Random) -> list[Any]:
    """Move some numbers by up to a tenth of their spread; flags and codes of few values change places only."""
    spread = max(numbers) - min(numbers)
    if len(set(numbers)) < 4 and len(numbers) > 12:
        return values
    unique = len(set(numbers)) == len(numbers)
    reach = max(spread / 10, 1)
    taken = set(numbers)
    for place, value in enumerate(values):
        if value is None or rng.random() >= JITTER:
            continue
        moved = value + rng.uniform(-reach, reach)
        fresh: Any = round(moved) if isinstance(value, int) else round(moved, 2)
        if min(numbers) >= 0 > fresh or (unique and fresh in taken):
            continue
        taken.add(fresh)
        values[place] = fresh
    return _trim(values, rng)


def _trim(values: list[Any], rng: random.Random) -> list[Any]:
    """Let the extremes of a column of repeated values give way; a unique one keeps its values."""
    known = [value for value in values if isinstance(value, str | int | float)]
    kinds = {isinstance(value, str) for value in known}
    if len(kinds) != 1 or len(set(known)) < 3 or len(set(known)) == len(known):
        return values
    ends = {min(known), max(known)} if rng.random() < 0.5 else {rng.choice((min(known), max(known)))}
    inner = sorted({value for value in known if value not in ends})
    if sum(value in ends for value in known) > len(known) // 4:
        return values
    return [rng.choice(inner) if value in ends else value for value in values]


def _grow(connection: sqlite3.Connection, table: _Table, rng: random.Random) -> None:
    """Add some rows like those there are, at least one, where a fresh key can be made."""
    rows = _rows(connection, table)
    width = len(table.locator)
    if not rows:
        return
    links = {column.lower() for column, _, _ in table.foreign}
    unique = [
        place
        for place, column in enumerate(table.columns)
        if column in table.primary or (column.lower() not in links and _all_distinct([r[width + place] for r in rows]))
    ]
    top = [_top(row[width + place] for row in rows) for place in range(len(table.columns))]
    marks = ", ".join("?" * len(table.columns))
    names = ", ".join(quoted(column) for column in table.columns)
    for number in range(1, 1 + max(1, round(len(rows) * GROW * rng.uniform(0.5, 1.5)))):
        fresh = list(rng.choice(rows)[width:])
        for place in unique:
            fresh[place] = _another(fresh[place], top[place], number)
        connection.execute(f"INSERT OR IGNORE INTO {quoted(table.name)} ({names}) VALUES ({marks})", fresh)


def _skew(connection: sqlite3.Connection, table: _Table, rng: random.Random) -> None:
    """Make other values frequent: overwrite with one, or, where none may be changed, drop rows of the commonest."""
    rows = _rows(connection, table)
    width = len(table.locator)
    for place, column in enumerate(table.columns):
        values = [row[width + place] for row in rows]
        if len(set(values)) in {0, len(values)} or rng.random() < 0.5:
            continue
        if column not in table.fixed:
            chosen, value = rng.sample(rows, round(len(rows) * 0.4)), rng.choice(values)
            sql = f"UPDATE OR IGNORE {quoted(table.name)} SET {quoted(column)} = ? WHERE {_locate(table)}"
            connection.executemany(sql, [(value, *row[:width]) for row in chosen])
        elif len(table.primary) > 1:
            common = Counter(values).most_common(1)[0][0]
            doomed = [row[:width] for row in rows if row[width + place] == common and rng.random() < 0.7]
            connection.executemany(f"DELETE FROM {quoted(table.name)} WHERE {_locate(table)}", doomed)


def _plant(connection: sqlite3.Connection, table: _Table, plants: Sequence[Plant], rng: random.Random) -> None:
    names = {column.lower(): column for column in table.columns}
    for name, value in plants:
        column = names.get(name)
        rows = _rows(connection, table) if column else []
        if column is None or not rows:
            continue
        # A key or unique column takes a value once.
        share = rng.choice((0.1, 0.5))
        count = 1 if column in table.fixed else max(1, round(len(rows) * share))
        for row in rng.sample(rows, min(count, len(rows))):
            connection.execute(
                f"UPDATE OR IGNORE {quoted(table.name)} SET {quoted(column)} = ? WHERE {_locate(table)}",
                (value, *row[: len(table.locator)]),
            )


def _top(values: Iterable[Any]) -> int:
    return max((value for value in values if isinstance(value, int)), default=0)


def _all_distinct(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


def _another(value: Any, top: int, number: int) -> Any:
    """Make a value that the column does not hold yet."""
    if isinstance(value, str):
        return f"{value} {number + 1}"
    return top + number if isinstance(value, int) else value
