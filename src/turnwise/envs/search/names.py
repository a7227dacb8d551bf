"""Invented names: none of their words occurs in the shipped list of real names and words, and none repeats.

A model cannot have read about what they name, so an answer that is right was looked up.
"""

import gzip
import random
from functools import lru_cache
from importlib.resources import files

_ONSETS = [
    "b",
    "bl",
    "br",
    "c",
    "cr",
    "d",
    "dr",
    "f",
    "fl",
    "fr",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "pr",
    "qu",
    "r",
    "s",
    "sk",
    "sl",
    "st",
    "sv",
    "t",
    "tr",
    "th",
    "v",
    "vr",
    "w",
    "y",
    "z",
    "zh",
    "sh",
    "ch",
    "ph",
]
_VOWELS = (["a", "e", "i", "o", "u", "ae", "ai", "au", "ea", "ei", "ia", "io", "oa", "ou", "ui", "y"]) + list(
    "aeiou"
) * 2
_CODAS = (
    ["n", "r", "l", "s", "m", "th", "nd", "rn", "lk", "rk", "ld", "x", "sk", "v", "z", "nt", "rd", "st", "g", "k"]
) + [""] * 16
_LONGEST = 12


@lru_cache(maxsize=1)
def real_words() -> frozenset[str]:
    """Return the real names and words that no invented name may hold; ``data/README.md`` names source and licence."""
    packed = files("turnwise.envs.search").joinpath("data", "real_words.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode("ascii").split())


class Namer:
    """Draws invented words; the same random stream gives the same words."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._taken: set[str] = set()
        self._real = real_words()

    def word(self, least: int = 2, most: int = 3) -> str:
        """Return a capitalised word of ``least`` to ``most`` syllables that was never drawn before."""
        while True:
            word = "".join(self._syllable() for _ in range(self._rng.randint(least, most)))
            if 4 <= len(word) <= _LONGEST and word not in self._taken and word not in self._real:
                self._taken.add(word)
                return word.capitalize()

    def words(self, n: int) -> list[str]:
        """Return ``n`` words."""
        return [self.word() for _ in range(n)]

    def _syllable(self) -> str:
        pick = self._rng.choice
        return pick(_ONSETS) + pick(_VOWELS) + pick(_CODAS)
