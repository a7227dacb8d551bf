"""The kinds of questions: each draws a query and the words that ask for it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from turnwise.envs.sql.generate.filters import Scope, Where, column, draw_where
from turnwise.envs.sql.generate.words import article
from turnwise.envs.sql.generate.world import Entity, Field, Link, World, identifier


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A question before its proof."""

    kind: str
    sql: str
    text: str
    bare: str
    """The query without what the question hangs on; the proof wants another result from it."""
    level: int
    """1 is easiest."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """What a question is drawn from: a world, a random stream and how far to go."""

    world: World
    rng: random.Random
    filters: int
    joins: int
    negation: bool

    def entity(self, *, needs: Callable[[Entity], object] = bool) -> Entity | None:
        """Draw a table that has what is needed."""
        fitting = [entity for entity in self.world.entities if needs(entity)]
        return self.rng.choice(fitting) if fitting else None

    def where(self, entity: Entity, *, own: bool = False, avoid: tuple[Link, ...] = ()) -> Where | None:
        """Draw conditions; none of them about the row that the path to avoid leads to."""
        drawn = draw_where(
            self.world, entity, self.rng, filters=self.filters, joins=self.joins, negation=self.negation, own=own
        )
        if drawn and avoid and any(item.path[: len(avoid)] == avoid for item in drawn.filters):
            return None
        return drawn

    def shown(self, entity: Entity) -> list[Field]:
        """Draw one to three columns to show, the naming one first."""
        fields = [field for field in entity.of("text", "number", "date") if field is not entity.label]
        count = self.rng.choice((0, 1, 1, 2)) if entity.label else self.rng.choice((1, 2))
        drawn = sorted(self.rng.sample(fields, min(count, len(fields))), key=lambda field: field.name)
        return ([entity.label] if entity.label else []) + drawn

    def one_of(self, *texts: str) -> str:
        """Draw a wording."""
        return self.rng.choice(texts)


def _and(fields: list[Field]) -> str:
    names = [field.words for field in fields]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _level(where: Where | None, scope: Scope, extra: int = 0) -> int:
    return 1 + extra + scope.joins + (len(where.filters) - 1 if where else 0)


def ask_list(a: Asker) -> Draft | None:
    """Columns of the rows that meet conditions."""
    entity = a.entity()
    where = a.where(entity) if entity else None
    fields = a.shown(entity) if entity else []
    if entity is None or where is None or not fields:
        return None
    scope = Scope(entity, where.paths)
    head = f"SELECT {', '.join(scope.column(field) for field in fields)} {scope.sql}"
    text = a.one_of(
        f"List the {_and(fields)} of all {entity.many}{where.text}.",
        f"Show the {_and(fields)} of the {entity.many}{where.text}.",
        f"Which {entity.many} are there{where.text}? Give the {_and(fields)} of each.",
        f"I need the {_and(fields)} for every {entity.one}{where.text}.",
    )
    return Draft(kind="list", sql=head + where.sql(scope), text=text, bare=head, level=_level(where, scope))


def ask_count(a: Asker) -> Draft | None:
    """How many rows meet conditions."""
    entity = a.entity()
    where = a.where(entity) if entity else None
    if entity is None or where is None:
        return None
    scope = Scope(entity, where.paths)
    text = a.one_of(
        f"How many {entity.many} are there{where.text}?",
        f"Count the {entity.many}{where.text}.",
        f"What is the number of {entity.many}{where.text}?",
    )
    head = f"SELECT COUNT(*) {scope.sql}"
    return Draft(kind="count", sql=head + where.sql(scope), text=text, bare=head, level=_level(where, scope))


_AGGREGATES = {"AVG": "average", "SUM": "total", "MAX": "highest", "MIN": "lowest"}


def ask_aggregate(a: Asker) -> Draft | None:
    """An average, sum or extreme over the rows that meet conditions."""
    entity = a.entity(needs=lambda entity: entity.of("number"))
    where = a.where(entity) if entity else None
    if entity is None or where is None:
        return None
    field, name = a.rng.choice(entity.of("number")), a.rng.choice(sorted(_AGGREGATES))
    scope = Scope(entity, where.paths)
    word = _AGGREGATES[name]
    text = a.one_of(
        f"What is the {word} {field.words} of the {entity.many}{where.text}?",
        f"Give the {word} {field.words} over all {entity.many}{where.text}.",
        f"Considering only {entity.many}{where.text}, what is their {word} {field.words}?",
    )
    head = f"SELECT {name}({scope.column(field)}) {scope.sql}"
    return Draft(kind="aggregate", sql=head + where.sql(scope), text=text, bare=head, level=_level(where, scope))


def ask_distinct(a: Asker) -> Draft | None:
    """The different values of a column."""
    entity = a.entity(needs=lambda entity: [f for f in entity.of("text") if not f.unique])
    where = a.where(entity) if entity else None
    if entity is None or where is None:
        return None
    field = a.rng.choice([field for field in entity.of("text") if not field.unique])
    if any(not item.path and item.field is field for item in where.filters):
        return None
    scope = Scope(entity, where.paths)
    text = a.one_of(
        f"Which different values of {field.words} occur among the {entity.many}{where.text}? "
        "List each once (a missing value counts as one).",
        f"List each distinct {field.words} (a missing one included, if there is any) of the {entity.many}{where.text}.",
    )
    head = f"SELECT DISTINCT {scope.column(field)} {scope.sql}"
    return Draft(kind="distinct", sql=head + where.sql(scope), text=text, bare=head, level=_level(where, scope, 1))


def ask_top(a: Asker) -> Draft | None:
    """The first rows by a column, in order."""
    entity = a.entity(needs=lambda entity: [f for f in entity.of("number", "date") if f.distinct > 8])
    where = a.where(entity) if entity and a.rng.random() < 0.7 else Where(filters=())
    fields = a.shown(entity) if entity else []
    if entity is None or where is None or not fields:
        return None
    key = a.rng.choice(
        [field for field in entity.of("number", "date") if field.distinct > 8 and not field.nulls] or [None]
    )
    if key is None:
        return None
    scope, count = Scope(entity, where.paths), a.rng.choice((1, 3, 5, 10))
    down = a.rng.random() < 0.6
    high, low = ("latest", "earliest") if key.kind == "date" else ("highest", "lowest")
    end = high if down else low
    rows = f"{count} {entity.many}" if count > 1 else entity.one
    order = f" (in this order, the {end} first)" if count > 1 else ""
    among = f", among the {entity.many}{where.text}" if where.filters else ""
    text = a.one_of(
        f"Give the {_and(fields)} of the {rows} with the {end} {key.words}{among}{order}.",
        f"{among[2:3].upper() + among[3:] if among else 'Overall'}, which {rows} "
        f"{'have' if count > 1 else 'has'} the {end} {key.words}? Show the {_and(fields)}{order}.",
    )
    select = f"SELECT {', '.join(scope.column(field) for field in fields)} {scope.sql}{where.sql(scope)}"
    tail = f" ORDER BY {scope.column(key)}{' DESC' if down else ''}"
    return Draft(kind="top", sql=f"{select}{tail} LIMIT {count}", text=text, bare=select, level=_level(where, scope, 1))


WAYS = {
    "number": ("ascending", "descending"),
    "date": ("earliest first", "latest first"),
    "text": ("A to Z", "Z to A"),
}


def ask_sorted(a: Asker) -> Draft | None:
    """Rows that meet conditions, in order."""
    entity = a.entity(needs=lambda entity: [f for f in entity.of("number", "date", "text") if f.distinct > 8])
    where = a.where(entity) if entity else None
    fields = a.shown(entity) if entity else []
    if entity is None or where is None or not fields:
        return None
    keys = [field for field in entity.of("number", "date", "text") if field.distinct > 8 and not field.nulls]
    if not keys:
        return None
    key, down, scope = a.rng.choice(keys), a.rng.random() < 0.5, Scope(entity, where.paths)
    ways = {
        "number": ("ascending", "descending"),
        "date": ("earliest first", "latest first"),
        "text": ("A to Z", "Z to A"),
    }
    way = ways[key.kind][down]
    text = a.one_of(
        f"List the {_and(fields)} of all {entity.many}{where.text}, sorted by {key.words} ({way}).",
        f"Show, in order of {key.words} ({way}), the {_and(fields)} of every {entity.one}{where.text}.",
    )
    head = f"SELECT {', '.join(scope.column(field) for field in fields)} {scope.sql}"
    sql = f"{head}{where.sql(scope)} ORDER BY {scope.column(key)}{' DESC' if down else ''}"
    return Draft(kind="sorted", sql=sql, text=text, bare=head, level=_level(where, scope, 1))


def _grouping(a: Asker) -> tuple[Entity, Field, tuple[Link, ...]] | None:
    """Draw a table and what to group it by: a column of its own, or one of a table it refers to."""
    entity = a.entity()
    if entity is None:
        return None
    path: tuple[Link, ...] = ()
    links = a.world.parents(entity.name)
    if links and a.joins and a.rng.random() < 0.6:
        path = (a.rng.choice(links),)
    home = a.world.entity(path[-1].parent) if path else entity
    fields = [f for f in home.of("text", "number") if f.distinct > 1 and (path or f.distinct * 2 <= entity.rows)]
    fields = [field for field in fields if not field.nulls and (field.kind == "text" or field.distinct < 20)]
    return (entity, a.rng.choice(fields), path) if fields else None


def _by(field: Field, path: tuple[Link, ...]) -> str:
    return "".join(f"{link.noun}'s " for link in path) + field.words


def ask_group(a: Asker) -> Draft | None:
    """A number for each group."""
    drawn = _grouping(a)
    if drawn is None:
        return None
    entity, by, path = drawn
    where = a.where(entity, avoid=path) if a.rng.random() < 0.5 else Where(filters=())
    if where is None or any(item.field is by for item in where.filters):
        return None
    scope = Scope(entity, [path, *where.paths])
    what, words = _measure(a, entity, scope)
    group = scope.column(by, path)
    text = a.one_of(
        f"For each {_by(by, path)} of the {entity.many}{where.text}, give the {_by(by, path)} and the {words}.",
        f"Group the {entity.many}{where.text} by {_by(by, path)} and show each group's {_by(by, path)} and {words}.",
        f"What is the {words} for every {_by(by, path)}? Show both, counting only {entity.many}{where.text}."
        if where.filters
        else f"Show every {_by(by, path)} together with the {words}.",
    )
    bare = f"SELECT {what} {scope.sql}{where.sql(scope)}"
    sql = f"SELECT {group}, {what} {scope.sql}{where.sql(scope)} GROUP BY {group}"
    return Draft(kind="group", sql=sql, text=text, bare=bare, level=_level(where, scope, 1))


def _measure(a: Asker, entity: Entity, scope: Scope) -> tuple[str, str]:
    numbers = [field for field in entity.of("number") if field.distinct > 3]
    if not numbers or a.rng.random() < 0.5:
        return "COUNT(*)", f"number of {entity.many}"
    field, name = a.rng.choice(numbers), a.rng.choice(sorted(_AGGREGATES))
    return f"{name}({scope.column(field)})", f"{_AGGREGATES[name]} {field.words} of the {entity.many}"


def ask_having(a: Asker) -> Draft | None:
    """Groups that are large enough."""
    drawn = _grouping(a)
    if drawn is None:
        return None
    entity, by, path = drawn
    where = a.where(entity, avoid=path) if a.rng.random() < 0.4 else Where(filters=())
    if where is None or any(item.field is by for item in where.filters):
        return None
    scope, least = Scope(entity, [path, *where.paths]), a.rng.choice((2, 3, 4, 5, 10, 20, 40))
    group = scope.column(by, path)
    text = a.one_of(
        f"Which {_by(by, path)} values belong to at least {least} {entity.many}{where.text}?",
        f"List every {_by(by, path)} that is shared by {least} or more {entity.many}{where.text}.",
        f"Find each {_by(by, path)} with {least} or more {entity.many}{where.text}.",
    )
    bare = f"SELECT {group} {scope.sql}{where.sql(scope)} GROUP BY {group}"
    sql = f"{bare} HAVING COUNT(*) >= {least}"
    return Draft(kind="having", sql=sql, text=text, bare=bare, level=_level(where, scope, 2))


def ask_above(a: Asker) -> Draft | None:
    """Rows above or below the average (a nested query)."""
    entity = a.entity(needs=lambda entity: entity.label and [f for f in entity.of("number") if f.distinct > 5])
    where = a.where(entity, own=True) if entity and a.rng.random() < 0.6 else Where(filters=())
    fields = a.shown(entity) if entity else []
    if entity is None or where is None or not fields:
        return None
    key = a.rng.choice([field for field in entity.of("number") if field.distinct > 5])
    name, (sign, word) = identifier(key.name), a.rng.choice(((">", "above"), ("<", "below")))
    source, inside = identifier(entity.name), where.sql(Scope(entity, ()))
    outer = (where.sql(Scope(entity, ())) + " AND " if where.filters else " WHERE ") if not where.either else None
    if outer is None:
        return None
    text = a.one_of(
        f"Among the {entity.many}{where.text}, which have a {key.words} {word} the average {key.words} of those "
        f"same {entity.many}? Give the {_and(fields)}."
        if where.filters
        else f"Which {entity.many} have a {key.words} {word} the average over all {entity.many}? "
        f"Give the {_and(fields)}.",
        f"Take all {entity.many}{where.text} and their average {key.words}; list the {_and(fields)} of those of them "
        f"whose {key.words} is {word} it.",
    )
    head = f"SELECT {', '.join(identifier(field.name) for field in fields)} FROM {source}"
    sql = f"{head}{outer}{name} {sign} (SELECT AVG({name}) FROM {source}{inside})"
    return Draft(kind="nested", sql=sql, text=text, bare=head + inside, level=3 + len(where.filters))


def _family(a: Asker) -> tuple[Entity, Entity, Link] | None:
    links = [link for link in a.world.links if link.child != link.parent and a.world.entity(link.parent).label]
    if not links:
        return None
    link = a.rng.choice(links)
    return a.world.entity(link.parent), a.world.entity(link.child), link


def ask_children(a: Asker) -> Draft | None:
    """Rows to which rows refer, or, negated, to which none does."""
    drawn = _family(a)
    if drawn is None:
        return None
    parent, child, link = drawn
    where = a.where(child, avoid=(link,)) if a.rng.random() < 0.75 else Where(filters=())
    if where is None:
        return None
    fields, negated = a.shown(parent), a.negation and a.rng.random() < 0.6
    scope = Scope(child, where.paths)
    role = "" if link.noun == parent.one else f" (as their {link.noun})"
    clause = f"{child.many}{where.text}"
    text = (
        a.one_of(
            f"Which {parent.many} have no {clause}{role}? Give the {_and(fields)}.",
            f"List the {_and(fields)} of every {parent.one} to which none of the {clause} belongs{role}.",
            f"Give the {_and(fields)} of the {parent.many} without any {clause}{role}.",
        )
        if negated
        else a.one_of(
            f"Which {parent.many} have at least one of the {clause}{role}? List each {parent.one} once, "
            f"with its {_and(fields)}.",
            f"Give the {_and(fields)} of every {parent.one} that has {article(child.one)}{where.text}{role}.",
        )
    )
    target, refers = identifier(link.target), column(scope.alias(), link.column)
    condition = " AND " if where.filters else " WHERE "
    inner = f"SELECT {refers} {scope.sql}{where.sql(scope)}"
    if where.either:
        return None
    inner += f"{condition}{refers} IS NOT NULL"
    bare = f"SELECT {', '.join(identifier(field.name) for field in fields)} FROM {identifier(parent.name)}"
    sql = f"{bare} WHERE {target} {'NOT IN' if negated else 'IN'} ({inner})"
    kind = "negation" if negated else "exists"
    return Draft(kind=kind, sql=sql, text=text, bare=bare, level=_level(where, scope, 2))


def ask_most(a: Asker) -> Draft | None:
    """The row to which most rows refer, with their number."""
    drawn = _family(a)
    if drawn is None:
        return None
    parent, child, link = drawn
    fields = [parent.label] if parent.label else []
    role = "" if link.noun == parent.one else f" (as their {link.noun})"
    text = a.one_of(
        f"Which {parent.one} has the most {child.many}{role}? Give its {_and(fields)} and their number.",
        f"Find the {parent.one} with the largest number of {child.many}{role}: {_and(fields)} and that number.",
    )
    group = f"t2.{identifier(link.target)}"
    shown = ", ".join(column("t2", field.name) for field in fields)
    head = (
        f"SELECT {shown}, COUNT(*) FROM {identifier(child.name)} AS t1 "
        f"JOIN {identifier(parent.name)} AS t2 ON t1.{identifier(link.column)} = {group} GROUP BY {group}"
    )
    return Draft(kind="most", sql=f"{head} ORDER BY COUNT(*) DESC LIMIT 1", text=text, bare=head, level=3)


def ask_sets(a: Asker) -> Draft | None:
    """Values common to two sets of rows, in one and not the other, or in either."""
    entity = a.entity(needs=lambda entity: [f for f in entity.of("text") if not f.unique and not f.nulls])
    if entity is None:
        return None
    field = a.rng.choice([field for field in entity.of("text") if not field.unique and not field.nulls])
    one, two = a.where(entity), a.where(entity)
    if one is None or two is None or one == two:
        return None
    if any(item.field is field for where in (one, two) for item in where.filters):
        return None
    left, right = Scope(entity, one.paths), Scope(entity, two.paths)
    operator = a.rng.choice(("INTERSECT", "EXCEPT", "UNION"))
    first, second = f"{entity.many}{one.text}", f"{entity.many}{two.text}"
    texts = {
        "INTERSECT": f"Which {field.words} values occur both among the {first} and among the {second}?",
        "EXCEPT": f"Which {field.words} values occur among the {first} but not among the {second}?",
        "UNION": f"Which {field.words} values occur among the {first}, among the {second}, or both?",
    }
    text = f"{texts[operator]} {a.one_of('List each once.', 'Give each value only once.', 'No repetitions.')}"
    sides = [f"SELECT {scope.column(field)} {scope.sql}" for scope in (left, right)]
    whole = [side + where.sql(scope) for side, where, scope in zip(sides, (one, two), (left, right), strict=True)]
    sql = f" {operator} ".join(whole)
    level = 2 + _level(one, left) + len(two.filters) - 1
    return Draft(kind="set", sql=sql, text=text, bare=f"{whole[0]} GROUP BY 1", level=level)


KINDS: dict[str, Callable[[Asker], Draft | None]] = {
    "list": ask_list,
    "count": ask_count,
    "aggregate": ask_aggregate,
    "distinct": ask_distinct,
    "top": ask_top,
    "sorted": ask_sorted,
    "group": ask_group,
    "having": ask_having,
    "nested": ask_above,
    "relation": ask_children,
    "most": ask_most,
    "set": ask_sets,
}
"""The kinds that knobs choose from; ``relation`` gives ``exists`` and, with negation, ``negation``."""
