"""Plain values as JSON with tags: the only thing that passes between a solution and what checks it.

JSON has no tuples, sets, bytes, complex or infinite numbers and no keys but texts, so these are one-entry objects.
What is none of these stays where it is and is named by a number.
"""

import collections
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

MAX_DEPTH = 64
MAX_ITEMS = 100_000
_LAZY = (types.GeneratorType, map, filter, zip, enumerate, reversed, range)
_LISTS: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_MAKE: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset, "iterator": iter}


class NotPlain(ValueError):  # noqa: N818 - says what the value is
    """A value that cannot pass."""


def encode(value: Any, keep: Callable[[Any], int] | None = None, depth: int = 0) -> Any:
    """Turn a value into tagged JSON.

    Args:
        value: What to encode.
        keep: Called with a value that is not plain; returns the number it is named by. None: such a value is refused.
        depth: How deep the value lies.

    Raises:
        NotPlain: The value is nested too deeply, has too many items, or is not plain.
    """
    if depth > MAX_DEPTH:
        raise NotPlain("a value nested more than 64 levels deep")
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, int | float | complex | bytes):
        return _number(value)
    if isinstance(value, str):
        return str.__str__(value)
    for kind, tag in _LISTS.items():
        if isinstance(value, kind):
            return {tag: _items(value, keep, depth)}
    if isinstance(value, list | collections.deque):
        return _items(value, keep, depth)
    if isinstance(value, dict):
        return {"dict": [_items(pair, keep, depth) for pair in _limited(value.items())]}
    if isinstance(value, _LAZY):
        return {"iterator": _items(value, keep, depth)}
    if keep is None:
        raise NotPlain(f"a value of type {type(value).__name__}, which is not plain data")
    return {"object": keep(value)}


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, complex):
        return {"complex": [repr(value.real), repr(value.imag)]}
    return {"bytes": value.decode("latin-1")}


def _items(values: Any, keep: Callable[[Any], int] | None, depth: int) -> list[Any]:
    return [encode(item, keep, depth + 1) for item in _limited(values)]


def _limited(values: Any) -> Iterator[Any]:
    for count, item in enumerate(values):
        if count >= MAX_ITEMS:
            raise NotPlain(f"a collection of more than {MAX_ITEMS} items")
        yield item


def decode(data: Any, find: Callable[[int], Any] | None = None, depth: int = 0) -> Any:
    """Turn tagged JSON into a value; it runs nothing that the sender wrote.

    Args:
        data: What ``encode`` made, or what someone pretends it made.
        find: Returns what stands for a kept value, by its number. None: such a value is refused.
        depth: How deep the value lies.

    Raises:
        NotPlain: This is no tagged JSON.
    """
    if depth > MAX_DEPTH:
        raise NotPlain("nested too deeply")
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, list):
        return [decode(item, find, depth + 1) for item in data]
    if not isinstance(data, dict) or len(data) != 1:
        raise NotPlain("no tagged value")
    ((tag, content),) = data.items()
    try:
        return _tagged(tag, content, find, depth)
    except (TypeError, ValueError) as error:
        raise NotPlain(f"a broken {str(tag)[:20]}: {error}") from None


def _tagged(tag: str, content: Any, find: Callable[[int], Any] | None, depth: int) -> Any:
    if tag in _MAKE:
        return _MAKE[tag]([decode(item, find, depth + 1) for item in _is(content, list)])
    if tag == "dict":
        pairs = [[decode(part, find, depth + 1) for part in _is(pair, list)] for pair in _is(content, list)]
        return dict(pairs)
    if tag == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(_is(content, str), math.nan)
    if tag == "complex":
        real, imaginary = _is(content, list)
        return complex(float(_is(real, str)), float(_is(imaginary, str)))
    if tag == "bytes":
        return _is(content, str).encode("latin-1")
    if tag == "object" and find is not None and type(content) is int:
        return find(content)
    raise NotPlain(f"no value has the tag {str(tag)[:20]!r}")


def _is(content: Any, kind: type) -> Any:
    if not isinstance(content, kind):
        raise NotPlain(f"not a {kind.__name__}")
    return content
