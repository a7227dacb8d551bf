"""Greedy clustering of states by the similarity of their texts (GiGPO), with the ratio of difflib's SequenceMatcher.

The ratio is twice the matched characters over both lengths, where matching takes the longest common block, then does
the same to its left and right. Only whether it reaches the threshold is asked, so most pairs are settled early: by an
upper bound from lengths and letters, or as soon as the blocks found are enough or what is left cannot be.
"""

from collections.abc import Callable, Mapping

import numpy as np

from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.segments import Ints

Longest = Callable[[int, int, int, int], tuple[int, int, int]]
"""Longest common block of ``a[alo:ahi]`` and ``b[blo:bhi]``: its start in a (the earliest), start in b, and length."""

_LETTERS = 128
"""Letters are counted by code point modulo this; sharing a counter only loosens an upper bound."""


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
        mine = int(group[turn])
        if mine not in clusters:
            clusters[mine] = Clusters(threshold, official)
        cell = (mine, clusters[mine].place(texts[turn]))
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
        self.anchors: dict[int, dict[str, list[int]]] = {}
        self.letters = np.zeros((8, _LETTERS), dtype=np.int32)
        self.lengths = np.zeros(8, dtype=np.int64)
        self.known: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Number of the cluster the text joins."""
        if text not in self.known:
            self.known[text] = self._find(text)
        return self.known[text]

    def _find(self, text: str) -> int:
        count = len(self.representatives)
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        letters = np.bincount(points % _LETTERS, minlength=_LETTERS).astype(np.int32)
        shared = np.minimum(self.letters[:count], letters).sum(axis=1)
        both = self.lengths[:count] + len(text)
        for number in np.flatnonzero(_ratio(shared, both) >= self.threshold):
            if self._similar(text, int(number)):
                return int(number)
        self._open(text, letters)
        return count

    def _open(self, text: str, letters: "np.ndarray[tuple[int], np.dtype[np.int32]]") -> None:
        count = len(self.representatives)
        if count == len(self.lengths):
            self.letters = np.concatenate([self.letters, np.zeros_like(self.letters)])
            self.lengths = np.concatenate([self.lengths, np.zeros_like(self.lengths)])
        self.letters[count], self.lengths[count] = letters, len(text)
        self.representatives.append(text)

    def _similar(self, text: str, number: int) -> bool:
        representative = self.representatives[number]
        if not self.autojunk or len(representative) < 200:
            return reaches(text, representative, self.threshold, block_finder(text, representative))
        if number not in self.anchors:
            self.anchors[number] = rare_letters(representative)
        return reaches(
            text, representative, self.threshold, anchored_finder(text, representative, self.anchors[number])
        )


def _ratio(matches: Ints, both: Ints) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """SequenceMatcher's ratio; two empty texts are alike."""
    return np.where(both > 0, 2.0 * matches / np.maximum(both, 1), 1.0)


def reaches(a: str, b: str, threshold: float, longest: Longest) -> bool:
    """Whether the ratio of two texts is at least ``threshold``; exact, but stops as soon as the answer is known."""
    both = len(a) + len(b)
    if both == 0:
        return threshold <= 1.0
    matched, open_bound = 0, min(len(a), len(b))
    queue = [(0, len(a), 0, len(b))]
    while queue:
        if 2.0 * matched / both >= threshold:
            return True
        if 2.0 * (matched + open_bound) / both < threshold:
            return False
        alo, ahi, blo, bhi = queue.pop()
        open_bound -= min(ahi - alo, bhi - blo)
        i, j, size = longest(alo, ahi, blo, bhi)
        if not size:
            continue
        matched += size
        for part in ((alo, i, blo, j), (i + size, ahi, j + size, bhi)):
            bound = min(part[1] - part[0], part[3] - part[2])
            if bound > 0:
                open_bound += bound
                queue.append(part)
    return 2.0 * matched / both >= threshold


def block_finder(a: str, b: str) -> Longest:
    """Longest common block without autojunk, as difflib would find it, by comparing sets of substrings.

    A guess from the ends is a lower bound; substrings one longer either do not occur in both, or give a longer guess.
    """

    def longest(alo: int, ahi: int, blo: int, bhi: int) -> tuple[int, int, int]:
        left, right = a[alo:ahi], b[blo:bhi]
        size = _guess(left, right)
        while size < min(len(left), len(right)):
            grown = _grow(left, right, size + 1)
            if grown == size:
                break
            size = grown
        if size == 0:
            return alo, blo, 0
        known = {right[k : k + size] for k in range(len(right) - size + 1)}
        i = next(k for k in range(len(left) - size + 1) if left[k : k + size] in known)
        return alo + i, blo + right.find(left[i : i + size]), size

    return longest


def rare_letters(text: str) -> dict[str, list[int]]:
    """Positions of each letter but those autojunk calls popular: more than 1 % and one of a text of 200 or more."""
    places: dict[str, list[int]] = {}
    for i, letter in enumerate(text):
        places.setdefault(letter, []).append(i)
    most = len(text) // 100 + 1 if len(text) >= 200 else len(text)
    return {letter: found for letter, found in places.items() if len(found) <= most}


def anchored_finder(a: str, b: str, anchors: Mapping[str, list[int]]) -> Longest:
    """Longest common block with autojunk, as difflib finds it: only letters rare in ``b`` begin one.

    Args:
        a: The text.
        b: The representative.
        anchors: Positions in ``b`` of its letters that are not popular.
    """
    rare = bytes(map(anchors.__contains__, a))

    def longest(alo: int, ahi: int, blo: int, bhi: int) -> tuple[int, int, int]:
        i, j, size = _longest_run(alo, ahi, blo, bhi)
        back = min(i - alo, j - blo)
        grown = _common(a[i - back : i][::-1], b[j - back : j][::-1])
        i, j, size = i - grown, j - grown, size + grown
        rest = min(ahi - i, bhi - j) - size
        return i, j, size + _common(a[i + size : i + size + rest], b[j + size : j + size + rest])

    def _longest_run(alo: int, ahi: int, blo: int, bhi: int) -> tuple[int, int, int]:
        best, end = (alo, blo, 0), alo
        while (start := rare.find(b"\1" * (best[2] + 1), end, ahi)) >= 0:  # a shorter stretch holds no longer run
            stop = rare.find(0, start, ahi)
            end = ahi if stop < 0 else stop
            runs: dict[int, int] = {}
            for i in range(start, end):
                last, runs = runs, {}
                for j in anchors[a[i]]:
                    if blo <= j < bhi:
                        runs[j] = size = last.get(j - 1, 0) + 1
                        if size > best[2]:
                            best = (i - size + 1, j - size + 1, size)
        return best

    return longest


def _guess(left: str, right: str) -> int:
    """Length of the longer of common prefix and common suffix."""
    shorter = min(len(left), len(right))
    head = _common(left[:shorter], right[:shorter])
    tail = _common(left[::-1][:shorter], right[::-1][:shorter])
    return max(head, tail)


def _common(left: str, right: str) -> int:
    """Length of the common prefix of two texts of one length, by bisection."""
    if left == right:
        return len(left)
    low, high = 0, len(left)
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _grow(left: str, right: str, size: int) -> int:
    """Length of some common block of at least ``size``, extended as far as it goes; ``size - 1`` for none."""
    known = {right[k : k + size] for k in range(len(right) - size + 1)}
    for i in range(len(left) - size + 1):
        if left[i : i + size] in known:
            j = right.find(left[i : i + size])
            rest = min(len(left) - i, len(right) - j)
            return _common(left[i : i + rest], right[j : j + rest])
    return size - 1
