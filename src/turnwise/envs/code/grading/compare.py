"""Comparing plain values, and what a program printed."""

import math
from typing import Any


def same(want: Any, got: Any, tolerance: float) -> bool:
    """Whether two decoded values are equal: lists and tuples alike, floats within a tolerance.

    Both are plain data made here, so no operator runs but Python's own.
    """
    if isinstance(want, bool) or isinstance(got, bool):
        return isinstance(want, bool) and isinstance(got, bool) and want == got
    if isinstance(want, float) or isinstance(got, float):
        return _close(want, got, tolerance)
    if isinstance(want, list | tuple):
        if not isinstance(got, list | tuple) or len(want) != len(got):
            return False
        return all(same(one, other, tolerance) for one, other in zip(want, got, strict=True))
    if isinstance(want, dict):
        if not isinstance(got, dict) or want.keys() != got.keys():
            return False
        return all(same(value, got[key], tolerance) for key, value in want.items())
    if isinstance(want, set | frozenset):
        return isinstance(got, set | frozenset) and want == got
    return type(want) is type(got) and bool(want == got)


def _close(want: Any, got: Any, tolerance: float) -> bool:
    if not isinstance(want, int | float) or not isinstance(got, int | float):
        return False
    try:
        one, other = float(want), float(got)
    except OverflowError:
        return False
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def same_output(want: str, got: str, how: str) -> bool:
    """Whether a program printed what it should: ``exact``, ``lines`` or ``tokens``."""
    if how == "exact":
        return want == got
    if how == "tokens":
        return want.split() == got.split()
    return _lines(want) == _lines(got)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
