"""What a query is made of: tables, columns, word sequences, the constants its columns are compared with.

``sqlglot`` parses, here in the worker and loaded on first use: a hostile query may cost a worker, never the trainer.
"""

import re
from typing import Any

MAX_SQL, MAX_DEPTH = 20_000, 60
_WORD = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[A-Za-z_][\w.]*|\d+(?:\.\d+)?|[<>!=]+|[^\s\w]")


def items(sql: str, dialect: str) -> frozenset[str] | None:
    """Return the tables and columns a query names, lower-case and without qualifiers; None if it cannot be parsed."""
    from sqlglot import expressions as exp

    tree = _parsed(sql, dialect)
    if tree is None:
        return None
    common = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    tables = {f"table {table.name.lower()}" for table in tree.find_all(exp.Table) if table.name.lower() not in common}
    columns = {f"column {column.name.lower()}" for column in tree.find_all(exp.Column)}
    return frozenset(tables | columns)


def linking(answer: str, gold: str, dialect: str) -> float | None:
    """Return the Jaccard index of the schema items of two queries: 0 for an unparsable answer, None for such a gold."""
    wanted = items(gold, dialect)
    if wanted is None:
        return None
    found = items(answer, dialect)
    return 0.0 if found is None else _jaccard(found, wanted)


def ngrams(answer: str, gold: str, n: int = 2) -> float:
    """Return the Jaccard index of the sets of ``n`` successive words (our reading); short texts must be equal."""
    one, two = _words(answer), _words(gold)
    if len(one) < n or len(two) < n:
        return float(one == two)
    return _jaccard(_runs(one, n), _runs(two, n))


def constants(sql: str, dialect: str) -> list[tuple[str, Any]]:
    """Return (column, value) for each comparison of a column with a constant; none if the query cannot be parsed."""
    from sqlglot import expressions as exp

    tree = _parsed(sql, dialect)
    found: list[tuple[str, Any]] = []
    for node in tree.walk() if tree is not None else ():
        if isinstance(node, exp.Binary | exp.Between | exp.In) and isinstance(node.this, exp.Column):
            values = list(node.iter_expressions())[1:]
            found += [(node.this.name.lower(), value) for part in values for value in _values(part)]
    return found


def to_postgres(sql: str) -> str | None:
    """Translate a statement from SQLite's dialect: names fall to lower case, LIKE ignores case as SQLite's does."""
    from sqlglot import expressions as exp

    tree = _parsed(sql, "sqlite")
    if tree is None:
        return None
    for like in list(tree.find_all(exp.Like)):
        like.replace(exp.ILike(this=like.this, expression=like.expression))
    for name in tree.find_all(exp.Identifier):
        name.set("this", name.this.lower())
    text: str = tree.sql(dialect="postgres")
    return text


def _values(node: Any) -> list[Any]:
    from sqlglot import expressions as exp

    if isinstance(node, exp.Literal):
        return [node.this.strip("%")] if node.is_string else _near(float(node.this))
    # SQLite reads a name in double quotes that is no column as a text.
    quoted = isinstance(node, exp.Column) and node.this.args.get("quoted")
    return [node.name.strip("%")] if quoted else []


def _near(number: float) -> list[Any]:
    whole = int(number) if number.is_integer() else number
    return [whole, whole + 1, whole - 1]


def _parsed(sql: str, dialect: str) -> Any:
    if len(sql) > MAX_SQL or _depth(sql) > MAX_DEPTH:
        return None
    import sqlglot

    try:
        return sqlglot.parse_one(sql, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError, AttributeError, TypeError, KeyError, IndexError):
        return None


def _depth(sql: str) -> int:
    deepest = depth = 0
    for sign in sql:
        depth += (sign in "([") - (sign in ")]")
        deepest = max(deepest, depth)
    return deepest


def _words(sql: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(sql.strip().rstrip(";"))]


def _runs(words: list[str], n: int) -> frozenset[Any]:
    return frozenset(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _jaccard(one: frozenset[Any], two: frozenset[Any]) -> float:
    return len(one & two) / len(one | two) if one | two else 1.0
