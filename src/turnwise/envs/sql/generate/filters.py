"""Conditions on rows: as SQL, and as the words that ask for them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnwise.envs.sql.generate.world import Entity, Field, Link, World, identifier, literal

_HERE = "\0"
"""Stands for the column in a condition's SQL until its alias is known."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One condition on a row, perhaps on a row it refers to over some links."""

    path: tuple[Link, ...]
    field: Field
    pattern: str
    words: str

    def sql(self, alias: str) -> str:
        """Return the condition on the table known by an alias."""
        return self.pattern.replace(_HERE, column(alias, self.field.name))

    @property
    def text(self) -> str:
        """Return the words: "whose album's artist's name is …"."""
        owners = "".join(f"{link.noun}'s " for link in self.path)
        return f"whose {owners}{self.field.words} {self.words}"


def column(alias: str, name: str) -> str:
    """Write a column of an alias; an empty alias leaves it bare."""
    return f"{alias}.{identifier(name)}" if alias else identifier(name)


def said(value: Any) -> str:
    """Write a value into a question."""
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def draw_filter(
    world: World, entity: Entity, rng: random.Random, *, joins: int, negation: bool, own: bool = False
) -> Filter | None:
    """Draw a condition for the rows of a table.

    Args:
        joins: Longest path of references the condition may follow.
        negation: Whether "is not" and missing values may be asked for.
        own: Whether only the table's own columns may be used.
    """
    path: list[Link] = []
    here = entity
    while not own and len(path) < joins and rng.random() < 0.65:
        links = world.parents(here.name)
        if not links:
            break
        link = rng.choice(links)
        if any(step.parent == link.parent for step in path) or link.parent == entity.name:
            break
        path.append(link)
        here = world.entity(link.parent)
    fields = [field for field in here.of("number", "text", "date") if field.distinct > 1 or field.nulls]
    if not fields:
        return None
    field = rng.choices(fields, [1 if field.kind == "text" and field.unique else 4 for field in fields])[0]
    made = _condition(field, rng, negation=negation and rng.random() < 0.3)
    return Filter(path=tuple(path), field=field, pattern=made[0], words=made[1]) if made else None


def _condition(field: Field, rng: random.Random, *, negation: bool) -> tuple[str, str] | None:
    if negation and field.nulls:
        return rng.choice(((f"{_HERE} IS NULL", "is missing"), (f"{_HERE} IS NOT NULL", "is given")))
    make = {"number": _number, "date": _date, "text": _text}[field.kind]
    return make(field, rng, negation and field.distinct <= 30)


def _number(field: Field, rng: random.Random, negation: bool) -> tuple[str, str] | None:
    low, high = sorted(rng.sample(field.values, 2)) if len(field.values) > 1 else (None, None)
    if low is None:
        return None
    value = rng.choice(field.values)
    options = [
        (f"{_HERE} > {literal(low)}", f"is above {said(low)}"),
        (f"{_HERE} < {literal(high)}", f"is below {said(high)}"),
        (f"{_HERE} >= {literal(high)}", f"is at least {said(high)}"),
        (f"{_HERE} <= {literal(low)}", f"is at most {said(low)}"),
        (f"{_HERE} BETWEEN {literal(low)} AND {literal(high)}", f"lies between {said(low)} and {said(high)} inclusive"),
    ]
    if field.distinct <= 12:
        options.append((f"{_HERE} = {literal(value)}", f"is {said(value)}"))
    if negation and field.distinct <= 12:
        options = [(f"{_HERE} <> {literal(value)}", f"is not {said(value)}")]
    return rng.choice(options)


def _date(field: Field, rng: random.Random, negation: bool) -> tuple[str, str]:
    day = rng.choice(field.values)[:10]
    year = int(day[:4])
    if negation:
        bounds = f"{_HERE} >= '{year}-01-01' AND {_HERE} < '{year + 1}-01-01'"
        return f"NOT ({bounds})", f"does not lie in the year {year}"
    return rng.choice(
        (
            (f"{_HERE} < '{day}'", f"lies before {day}"),
            (f"{_HERE} >= '{day}'", f"lies on or after {day}"),
            (f"{_HERE} >= '{year}-01-01' AND {_HERE} < '{year + 1}-01-01'", f"lies in the year {year}"),
        )
    )


def _text(field: Field, rng: random.Random, negation: bool) -> tuple[str, str] | None:
    value = rng.choice(field.values)
    if negation:
        return f"{_HERE} <> {literal(value)}", f"is not {said(value)}"
    options = [(f"{_HERE} = {literal(value)}", f"is {said(value)}")]
    if field.distinct > 3:
        one, two = rng.sample(field.values, 2)
        options.append((f"{_HERE} IN ({literal(one)}, {literal(two)})", f"is {said(one)} or {said(two)}"))
    letter, word = value[:1].upper(), _word(value)
    if letter.isascii() and letter.isalpha():
        options.append((f"{_HERE} LIKE '{letter}%'", f'begins with the letter "{letter}" (in either case)'))
    if word:
        options.append((f"{_HERE} LIKE '%{word}%'", f'contains "{word}" (in either case)'))
    return rng.choice(options)


def _word(value: str) -> str:
    """Return a longer plain word of a text, lower-case; empty if there is none."""
    plain = [part.lower() for part in value.split() if part.isascii() and part.isalpha() and 4 <= len(part) <= 12]
    return plain[0] if plain else ""


class Scope:
    """A FROM clause: a table and the tables that filters and columns reach over references."""

    def __init__(self, entity: Entity, paths: Sequence[tuple[Link, ...]], first: int = 1) -> None:
        self.entity = entity
        self._aliases: dict[tuple[Link, ...], str] = {(): f"t{first}" if any(paths) else ""}
        self._joins: list[str] = []
        for path in paths:
            for depth in range(1, len(path) + 1):
                self._join(path[:depth], first)

    def _join(self, path: tuple[Link, ...], first: int) -> None:
        if path in self._aliases:
            return
        alias, link = f"t{first + len(self._aliases)}", path[-1]
        near, far = column(self._aliases[path[:-1]], link.column), column(alias, link.target)
        self._joins.append(f"JOIN {identifier(link.parent)} AS {alias} ON {near} = {far}")
        self._aliases[path] = alias

    def alias(self, path: tuple[Link, ...] = ()) -> str:
        """Return the alias of the table at the end of a path."""
        return self._aliases[path]

    def column(self, field: Field, path: tuple[Link, ...] = ()) -> str:
        """Write a column."""
        return column(self._aliases[path], field.name)

    @property
    def joins(self) -> int:
        """How many tables are joined."""
        return len(self._joins)

    @property
    def sql(self) -> str:
        """The FROM clause."""
        alias = self._aliases[()]
        first = identifier(self.entity.name) + (f" AS {alias}" if alias else "")
        return " ".join([f"FROM {first}", *self._joins])


@dataclass(frozen=True, kw_only=True)
class Where:
    """Some filters, all of which or one of which must hold."""

    filters: tuple[Filter, ...]
    either: bool = False

    @property
    def paths(self) -> list[tuple[Link, ...]]:
        """The paths the filters follow."""
        return [item.path for item in self.filters]

    def sql(self, scope: Scope) -> str:
        """Return the WHERE clause with a leading space; empty without filters."""
        if not self.filters:
            return ""
        parts = [item.sql(scope.alias(item.path)) for item in self.filters]
        if self.either:
            parts = [f"({part})" if " AND " in part and "BETWEEN" not in part else part for part in parts]
        return " WHERE " + (" OR " if self.either else " AND ").join(parts)

    @property
    def text(self) -> str:
        """Return the words with a leading space; empty without filters."""
        return (
            " " + (" or " if self.either else " and ").join(item.text for item in self.filters) if self.filters else ""
        )


def draw_where(
    world: World, entity: Entity, rng: random.Random, *, filters: int, joins: int, negation: bool, own: bool = False
) -> Where | None:
    """Draw up to ``filters`` conditions, at least one."""
    count = rng.randint(1, max(filters, 1))
    drawn: dict[str, Filter] = {}
    for _ in range(count):
        item = draw_filter(world, entity, rng, joins=joins, negation=negation, own=own)
        if item is not None:
            drawn.setdefault(f"{item.field.table}.{item.field.name}", item)
    if not drawn:
        return None
    return Where(filters=tuple(drawn.values()), either=len(drawn) > 1 and rng.random() < 0.25)
