"""What a policy can still solve, and how varied its answers are.

After "The Invisible Leash" (Wu et al. 2025): training may sharpen a policy inside what it could solve already, and
lose solutions it had. A task belongs to a policy's support where one of its samples solved it. Our reading of the
paper's measures; the code was not available.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Support:
    """The tasks of two policies' supports, before and after."""

    kept: int
    lost: int
    """Solved before, never after."""
    gained: int
    """Never solved before, solved after."""
    unsolved: int
    samples: int
    """The smallest number of samples a task has in either run: support at fewer samples is a smaller support."""

    @property
    def retention(self) -> float | None:
        """Kept, of what was solved before."""
        return _share(self.kept, self.kept + self.lost)

    @property
    def discovery(self) -> float | None:
        """Gained, of what is solved after."""
        return _share(self.gained, self.kept + self.gained)

    @property
    def net_change(self) -> float | None:
        """Gained minus lost, of all that either solved."""
        return _share(self.gained - self.lost, self.kept + self.lost + self.gained)


def support(before: Mapping[str, Sequence[bool]], after: Mapping[str, Sequence[bool]]) -> Support:
    """Compare two policies' supports on the tasks both were asked.

    Args:
        before: The successes of each task's samples.
        after: Of the other policy.
    """
    counts: Counter[tuple[bool, bool]] = Counter()
    shared = sorted(before.keys() & after.keys())
    for key in shared:
        counts[any(before[key]), any(after[key])] += 1
    fewest = min((min(len(before[key]), len(after[key])) for key in shared), default=0)
    return Support(
        kept=counts[True, True],
        lost=counts[True, False],
        gained=counts[False, True],
        unsolved=counts[False, False],
        samples=fewest,
    )


def answer_entropy(answers: Mapping[str, Sequence[str]]) -> float | None:
    """Return the mean entropy of a task's answers, in nats, over the tasks with at least two samples.

    Plug-in estimate: with few samples it is too low, and at most log(samples).
    """
    entropies = [_entropy(given) for given in answers.values() if len(given) >= 2]
    return sum(entropies) / len(entropies) if entropies else None


def _entropy(given: Sequence[str]) -> float:
    shares = [count / len(given) for count in Counter(given).values()]
    return -sum(share * math.log(share) for share in shares) + 0.0


def _share(top: int, bottom: int) -> float | None:
    return top / bottom if bottom else None
