"""The canonical form is RFC 8785's, whichever encoder wrote it."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from turnwise.errors import TaskError
from turnwise.tasks.canonical import canonical_json

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=20)


@given(_VALUES)
def test_equals_the_reference(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


def test_keys_are_ordered_by_utf16() -> None:
    assert canonical_json({"\ufb33": 1, "\U0001f600": 2, "a": 3}) == '{"a":3,"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize("value", [2**53, -(2**53), [float("nan")], {"a": "\ud800"}, {1: "a"}, {"a": object()}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TaskError, match="cannot be hashed"):
        canonical_json(value)  # type: ignore[arg-type]
