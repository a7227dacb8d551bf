"""When two results are the same: one comparer with explicit flags, and the presets the field scores by.

The worker imports this module, so it uses the standard library only.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

Row = tuple[Any, ...]
Rows = Sequence[Row]

PERMUTATION_WORK = 3_000_000
"""Cells looked at while columns are matched; beyond it, results count as different."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What counts as the same result."""

    rows: Literal["bag", "set"] = "bag"
    """``set`` ignores how often a row occurs."""
    order: Literal["auto", "mentioned", "yes", "no"] = "auto"
    """Whether row order counts. ``auto``: if the gold's outermost query has ORDER BY; ``mentioned``: if the words
    occur anywhere in the gold."""
    columns: Literal["any", "position"] = "any"
    """``any``: some permutation of the columns makes the results equal."""
    rel_tol: float = 1e-6
    """Relative tolerance between numbers; 0: exact."""
    types: Literal["value", "strict", "text"] = "value"
    """``value``: 1 equals 1.0 and never '1'; ``strict``: 1 differs from 1.0 too; ``text``: cells are compared as
    Python would print them."""
    nulls: Literal["distinct", "empty"] = "distinct"
    """NULL equals NULL only; ``empty``: it also equals the empty string."""
    distinct: Literal["keep", "strip"] = "keep"
    """``strip``: the word DISTINCT is taken out of both queries before they run."""
    score: Literal["match", "kendall"] = "match"
    """``kendall``: InterCode's score, intersection over union times Kendall's tau."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        hints = get_type_hints(type(self))
        for name, value in asdict(self).items():
            allowed = get_args(hints[name])
            if allowed and value not in allowed:
                raise ValueError(f"comparison flag {name}={value!r}: it must be one of {', '.join(allowed)}")
        if not 0 <= self.rel_tol < 1:
            raise ValueError(f"comparison flag rel_tol={self.rel_tol!r}: it must lie in [0, 1)")

    def to_json(self) -> dict[str, Any]:
        """Return the flags for a frame or a record."""
        return asdict(self)

    def ordered(self, gold_sql: str) -> bool:
        """Whether row order counts, given the gold query."""
        if self.order == "mentioned":
            return "order by" in gold_sql.lower()
        return self.order == "yes" or (self.order == "auto" and has_outer_order(gold_sql))

    def prepare(self, sql: str) -> str:
        """Return the query as this comparison runs it."""
        return strip_distinct(sql) if self.distinct == "strip" else sql


PRESETS: dict[str, Comparison] = {
    "default": Comparison(),
    "spider": Comparison(order="mentioned", distinct="strip", rel_tol=0.0),
    "bird": Comparison(rows="set", order="no", columns="position", rel_tol=0.0),
    "intercode": Comparison(order="yes", columns="position", rel_tol=0.0, types="text", score="kendall"),
}
"""``spider``: test-suite accuracy (taoyds/test-suite-sql-eval): bag, order if the gold mentions ORDER BY, columns in
any order, DISTINCT stripped. ``bird``: sets of rows, columns by position. ``intercode``: its score, for comparison
only."""


def comparison(name: str = "default", **flags: Any) -> Comparison:
    """Return a preset with flags changed.

    Raises:
        ValueError: There is no such preset, flag or value.
    """
    if name not in PRESETS:
        raise ValueError(f"no comparison is named {name!r}; there are {', '.join(PRESETS)}")
    try:
        return replace(PRESETS[name], **flags)
    except TypeError as error:
        raise ValueError(f"comparison {name!r}: {error}") from error


def same(answer: Rows, gold: Rows, rule: Comparison, *, ordered: bool) -> bool:
    """Say whether two results are the same under a comparison.

    Args:
        answer: Rows of the answer.
        gold: Rows of the gold query.
        rule: The flags.
        ordered: Whether row order counts; ``Comparison.ordered`` tells.
    """
    left, right = [_row(row, rule) for row in answer], [_row(row, rule) for row in gold]
    if rule.rows == "set":
        left, right = _unique(left), _unique(right)
    if not left and not right:
        return True
    if len(left) != len(right) or len(left[0]) != len(right[0]):
        return False
    if _equal(left, right, rule.rel_tol, ordered=ordered):
        return True
    return rule.columns == "any" and _permuted(left, right, rule.rel_tol, ordered=ordered)


def score(answer: Rows, gold: Rows, rule: Comparison, *, ordered: bool) -> float:
    """Return the comparison's score in [0, 1]: 1 for the same result."""
    if rule.score == "kendall":
        return intercode_score(answer, gold)
    return float(same(answer, gold, rule, ordered=ordered))


def intercode_score(answer: Rows, gold: Rows) -> float:
    """Return InterCode-SQL's score: bag intersection over union of rows times Kendall's tau of the common rows' order.

    Rounded to two digits as theirs; a negative tau, which theirs lets through, counts 0.
    """
    left, right = [str(row) for row in answer], [str(row) for row in gold]
    if not left and not right:
        return 1.0
    common = Counter(left) & Counter(right)
    union = Counter(left) | Counter(right)
    overlap = sum(common.values()) / sum(union.values())
    tau = _kendall([left.index(row) for row in common], [right.index(row) for row in common])
    return max(0.0, round(overlap * (1.0 if math.isnan(tau) else tau), 2))


def _kendall(one: list[int], two: list[int]) -> float:
    """Kendall's tau of two lists without ties; nan for fewer than two entries."""
    pairs = len(one) * (len(one) - 1) // 2
    if not pairs:
        return math.nan
    ranks = [rank for _, rank in sorted(zip(one, two, strict=True))]
    return 1.0 - 2.0 * _inversions(ranks)[0] / pairs


def _inversions(values: list[int]) -> tuple[int, list[int]]:
    if len(values) < 2:
        return 0, values
    middle = len(values) // 2
    (left_count, left), (right_count, right) = _inversions(values[:middle]), _inversions(values[middle:])
    merged: list[int] = []
    count, i, j = left_count + right_count, 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            count += len(left) - i
            j += 1
    return count, merged + left[i:] + right[j:]


def _row(row: Iterable[Any], rule: Comparison) -> Row:
    return tuple(_cell(cell, rule) for cell in row)


def _cell(cell: Any, rule: Comparison) -> Any:
    if rule.types == "text":
        return str(cell)
    if cell is None and rule.nulls == "empty":
        return ""
    if rule.types == "strict" and isinstance(cell, float):
        return _Real(cell)
    return cell


class _Real(float):
    """A float that no integer equals."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Real) and float(self) == float(other)

    def __hash__(self) -> int:
        return hash(("real", float(self)))


def _unique(rows: list[Row]) -> list[Row]:
    return list(dict.fromkeys(rows))


def _equal(left: list[Row], right: list[Row], rel_tol: float, *, ordered: bool) -> bool:
    if ordered:
        return all(_near(a, b, rel_tol) for a, b in zip(left, right, strict=True))
    ours, theirs = Counter(left), Counter(right)
    if ours == theirs:
        return True
    if not rel_tol:
        return False
    return _equal_nearly(list((ours - theirs).elements()), list((theirs - ours).elements()), rel_tol)


def _equal_nearly(left: list[Row], right: list[Row], rel_tol: float) -> bool:
    """Pair up rows that differ in the last digits of their numbers only."""
    if len(left) != len(right):
        return False
    ours, theirs = _by_text(left), _by_text(right)
    if {key: len(rows) for key, rows in ours.items()} != {key: len(rows) for key, rows in theirs.items()}:
        return False
    return all(_near(a, b, rel_tol) for key, rows in ours.items() for a, b in zip(rows, theirs[key], strict=True))


def _by_text(rows: list[Row]) -> dict[Row, list[Row]]:
    """Group rows by what no tolerance touches; each group sorted by its numbers to six digits, then exactly."""
    groups: dict[Row, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(None if _number(cell) else (type(cell).__name__, cell) for cell in row), []).append(row)
    for members in groups.values():
        members.sort(key=_numbers)
    return groups


def _numbers(row: Row) -> tuple[tuple[float, ...], tuple[float, ...]]:
    numbers = [float(cell) for cell in row if _number(cell)]
    return tuple(float(f"{number:.5g}") for number in numbers), tuple(numbers)


def _number(cell: Any) -> bool:
    return isinstance(cell, int | float)


def _near(one: Row, two: Row, rel_tol: float) -> bool:
    for a, b in zip(one, two, strict=True):
        if a == b:
            continue
        both_real = _number(a) and _number(b) and isinstance(a, _Real) == isinstance(b, _Real)
        if not (rel_tol and both_real and math.isclose(a, b, rel_tol=rel_tol, abs_tol=1e-12)):
            return False
    return True


def _permuted(left: list[Row], right: list[Row], rel_tol: float, *, ordered: bool) -> bool:
    """Search a permutation of the left columns that makes the results equal, column by column."""
    width = len(left[0])
    if width < 2 or width * width * len(left) > PERMUTATION_WORK:
        return False
    ours, theirs = list(zip(*left, strict=True)), list(zip(*right, strict=True))

    def fits(chosen: list[int]) -> bool:
        part = list(zip(*(ours[i] for i in chosen), strict=True))
        goal = list(zip(*theirs[: len(chosen)], strict=True))
        return _equal(part, goal, rel_tol, ordered=ordered)

    budget = [PERMUTATION_WORK // (len(left) * width)]
    return _extend([], width, fits, budget)


def _extend(chosen: list[int], width: int, fits: Any, budget: list[int]) -> bool:
    if len(chosen) == width:
        return True
    for column in range(width):
        if column in chosen or budget[0] <= 0:
            continue
        budget[0] -= 1
        if fits([*chosen, column]) and _extend([*chosen, column], width, fits, budget):
            return True
    return False


# What a query says, told from its words alone: strings, quoted names and comments are passed over.

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\s+|.""", re.DOTALL)


def words(sql: str) -> Iterator[tuple[str, int, int]]:
    """Yield each token that is no space, comment or quotation, lower-cased, with its place and bracket depth."""
    depth = 0
    for match in _TOKEN.finditer(sql):
        token = match[0]
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif token[0] not in "'\"`[-/ \t\r\n":
            yield token.lower(), match.start(), depth


def has_outer_order(sql: str) -> bool:
    """Whether the outermost query has ORDER BY."""
    before = ""
    for word, _, depth in words(sql):
        if depth == 0 and before == "order" and word == "by":
            return True
        before = word if depth == 0 else ""
    return False


def strip_distinct(sql: str) -> str:
    """Take the word DISTINCT out of a query, wherever it stands outside quotations."""
    for _, start, _ in reversed([entry for entry in words(sql) if entry[0] == "distinct"]):
        sql = sql[:start] + sql[start + len("distinct") :]
    return sql


_SPLIT_OPERATORS = (("> =", ">="), ("< =", "<="), ("! =", "!="), ("< >", "<>"))


def tidy(sql: str) -> str:
    """Mend what Spider's own evaluator mends in golds: operators split by a space, the current year."""
    for split, whole in _SPLIT_OPERATORS:
        sql = sql.replace(split, whole)
    return re.sub(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)", "2020", sql, flags=re.IGNORECASE).strip(" \t\r\n;")


def cell_precision(answer: Rows, gold: Rows) -> float:
    """Return the share of the answer's cells that are in the gold, as bags; 1 if both are empty (our reading)."""
    ours, theirs = _cells(answer), _cells(gold)
    total = sum(ours.values())
    return sum((ours & theirs).values()) / total if total else float(not theirs)


def cell_recall(answer: Rows, gold: Rows) -> float:
    """Return the share of the gold's cells that are in the answer, as bags; 1 if both are empty (our reading)."""
    return cell_precision(gold, answer)


def tuple_cardinality(answer: Rows, gold: Rows) -> float:
    """Return the smaller number of rows over the larger; 1 if both are empty (our reading)."""
    most = max(len(answer), len(gold))
    return min(len(answer), len(gold)) / most if most else 1.0


def _cells(rows: Rows) -> Counter[Any]:
    return Counter(cell for row in rows for cell in row)
