"""Tasks that change the database: set, raise, delete, add; each with its statement and the words that ask for it."""

from dataclasses import dataclass

from turnwise.envs.sql.databases import Catalog, Table
from turnwise.envs.sql.generate.filters import Scope, Where, column, said
from turnwise.envs.sql.generate.questions import Asker
from turnwise.envs.sql.generate.words import words
from turnwise.envs.sql.generate.world import Entity, identifier, literal


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change before its proof."""

    kind: str
    statement: str
    text: str
    level: int


def ask_change(a: Asker, catalog: Catalog) -> Change | None:
    """Draw a change of one kind."""
    kind = a.rng.choice(("set", "raise", "delete", "add"))
    entity = a.entity()
    if entity is None:
        return None
    table = next(table for table in catalog if table.name == entity.name)
    if kind == "add":
        return _add(a, entity, table)
    where = a.where(entity)
    if where is None or not table.primary:
        return None
    condition = _condition(entity, table, where)
    if condition is None:
        return None
    level = 1 + len(where.filters) + sum(len(path) for path in where.paths)
    if kind == "delete":
        text = a.one_of(
            f"Delete all {entity.many}{where.text}.",
            f"Remove every {entity.one}{where.text}.",
            f"The {entity.many}{where.text} are no longer needed: delete them.",
        )
        return Change(kind=kind, statement=f"DELETE FROM {identifier(entity.name)}{condition}", text=text, level=level)
    return _update(a, entity, where, condition, raised=kind == "raise", level=level)


def _update(a: Asker, entity: Entity, where: Where, condition: str, *, raised: bool, level: int) -> Change | None:
    kinds = ("number",) if raised else ("number", "text", "date")
    fields = [field for field in entity.of(*kinds) if not field.unique and field.distinct > 1]
    if not fields:
        return None
    field = a.rng.choice(fields)
    name = identifier(field.name)
    if raised:
        step = a.rng.choice((1, 2, 5, 10))
        value = f"{name} + {step}"
        text = a.one_of(
            f"Raise the {field.words} of all {entity.many}{where.text} by {step}.",
            f"Add {step} to the {field.words} of every {entity.one}{where.text}.",
        )
    else:
        wanted = a.rng.choice(field.values)
        value = literal(wanted)
        text = a.one_of(
            f"Set the {field.words} of all {entity.many}{where.text} to {said(wanted)}.",
            f"Change the {field.words} to {said(wanted)} for every {entity.one}{where.text}.",
        )
    statement = f"UPDATE {identifier(entity.name)} SET {name} = {value}{condition}"
    return Change(kind="raise" if raised else "set", statement=statement, text=text, level=level)


def _condition(entity: Entity, table: Table, where: Where) -> str | None:
    if not any(where.paths):
        return where.sql(Scope(entity, ()))
    if len(table.primary) != 1:
        return None
    scope, key = Scope(entity, where.paths), table.primary[0]
    inner = f"SELECT {column(scope.alias(), key)} {scope.sql}{where.sql(scope)}"
    return f" WHERE {identifier(key)} IN ({inner})"


def _add(a: Asker, entity: Entity, table: Table) -> Change | None:
    """Add a row to a table whose only needed columns are an integer key and the one that names its rows."""
    label = entity.label
    needed = {item.name for item in table.columns if item.not_null or item.name in table.primary}
    if label is None or len(table.primary) != 1 or not needed <= {table.primary[0], label.name}:
        return None
    key = next((item for item in table.columns if item.name == table.primary[0]), None)
    if key is None or "INT" not in key.type.upper():
        return None
    number, name = a.rng.randint(100_001, 999_999), f"{a.rng.choice(label.values)} {a.rng.randint(2, 99)}"
    text = a.one_of(
        f"Add the {entity.one} {said(name)} with the {words(key.name)} {number}.",
        f"There is a new {entity.one}: its {label.words} is {said(name)}, its {words(key.name)} {number}. Enter it.",
    )
    statement = (
        f"INSERT INTO {identifier(entity.name)} ({identifier(key.name)}, {identifier(label.name)}) "
        f"VALUES ({number}, {literal(name)})"
    )
    return Change(kind="add", statement=statement, text=text, level=1)
