"""From plain data to a method's parameters: names, types and ranges are checked, with the near name in the error."""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from turnwise.errors import CreditError

P = TypeVar("P")

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "ε": "epsilon", "ζ": "zeta", "κ": "kappa", "λ": "lam", "τ": "tau",
    "ω": "step_advantage_w",
}  # fmt: skip
_SYNONYMS = {
    "lambda": "lam",
    "eps": "epsilon",
    "k'": "k_prime",
    "bi_level_mix": "mix",
    "similarity_threshold": "similarity_thresh",
}


def canonical(name: str) -> str:
    """Spell a parameter the way the parameter classes do: ``λ_token`` and ``lambda_token`` are ``lam_token``."""
    for letter, word in _GREEK.items():
        name = name.replace(letter, word)
    name = _SYNONYMS.get(name, name)
    return "_".join("lam" if part == "lambda" else part for part in name.split("_"))


@functools.cache
def hints(cls: Any) -> dict[str, Any]:
    """Types of a parameter class's fields."""
    return typing.get_type_hints(cls)


def build(cls: type[P], given: Mapping[str, Any] | None, *, owner: str) -> P:
    """Build a parameter object from plain data.

    Args:
        cls: A frozen dataclass.
        given: Names and values, as JSON gives them.
        owner: What the parameters belong to, for the error.

    Raises:
        CreditError: An unknown name, a wrong type, or a value out of range.
    """
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    types_of = hints(cast(Any, cls))
    for name, value in (given or {}).items():
        key = name if name in known else canonical(name)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise CreditError(f"{owner} has no parameter {name!r}.{meant} It takes: {', '.join(known) or 'none'}.")
        values[key] = convert(value, types_of[key], f"{owner}: {key}")
    missing = [
        name
        for name, f in known.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise CreditError(f"{owner} needs a value for {', '.join(missing)}")
    return cls(**values)


def convert(value: Any, hint: Any, what: str) -> Any:
    """Check a JSON value against a type and return it as that type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _union(value, args, what)
    if origin is Literal:
        return _choice(value, args, what)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise CreditError(f"{what} must be a list, got {value!r}")
        return tuple(convert(item, args[0], f"{what}[{i}]") for i, item in enumerate(value))
    if origin in (dict, Mapping) or hint is dict:
        return _mapping(value, args, what)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, _mapping(value, (), what), owner=what)
    return _plain(value, hint, what)


def _union(value: Any, args: tuple[Any, ...], what: str) -> Any:
    if value is None and type(None) in args:
        return None
    problems = []
    for option in args:
        if option is not type(None):
            try:
                return convert(value, option, what)
            except CreditError as error:
                problems.append(str(error))
    raise CreditError(problems[0])


def _choice(value: Any, options: tuple[Any, ...], what: str) -> Any:
    if value not in options:
        raise CreditError(f"{what} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def _mapping(value: Any, args: tuple[Any, ...], what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise CreditError(f"{what} must be an object, got {value!r}")
    if len(args) == 2:
        return {str(key): convert(item, args[1], f"{what}.{key}") for key, item in value.items()}
    return dict(value)


def _plain(value: Any, hint: Any, what: str) -> Any:
    if hint is Any:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(float(value), what)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    word = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}.get(hint, repr(hint))
    raise CreditError(f"{what} must be {word}, got {value!r}")


def _finite(value: float, what: str) -> float:
    if value - value != 0:
        raise CreditError(f"{what} must be finite, got {value!r}")
    return value
