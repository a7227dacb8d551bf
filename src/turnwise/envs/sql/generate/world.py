"""A database as the generator sees it: what each column holds, and which tables lead to which."""

import re
from dataclasses import dataclass
from typing import Any, Protocol

from turnwise.envs.sql.databases import Catalog, catalog_now, image
from turnwise.envs.sql.generate import words
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.worker.limits import Limits
from turnwise.errors import TaskError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYWORDS = frozenset(
    """
    abort action add after all alter always analyze and as asc attach autoincrement before begin between by
    cascade case cast check collate column commit conflict constraint create cross current current_date
    current_time current_timestamp database default deferrable deferred delete desc detach distinct do drop each
    else end escape except exclude exclusive exists explain fail filter first following for foreign from full
    generated glob group groups having if ignore immediate in index indexed initially inner insert instead
    intersect into is isnull join key last left like limit match materialized natural no not nothing notnull null
    nulls of offset on or order others outer over partition plan pragma preceding primary query raise range
    recursive references regexp reindex release rename replace restrict returning right rollback row rows
    savepoint select set table temp temporary then ties to transaction trigger unbounded union unique update user
    using vacuum values view virtual when where window with without
    """.split()  # noqa: SIM905 - a long list of words reads better so
)
SAMPLED = 60


@dataclass(frozen=True, kw_only=True)
class Field:
    """A column with what it holds."""

    table: str
    name: str
    kind: str
    """``number``, ``text``, ``date`` or ``key`` (identifies or refers; never filtered or summed)."""
    nulls: int
    distinct: int
    values: tuple[Any, ...]
    """Some of its values, spread evenly over their order."""
    unique: bool

    @property
    def words(self) -> str:
        """The column's name in words, without a repeated table name."""
        text, own = words.words(self.name), words.singular(self.table)
        shorter = text.removeprefix(own + " ")
        return shorter or text


@dataclass(frozen=True, kw_only=True)
class Link:
    """A reference from one table to another."""

    child: str
    column: str
    parent: str
    target: str

    @property
    def noun(self) -> str:
        """What the child calls the row it refers to."""
        return words.without_key(self.column) or words.singular(self.parent)


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A table with its columns, and the one that names its rows."""

    name: str
    rows: int
    fields: tuple[Field, ...]
    label: Field | None

    def of(self, *kinds: str) -> list[Field]:
        """Return the columns of the kinds."""
        return [field for field in self.fields if field.kind in kinds]

    @property
    def one(self) -> str:
        """The word for one row."""
        return words.singular(self.name)

    @property
    def many(self) -> str:
        """The word for the rows."""
        return words.plural(self.name)


class Runner(Protocol):
    """Runs trusted statements on a database, blocking."""

    def __call__(self, sql: str, /) -> list[list[Any]]:
        """Return the rows of a statement of ours."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The tables that hold anything, and their references."""

    entities: tuple[Entity, ...]
    links: tuple[Link, ...]

    def entity(self, name: str) -> Entity:
        """Return a table by name."""
        return next(entity for entity in self.entities if entity.name == name)

    def parents(self, name: str) -> list[Link]:
        """Return the references that leave a table."""
        return [link for link in self.links if link.child == name and link.parent != name]

    def children(self, name: str) -> list[Link]:
        """Return the references that arrive at a table."""
        return [link for link in self.links if link.parent == name and link.child != name]


def identifier(name: str) -> str:
    """Write an identifier, quoted where it must be."""
    if _PLAIN.fullmatch(name) and name.lower() not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """Write a value as SQL."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def sqlite_runner(digest: str) -> Runner:
    """Return a runner for a SQLite image."""
    limits, path = Limits(steps=2_000_000_000, cpu_s=300).to_json(), image(digest)

    def run(sql: str, /) -> list[list[Any]]:
        result = ask_now({"op": "query", "image": path, "sql": sql, "limits": limits})
        if result["error"]:
            raise TaskError(f"the database could not be read: {result['error']} ({sql[:200]})")
        rows: list[list[Any]] = result["rows"]
        return rows

    return run


def sqlite_world(digest: str) -> World:
    """Look at a SQLite image."""
    return look(catalog_now(digest), sqlite_runner(digest))


def look(catalog: Catalog, run: Runner) -> World:
    """Look at every table of a catalogue.

    Raises:
        TaskError: No table holds a row.
    """
    keys = {(table.name, column) for table in catalog for column in table.primary if len(table.primary) == 1}
    keys |= {(table.name, link.column) for table in catalog for link in table.foreign}
    entities = []
    for table in catalog:
        rows = run(f"SELECT count(*) FROM {identifier(table.name)}")[0][0] if table.kind == "table" else 0
        if rows:
            fields = [_field(run, table.name, column.name, rows, keys) for column in table.columns]
            known = tuple(field for field in fields if field is not None)
            entities.append(Entity(name=table.name, rows=rows, fields=known, label=_label(known)))
    if not entities:
        raise TaskError("no table of the database holds a row, so no question can be asked about it")
    names = {entity.name for entity in entities}
    links = [
        Link(child=table.name, column=link.column, parent=parent, target=link.target)
        for table in catalog
        for link in table.foreign
        for parent in names
        if table.name in names and parent.lower() == link.table.lower()
    ]
    return World(entities=tuple(entities), links=tuple(links))


def _field(run: Runner, table: str, name: str, rows: int, keys: set[tuple[str, str]]) -> Field | None:
    column, source = identifier(name), identifier(table)
    distinct, filled = run(f"SELECT count(DISTINCT {column}), count({column}) FROM {source}")[0]
    listed = run(f"SELECT DISTINCT {column} FROM {source} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT 4000")
    values = [row[0] for row in listed]
    spread = tuple(values[i * len(values) // SAMPLED] for i in range(SAMPLED)) if len(values) > SAMPLED else values
    kind = _kind(values)
    if (table, name) in keys or (kind == "number" and name.lower().endswith("id") and distinct == rows):
        kind = "key"
    if kind is None:
        return None
    return Field(
        table=table,
        name=name,
        kind=kind,
        nulls=rows - filled,
        distinct=distinct,
        values=tuple(spread),
        unique=distinct == rows,
    )


def _kind(values: list[Any]) -> str | None:
    if values and all(isinstance(value, int | float) for value in values):
        return "number"
    if values and all(isinstance(value, str) for value in values):
        if any(len(value) > 400 or not value.isprintable() for value in values):
            return None
        return "date" if all(_DATE.match(value) for value in values) else "text"
    return None


def _label(fields: tuple[Field, ...]) -> Field | None:
    """Choose the column that names a row: a text called name or title, else the text with most different values."""
    texts = [field for field in fields if field.kind == "text" and not field.nulls]
    named = [field for field in texts if re.search(r"name|title|label", field.name, re.IGNORECASE)]
    return max(named or texts, key=lambda field: field.distinct, default=None)
