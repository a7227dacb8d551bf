"""What a family gives: the words, a reference, and inputs."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One program to write."""

    family: str
    words: str
    """What it must do, without examples."""
    entry: str
    reference: str
    """Python that defines ``entry``; our own text, so it is run here."""
    inputs: tuple[tuple[Any, ...], ...]
    difficulty: int
    scorer: str | None = None
    """Where there are better and worse results: Python that defines ``value(args, result)``, None if it is no result,
    and ``base(args)``, the value of an answer that took no thought."""
    as_text: bool = False
    """Whether it takes one text, so that it can be a program that reads standard input."""


Family = Callable[[random.Random], Draft]


def fill(template: str, **values: object) -> str:
    """Put values for ``@name@`` into a template: as Python writes them."""
    text = template.strip("\n") + "\n"
    for name, value in values.items():
        text = text.replace(f"@{name}@", repr(value))
    return text


def lines(rng: random.Random, make: Callable[[int], Any], count: int = 12) -> tuple[tuple[Any, ...], ...]:
    """Make inputs of growing size, the first of size 0; each is one argument."""
    return tuple((make(size),) for size in (0, 1, 2, *sorted(rng.randint(3, 14) for _ in range(count - 3))))
