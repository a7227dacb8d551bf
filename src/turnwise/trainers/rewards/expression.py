"""Symbolic compositions of reward components (DERL): a small language that is parsed, never evaluated as code.

    correct * (1 - 0.2 * min(turns / 10, 1)) + if(format > 0.5, 0.1, 0)

Numbers, component names, ``+ - * / ^``, comparisons, ``and or not``, parentheses, and the functions of ``FUNCTIONS``.
Every operation is total: dividing by 0 gives 0, logs and roots take the magnitude, powers and exponentials are
bounded, so that a composition written by a model can be stupid but never crash a run or bring in NaN.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from turnwise.errors import ConfigError

Floats = npt.NDArray[np.float64]

BOUND = 1e9
"""Largest magnitude any operation returns."""

MAX_LENGTH = 2000
MAX_DEPTH = 40


def _bounded(value: Any) -> Floats:
    clean = np.nan_to_num(np.asarray(value, dtype=np.float64), nan=0.0)
    return np.asarray(np.clip(clean, -BOUND, BOUND), dtype=np.float64)


def _divide(a: Floats, b: Floats) -> Floats:
    top, bottom = np.broadcast_arrays(a, b)
    out = np.zeros(top.shape)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def _power(a: Floats, b: Floats) -> Floats:
    grown = np.exp(np.clip(b * np.log(np.maximum(np.abs(a), 1e-12)), -50.0, 20.0))
    return np.asarray(np.sign(a) * grown, dtype=np.float64)


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "min": (2, 8, lambda *x: np.minimum.reduce(np.broadcast_arrays(*x))),
    "max": (2, 8, lambda *x: np.maximum.reduce(np.broadcast_arrays(*x))),
    "mean": (1, 8, lambda *x: np.mean(np.broadcast_arrays(*x), axis=0)),
    "abs": (1, 1, np.abs),
    "sqrt": (1, 1, lambda x: np.sqrt(np.abs(x))),
    "log": (1, 1, lambda x: np.log(np.maximum(np.abs(x), 1e-12))),
    "exp": (1, 1, lambda x: np.exp(np.clip(x, -50.0, 20.0))),
    "tanh": (1, 1, np.tanh),
    "sigmoid": (1, 1, lambda x: 0.5 * (1.0 + np.tanh(0.5 * x))),
    "clip": (3, 3, lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "if": (3, 3, lambda test, yes, no: np.where(test != 0, yes, no)),
}
"""Name → least and most arguments, and what it does."""

_BINARY: dict[str, Callable[[Floats, Floats], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
    "^": _power,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "and": lambda a, b: (a != 0) & (b != 0),
    "or": lambda a, b: (a != 0) | (b != 0),
}
_PRECEDENCE = {"or": 1, "and": 2, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6}
_POWER = 8
_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_][A-Za-z0-9_.]*)|(<=|>=|==|!=|[-+*/^<>(),]))")


@dataclass(frozen=True)
class Node:
    """A parsed expression: an operator, function, name or number, and its arguments."""

    kind: str
    value: Any
    args: tuple["Node", ...] = ()


class Expression:
    """A composition of named components.

    Args:
        source: Its text.

    Raises:
        ConfigError: It does not parse; the message gives the position.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._tree = _Parser(source).parse()
        self.names = tuple(sorted(_names(self._tree)))

    def __call__(self, components: Mapping[str, npt.ArrayLike]) -> Floats:
        """Evaluate over components: numbers, or arrays of one shape.

        Raises:
            ConfigError: A component is missing.
        """
        missing = [name for name in self.names if name not in components]
        if missing:
            raise ConfigError(f"the reward {self.source!r} needs {missing[0]!r}; there are {sorted(components)}")
        return _evaluate(self._tree, components)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def _names(node: Node) -> set[str]:
    inner = {name for arg in node.args for name in _names(arg)}
    return inner | {node.value} if node.kind == "name" else inner


def _evaluate(node: Node, components: Mapping[str, npt.ArrayLike]) -> Floats:
    if node.kind == "number":
        return np.asarray(node.value, dtype=np.float64)
    if node.kind == "name":
        return _bounded(components[node.value])
    args = [_evaluate(arg, components) for arg in node.args]
    if node.kind == "unary":
        return _bounded(-args[0] if node.value == "-" else args[0] == 0)
    work = _BINARY[node.value] if node.kind == "binary" else FUNCTIONS[node.value][2]
    return _bounded(work(*args))


class _Parser:
    """Precedence climbing over a list of tokens."""

    def __init__(self, source: str) -> None:
        if len(source) > MAX_LENGTH:
            raise ConfigError(f"a reward expression has {len(source)} characters; {MAX_LENGTH} is the most")
        self.source = source
        self.tokens = self._scan()
        self.at = 0
        self.depth = 0

    def parse(self) -> Node:
        node = self._expression(0)
        if self.at < len(self.tokens):
            raise self._error("an operator or the end")
        return node

    def _scan(self) -> list[tuple[str, str, int]]:
        found, position = [], 0
        text = self.source.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ConfigError(f"reward {self.source!r}: {text[position:].strip()[0]!r} means nothing here")
            kind = ("number", "name", "mark")[match.lastindex - 1] if match.lastindex else "mark"
            found.append((kind, match.group(match.lastindex or 0), match.start(match.lastindex or 0)))
            position = match.end()
        return found

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _error(self, wanted: str) -> ConfigError:
        place = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.source)
        return ConfigError(
            f"reward {self.source!r}: expected {wanted} at position {place}, got {self._peek() or 'the end'!r}"
        )

    def _take(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._error(repr(mark))
        self.at += 1

    def _expression(self, floor: int) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConfigError(f"a reward expression may nest {MAX_DEPTH} deep, not more")
        left = self._unary()
        while _PRECEDENCE.get(self._peek(), -1) >= max(floor, 1):
            operator = self._peek()
            self.at += 1
            left = Node("binary", operator, (left, self._expression(_PRECEDENCE[operator] + 1)))
        self.depth -= 1
        return left

    def _unary(self) -> Node:
        word = self._peek()
        if word == "not":
            self.at += 1
            return Node("unary", "not", (self._expression(3),))
        if word in ("-", "+"):
            self.at += 1
            inner = self._expression(7)
            return Node("unary", "-", (inner,)) if word == "-" else inner
        base = self._atom()
        if self._peek() == "^":
            self.at += 1
            return Node("binary", "^", (base, self._expression(_POWER)))
        return base

    def _atom(self) -> Node:
        if self.at >= len(self.tokens):
            raise self._error("a number, a name or (")
        kind, text, _ = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return Node("number", min(float(text), BOUND))
        if text == "(":
            self.at += 1
            inner = self._expression(0)
            self._take(")")
            return inner
        if kind == "name" and text not in ("and", "or", "not"):
            self.at += 1
            return self._call(text) if self._peek() == "(" else Node("name", text)
        raise self._error("a number, a name or (")

    def _call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise ConfigError(f"reward {self.source!r}: no function {name!r}; there are {', '.join(FUNCTIONS)}")
        self._take("(")
        args = [self._expression(0)]
        while self._peek() == ",":
            self.at += 1
            args.append(self._expression(0))
        self._take(")")
        least, most, _ = FUNCTIONS[name]
        if not least <= len(args) <= most:
            counts = str(least) if least == most else f"{least} to {most}"
            raise ConfigError(f"reward {self.source!r}: {name} takes {counts} arguments, got {len(args)}")
        return Node("call", name, tuple(args))
