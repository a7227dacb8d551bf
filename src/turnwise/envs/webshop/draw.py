"""A counter-based stream of random numbers: product 731,402 is made without making those before it.

``random.Random`` costs ten microseconds to seed, and its ``sample`` and ``shuffle`` may change between Python
versions; this is SplitMix64 (Steele, Lea, Flood 2014), the same everywhere.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def mix(value: int) -> int:
    """Scramble 64 bits (SplitMix64's finalizer)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Draw:
    """A private random stream named by integers."""

    __slots__ = ("_state",)

    def __init__(self, *names: int) -> None:
        state = 0
        for name in names:
            state = mix((state ^ name) + _GAMMA & _MASK)
        self._state = state

    def below(self, n: int) -> int:
        """Return an integer in [0, n)."""
        self._state = self._state + _GAMMA & _MASK
        return mix(self._state) * n >> 64

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        return self.below(1 << 53) / (1 << 53)

    def chance(self, probability: float) -> bool:
        """Return true with the probability given."""
        return self.unit() < probability

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def take(self, items: Sequence[T], n: int) -> list[T]:
        """Return ``n`` different items in random order, all of them if there are fewer."""
        pool = list(items)
        n = min(n, len(pool))
        for index in range(n):
            other = index + self.below(len(pool) - index)
            pool[index], pool[other] = pool[other], pool[index]
        return pool[:n]

    def subset(self, items: Sequence[T], n: int) -> tuple[T, ...]:
        """Return ``n`` different items in their own order."""
        chosen = sorted(self.take(range(len(items)), n))
        return tuple(items[index] for index in chosen)
