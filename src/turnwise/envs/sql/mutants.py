"""Wrong neighbours of a right query, to test that grading tells them apart."""

from collections.abc import Iterator
from typing import Any


def mutants(sql: str, dialect: str = "sqlite") -> list[tuple[str, str]]:
    """Return (kind, query) for each mutation: constants, comparisons, conditions, joins, aggregates, DISTINCT, order.

    Some mean the same as the original; only running them tells.

    Raises:
        ValueError: The query cannot be parsed.
    """
    import sqlglot

    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(f"cannot be parsed: {error}") from error
    made: dict[str, str] = {}
    for kind, mutant in _mutants(tree):
        made.setdefault(mutant.sql(dialect=dialect), kind)
    made.pop(tree.sql(dialect=dialect), None)
    return [(kind, text) for text, kind in made.items()]


def _mutants(tree: Any) -> Iterator[tuple[str, Any]]:
    for index, node in enumerate(tree.walk()):
        for kind, change in _changes(node):
            copy = tree.copy()
            target = list(copy.walk())[index]
            change(target)
            yield kind, copy


def _changes(node: Any) -> Iterator[tuple[str, Any]]:
    from sqlglot import expressions as exp

    if isinstance(node, exp.Literal):
        yield "constant", _change_literal
    swaps: dict[type[Any], type[Any]] = {exp.GT: exp.GTE, exp.GTE: exp.LT, exp.LT: exp.LTE, exp.LTE: exp.GT}
    swaps |= {exp.EQ: exp.NEQ, exp.NEQ: exp.EQ, exp.And: exp.Or, exp.Or: exp.And}
    if type(node) in swaps and not isinstance(node.parent, exp.Join):
        yield "comparison", lambda n: n.replace(swaps[type(n)](this=n.this, expression=n.expression))
    if isinstance(node, exp.And):
        yield "condition", lambda n: n.replace(n.this)
        yield "condition", lambda n: n.replace(n.expression)
    if isinstance(node, exp.Where | exp.Having):
        yield "condition", lambda n: n.pop()
    if isinstance(node, exp.Join):
        yield "join", lambda n: n.pop()
    aggregates: dict[type[Any], type[Any]] = {exp.Max: exp.Min, exp.Min: exp.Max, exp.Sum: exp.Avg, exp.Avg: exp.Sum}
    if type(node) in aggregates:
        yield "aggregate", lambda n: n.replace(aggregates[type(n)](this=n.this))
    if isinstance(node, exp.Select):
        yield "distinct", _toggle_distinct
    if isinstance(node, exp.Ordered):
        yield "order", lambda n: n.set("desc", not n.args.get("desc"))


def _change_literal(node: Any) -> None:
    if node.is_string:
        node.set("this", f"{node.this}x" if "%" not in node.this else node.this.replace("%", "", 1))
    else:
        number = float(node.this)
        node.set("this", str(int(number) + 1) if number.is_integer() else str(number + 1))


def _toggle_distinct(node: Any) -> None:
    from sqlglot import expressions as exp

    node.set("distinct", None if node.args.get("distinct") else exp.Distinct())
