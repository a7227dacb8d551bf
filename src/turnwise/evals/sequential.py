"""Looking while it runs: an interval that holds at every moment, so that a run may stop as soon as it is narrow.

An ordinary interval looked at after every episode, with the right to stop, misses far more often than it says. The
confidence sequence here holds at all times at once: the hedged betting construction of Waudby-Smith and Ramdas (2023),
"Estimating means of bounded random variables by betting", for numbers in [0, 1] that come one after another.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from turnwise.errors import ConfigError
from turnwise.evals.intervals import LEVEL, Interval

Floats = npt.NDArray[np.float64]
GRID = 1001


class Wealth:
    """What the gamblers against each candidate mean have made of their stakes.

    Candidates and values broadcast: one stream against a grid, or many streams each against its own candidate.
    """

    def __init__(self, candidates: Floats, level: float = LEVEL, truncation: float = 0.5) -> None:
        self.candidates, self.level, self._truncation = candidates, level, truncation
        self._up, self._down = np.zeros_like(candidates), np.zeros_like(candidates)
        self.alive = np.ones(candidates.shape, dtype=bool)
        self.count = 0
        self.sum: Floats | float = 0.0
        self._squares: Floats | float = 0.25

    def take(self, value: Floats | float) -> None:
        """Let every gambler bet, then take the next number of each stream."""
        m, stake = self.candidates, self._stake()
        with np.errstate(divide="ignore"):
            up, down = np.minimum(stake, self._truncation / m), np.minimum(stake, self._truncation / (1 - m))
        self._up += np.log1p(up * (value - m))
        self._down += np.log1p(-down * (value - m))
        self.count += 1
        self.sum = self.sum + value
        self._squares = self._squares + (value - (0.5 + self.sum) / (self.count + 1)) ** 2
        # Hedged: half the money goes each way, so either must reach twice 1 / (1 - level).
        self.alive &= np.maximum(self._up, self._down) + math.log(0.5) < -math.log(1 - self.level)

    def _stake(self) -> Floats | float:
        """The bet of the empirical-Bernstein kind, from what came before alone."""
        t = self.count + 1
        stake: Floats | float = np.sqrt(2 * math.log(2 / (1 - self.level)) / (self._squares * math.log(t + 1)))
        return stake


class ConfidenceSequence:
    """Takes numbers in [0, 1] one at a time; ``interval`` holds after each of them, at all of them together.

    For each candidate mean a gambler bets that the next number lies above it, and another that it lies below. A
    candidate against which either of them, betting fairly, became rich (40-fold at 95 %) is ruled out for good.
    """

    def __init__(self, level: float = LEVEL) -> None:
        self._wealth = Wealth(np.linspace(0.0, 1.0, GRID), level)

    def add(self, values: Iterable[float]) -> None:
        """Take the next numbers, in an order that was fixed before they were known.

        Raises:
            ValueError: A number is not in [0, 1].
        """
        for value in values:
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"a confidence sequence takes numbers in [0, 1], got {value!r}")
            self._wealth.take(float(value))

    @property
    def count(self) -> int:
        """How many numbers it has taken."""
        return self._wealth.count

    @property
    def interval(self) -> Interval:
        """The mean with the sequence's interval; before the first number it is everything."""
        mean = float(self._wealth.sum) / self.count if self.count else None
        alive = self._wealth.candidates[self._wealth.alive]
        if len(alive) == 0:
            # Possible with probability 1 - level at most; the last word is then the mean alone.
            return Interval(mean, mean, mean)
        step = 1.0 / (GRID - 1)
        low, high = max(0.0, float(alive[0]) - step), min(1.0, float(alive[-1]) + step)
        return Interval(mean, low if mean is None else min(low, mean), high if mean is None else max(high, mean))

    @property
    def half_width(self) -> float:
        """Half the interval's width: the ± of a report."""
        interval = self.interval
        return (float(interval.high or 0.0) - float(interval.low or 0.0)) / 2


@dataclass(frozen=True)
class Until:
    """When a run may stop early."""

    quantity: Literal["success", "score"]
    half_width: float

    @classmethod
    def parse(cls, text: str) -> "Until":
        """Read ``ci<0.05`` (of the success rate) or ``score:ci<0.05``; the number is half the interval's width.

        Raises:
            ConfigError: It is written otherwise, or the number is not between 0 and 0.5.
        """
        match = re.fullmatch(r"\s*(?:(success|score)\s*:\s*)?ci\s*<\s*(0?\.\d+)\s*", text)
        if not match or not 0 < float(match.group(2)) < 0.5:
            raise ConfigError(f"--until {text!r}: write ci<0.05, or score:ci<0.05, with a half-width below 0.5")
        return cls("score" if match.group(1) == "score" else "success", float(match.group(2)))
