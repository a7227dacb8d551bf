"""Plain values pass between processes and nothing else does."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnwise.envs.code.grading.compare import same, same_output
from turnwise.envs.code.grading.host import read_reply
from turnwise.envs.code.inside.wire import NotPlain, decode, encode

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
values = st.recursive(
    hashable | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hashable, inner, max_size=3),
    max_leaves=10,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tuple", "set", "dict", "object", "float", "bytes", "x"]), inner, max_size=2)
    ),
    max_leaves=10,
)


@given(values)
def test_a_value_passes_unchanged(value: Any) -> None:
    passed = decode(json.loads(json.dumps(encode(value))))
    assert passed == value
    assert type(passed) is type(value)


@given(json_values)
def test_hostile_json_is_a_value_or_refused(data: Any) -> None:
    with contextlib.suppress(NotPlain):
        decode(data)


def test_what_is_not_plain_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value in (object(), lambda: 0, loop, range(10**9)):
        with pytest.raises(NotPlain):
            encode(value)


def test_an_infinite_iterator_stops() -> None:
    import itertools

    with pytest.raises(NotPlain):
        encode(n for n in itertools.count())


@pytest.mark.parametrize(
    ("want", "got", "alike"),
    [
        (1, 1, True),
        (1, True, False),
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.4, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [2, 1], False),
        ({"a": 0.3}, {"a": 0.1 + 0.2}, True),
        ({"a": 1}, {"b": 1}, False),
        ({1, 2}, {2, 1}, True),
        ({1}, [1], False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        (math.nan, math.nan, True),
        (1.0, 10**400, False),
    ],
)
def test_comparison(want: Any, got: Any, alike: bool) -> None:
    assert same(want, got, 1e-6) is alike


def test_output_comparison() -> None:
    assert same_output("1 2\n3\n", "1 2 \n3", "lines")
    assert not same_output("1 2\n3\n", "1\n2 3\n", "lines")
    assert same_output("1 2\n3\n", "1\n2 3\n", "tokens")
    assert not same_output("1\n", "1", "exact")


@pytest.mark.parametrize(
    "said", ["", "{}", "[" * 5000, '{"value": ', '{"error": 1}', '{"value": 1, "error": []}', "9" * 5000]
)
def test_a_forged_answer_is_no_answer(said: str) -> None:
    assert read_reply(f"\x1eTURNWISE {said}\n").lost
    assert read_reply(said).lost
