"""Greedy clustering of states by the similarity of their texts (GiGPO), with the ratio of difflib's SequenceMatcher."""

from collections import Counter
from difflib import SequenceMatcher

import numpy as np

from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Ints


def similar_cells(batch: CreditBatch, threshold: float, *, official: bool = False) -> Ints:
    """Number the cluster of each turn's text, shape (M,).

    Steps are walked in order; each joins the first cluster of its group whose representative, the first member, is
    similar enough, or opens one. The result depends on that order: it is trajectory name, then turn, or the order
    given where ``official``.

    Args:
        batch: With the field ``observation``.
        threshold: Least ratio.
        official: Keep SequenceMatcher's autojunk, which splits near-identical texts of 200 characters and more.
    """
    texts, group = batch.get("observation"), batch.group_of_turn
    out = np.zeros(batch.turns, dtype=np.int64)
    clusters: dict[int, Clusters] = {}
    numbers: dict[tuple[int, int], int] = {}
    for turn in walk(batch, official):
        mine = clusters.setdefault(int(group[turn]), Clusters(threshold, official))
        cell = (int(group[turn]), mine.place(texts[turn]))
        out[turn] = numbers.setdefault(cell, len(numbers))
    return out


def walk(batch: CreditBatch, official: bool) -> list[int]:
    """Order in which the turns are clustered."""
    if official or batch.traj_uids is None:
        return list(range(batch.turns))
    order = sorted(range(len(batch)), key=batch.uid)
    return [turn for i in order for turn in range(int(batch.turn_offsets[i]), int(batch.turn_offsets[i + 1]))]


class Clusters:
    """Clusters of one group; a text seen before goes where it went."""

    def __init__(self, threshold: float, autojunk: bool) -> None:
        self.threshold = threshold
        self.autojunk = autojunk
        self.representatives: list[str] = []
        self.letters: list[Counter[str]] = []
        self.known: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Number of the cluster the text joins."""
        if text not in self.known:
            self.known[text] = self._find(text)
        return self.known[text]

    def _find(self, text: str) -> int:
        letters = Counter(text)
        for number, representative in enumerate(self.representatives):
            if self._may(text, letters, number) and self._similar(text, representative):
                return number
        self.representatives.append(text)
        self.letters.append(letters)
        return len(self.representatives) - 1

    def _may(self, text: str, letters: Counter[str], number: int) -> bool:
        """Two upper bounds of the ratio: by length, and by the letters in common."""
        both = len(text) + len(self.representatives[number])
        if both == 0:
            return True
        if 2.0 * min(len(text), len(self.representatives[number])) / both < self.threshold:
            return False
        return 2.0 * (letters & self.letters[number]).total() / both >= self.threshold

    def _similar(self, text: str, representative: str) -> bool:
        return SequenceMatcher(None, text, representative, autojunk=self.autojunk).ratio() >= self.threshold
