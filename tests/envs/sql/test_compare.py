"""When two results are the same, flag by flag and preset by preset."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.envs.sql.compare import (
    PRESETS,
    cell_precision,
    cell_recall,
    comparison,
    has_outer_order,
    intercode_score,
    same,
    strip_distinct,
    tidy,
    tuple_cardinality,
)

Rows = list[tuple[object, ...]]

ROWS: Rows = [(1, "a", 2.5), (2, "b", 3.5), (2, "b", 3.5)]


def judged(name: str, answer: Rows, gold: Rows, *, ordered: bool = False) -> bool:
    return same(answer, gold, comparison(name), ordered=ordered)


def test_presets_differ_where_they_say() -> None:
    turned = [(row[1], row[0], row[2]) for row in ROWS]
    single = ROWS[:2]
    assert judged("default", turned, ROWS)
    assert judged("spider", turned, ROWS)
    assert not judged("bird", turned, ROWS)
    assert not judged("default", single, ROWS)
    assert judged("bird", single, ROWS)
    assert judged("default", ROWS[::-1], ROWS)
    assert not judged("default", ROWS[::-1], ROWS, ordered=True)


def test_types_nulls_and_tolerance() -> None:
    assert same([(1,)], [(1.0,)], comparison(), ordered=False)
    assert not same([(1,)], [("1",)], comparison(), ordered=False)
    assert not same([(1,)], [(1.0,)], comparison(types="strict"), ordered=False)
    assert same([("",)], [(None,)], comparison(nulls="empty"), ordered=False)
    assert not same([("",)], [(None,)], comparison(), ordered=False)
    assert same([(0.1 + 0.2,)], [(0.3,)], comparison(), ordered=False)
    assert not same([(0.1 + 0.2,)], [(0.3,)], comparison("spider"), ordered=False)
    assert not same([(0.3,), (0.3,)], [(0.3,), (0.4,)], comparison(), ordered=False)


def test_empty_results_are_equal_and_shapes_count() -> None:
    assert judged("default", [], [])
    assert not judged("default", [(1,)], [])
    assert not judged("default", [(1, 2)], [(1,)])


def test_wide_results_of_equal_columns_end_quickly() -> None:
    rng = random.Random(0)
    rows = [tuple(rng.randint(0, 1) for _ in range(12)) for _ in range(200)]
    other = [tuple(rng.randint(0, 1) for _ in range(12)) for _ in range(200)]
    assert not judged("default", other, rows)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.tuples(*[st.one_of(st.none(), st.integers(-3, 3), st.text("ab", max_size=2), st.floats(-5, 5))] * width),
            min_size=1,
            max_size=8,
        )
    ),
    st.randoms(use_true_random=False),
)
def test_equal_up_to_what_a_preset_frees(rows: Rows, rng: random.Random) -> None:
    columns = list(range(len(rows[0])))
    rng.shuffle(columns)
    shuffled = rng.sample(rows, len(rows))
    turned = [tuple(row[i] for i in columns) for row in shuffled]
    assert judged("default", turned, rows)
    assert judged("spider", turned, rows)
    assert judged("bird", [*shuffled, shuffled[0]], rows)
    assert not judged("default", [*shuffled, shuffled[0]], rows)


@pytest.mark.parametrize(
    ("sql", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("select a from t order\n by a limit 1", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
        ("SELECT 'ORDER BY' FROM t -- ORDER BY a", False),
        ('SELECT "order by" FROM t', False),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1", True),
    ],
)
def test_order_is_read_from_the_outermost_query(sql: str, ordered: bool) -> None:
    assert has_outer_order(sql) is ordered
    assert comparison().ordered(sql) is ordered
    assert comparison("spider").ordered(sql) == ("order by" in sql.lower())


def test_words_inside_quotations_stay() -> None:
    assert strip_distinct("SELECT DISTINCT 'distinct' FROM t") == "SELECT  'distinct' FROM t"
    assert tidy("SELECT a FROM t WHERE b > = 1 ;") == "SELECT a FROM t WHERE b >= 1"


def test_intercode_score() -> None:
    assert intercode_score([(1,), (2,)], [(1,), (2,)]) == 1.0
    assert intercode_score([(2,), (1,)], [(1,), (2,)]) == 0.0
    assert intercode_score([(1,)], [(1,), (2,)]) == 0.5
    assert intercode_score([], []) == 1.0
    assert intercode_score([(1,), (2,), (3,)], [(1,), (3,), (2,)]) == 0.33


def test_partial_credit() -> None:
    assert cell_precision([(1, 2)], [(1, 3)]) == 0.5
    assert cell_recall([(1,)], [(1, 3)]) == 0.5
    assert tuple_cardinality([(1,)], [(1,), (2,)]) == 0.5
    assert cell_precision([], []) == cell_recall([], []) == tuple_cardinality([], []) == 1.0
    assert cell_precision([(1,)], []) == 0.0


def test_unknown_flags_are_refused() -> None:
    for name, flags in (
        ("nope", {}),
        ("default", {"rows": "heap"}),
        ("default", {"nope": 1}),
        ("default", {"rel_tol": 2}),
    ):
        with pytest.raises(ValueError, match="comparison"):
            comparison(name, **flags)
    assert set(PRESETS) == {"default", "spider", "bird", "intercode"}
