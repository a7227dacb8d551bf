"""Arithmetic on ragged arrays: sums, means and reverse scans over segments, in time linear in their length."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def offsets_of(lengths: npt.ArrayLike) -> Ints:
    """Turn segment lengths, shape (n,), into offsets, shape (n + 1,)."""
    sizes = np.asarray(lengths, dtype=np.int64)
    result = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=result[1:])
    return result


def owners(offsets: Ints) -> Ints:
    """Index of the segment each element belongs to."""
    return np.repeat(np.arange(offsets.size - 1), np.diff(offsets))


def positions(offsets: Ints) -> Ints:
    """Index of each element within its segment."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def codes(values: "list[Any] | tuple[Any, ...] | npt.NDArray[Any]") -> Ints:
    """Number the distinct values 0, 1, … in order of first appearance; None becomes -1."""
    seen: dict[Any, int] = {}
    out = np.empty(len(values), dtype=np.int64)
    for i, value in enumerate(values):
        out[i] = -1 if value is None else seen.setdefault(value, len(seen))
    return out


def pair_codes(*columns: Ints) -> Ints:
    """Number the distinct rows of equally long integer columns from 0 on."""
    code = np.zeros(columns[0].size, dtype=np.int64)
    for column in columns:
        if code.size:
            wide = code * (int(column.max()) - int(column.min()) + 1) + (column - column.min())
            code = np.unique(wide, return_inverse=True)[1].astype(np.int64)
    return code


def total(values: npt.ArrayLike, owner: Ints, count: int) -> Floats:
    """Sum of the values of each segment, 0 where it is empty."""
    sums = np.bincount(owner, weights=np.asarray(values, dtype=np.float64), minlength=count)
    return np.asarray(sums, dtype=np.float64)


def sums(values: Floats, offsets: Ints) -> Floats:
    """Sum of each contiguous segment, 0 where it is empty."""
    out = np.zeros(offsets.size - 1)
    filled = np.diff(offsets) > 0
    if filled.any():
        out[filled] = np.add.reduceat(values, offsets[:-1][filled])
    return out


def size(owner: Ints, count: int) -> Floats:
    """How many elements each segment has."""
    return np.bincount(owner, minlength=count).astype(np.float64)


def divide(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Divide element by element, 0 where the divisor is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    out = np.zeros(top.shape)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def first_elements(offsets: Ints) -> Bools:
    """Mark the first element of each segment."""
    mark = np.zeros(int(offsets[-1]), dtype=np.bool_)
    mark[offsets[:-1][np.diff(offsets) > 0]] = True
    return mark


def last_elements(offsets: Ints) -> Bools:
    """Mark the last element of each segment."""
    mark = np.zeros(int(offsets[-1]), dtype=np.bool_)
    mark[offsets[1:][np.diff(offsets) > 0] - 1] = True
    return mark


def following(values: Floats, offsets: Ints, end: npt.ArrayLike = 0.0) -> Floats:
    """Value of the next element of the same segment; ``end`` (a number, or one per segment) after the last."""
    out = np.empty(values.size)
    out[:-1] = values[1:]
    filled = np.diff(offsets) > 0
    out[offsets[1:][filled] - 1] = np.broadcast_to(np.asarray(end, dtype=np.float64), filled.shape)[filled]
    return out


def spans(offsets: Ints, chosen: Ints) -> Ints:
    """Indices of all elements of the chosen segments, in that order."""
    lengths = np.diff(offsets)[chosen]
    starts = np.repeat(offsets[:-1][chosen], lengths)
    return np.asarray(starts + positions(offsets_of(lengths)), dtype=np.int64)


def reverse_scan(values: Floats, coefficient: npt.ArrayLike, offsets: Ints) -> Floats:
    """Solve ``y_k = x_k + c_k · y_{k+1}`` backwards in every segment at once, ``y = 0`` after the end.

    One pass along time over all segments still running: the work is one operation per element.
    """
    out = np.array(values, dtype=np.float64)
    scale = np.asarray(coefficient, dtype=np.float64)
    at, alive = _from_the_longest(offsets)
    at = offsets[1:][at] - 1
    carry = out[at[: alive[0]]] if alive.size else out[:0]
    for count in alive[1:].tolist():
        at = at[:count] - 1
        carry = out[at] + (scale if scale.ndim == 0 else scale[at]) * carry[:count]
        out[at] = carry
    return out


def _from_the_longest(offsets: Ints) -> tuple[Ints, Ints]:
    """Order of the segments by falling length, and how many are longer than 0, than 1 and so on."""
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    alive = np.searchsorted(-lengths[order], -np.arange(1, int(lengths.max(initial=0)) + 1), side="right")
    return order, np.asarray(alive, dtype=np.int64)


def running_sum(values: Floats, offsets: Ints) -> Floats:
    """Sum from the start of its segment up to and including each element."""
    out = np.array(values, dtype=np.float64)
    order, alive = _from_the_longest(offsets)
    at = offsets[:-1][order]
    carry = out[at[: alive[0]]] if alive.size else out[:0]
    for count in alive[1:].tolist():
        at = at[:count] + 1
        carry = out[at] + carry[:count]
        out[at] = carry
    return out


def maximum(values: Floats, owner: Ints, count: int) -> Floats:
    """Largest value of each segment, -inf where it is empty."""
    out = np.full(count, -np.inf)
    np.maximum.at(out, owner, values)
    return out


def minimum(values: Floats, owner: Ints, count: int) -> Floats:
    """Smallest value of each segment, inf where it is empty."""
    out = np.full(count, np.inf)
    np.minimum.at(out, owner, values)
    return out
