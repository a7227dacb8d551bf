"""What an episode pays when only some of its turns are played: exact replays for the Shapley value.

The definition is that of ``turnwise.trainers.probes.Shapley``: the environment is reset to the episode's start under
the episode's seed, and the recorded actions of the chosen turns are played, whatever would be shown before them. The
same seed means the same chance: the k-th action played meets the number that the k-th action of the episode met. What
is known of that number is which branch it chose, so it is uniform over that branch's interval, and the value of a
coalition is an expectation over it, computed by following the distribution over states. An action that is not offered
where a replay stands does nothing, pays nothing and uses a number up; the limit that ends a replay early pays nothing.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import combinations, permutations
from math import factorial
from typing import Any, Literal, overload

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.lab.process import END, Ints, Process, Step, paths
from turnwise.trajectories import stable_seed

ORDERS = 20
"""Random orders of an episode's turns, as many as the probe draws unless told otherwise."""
SETS = 48
"""Sets of orders for each course of an episode; each episode of a batch has one of them at random."""
MOST_TURNS = 12
"""Longer episodes have too many coalitions."""


def played(process: Process, steps: Sequence[Step], members: Iterable[int]) -> float:
    """Expected reward of an episode of which only some turns are played.

    Args:
        process: The process.
        steps: The episode.
        members: Indices of the turns to play.
    """
    alive, total = {steps[0].state: 1.0}, 0.0
    for chance, turn in zip(steps, sorted(members), strict=False):
        after: dict[int, float] = {}
        for state, mass in alive.items():
            for share, reward, following in _outcomes(process, state, steps[turn].action, chance):
                total += mass * share * reward
                if following != END:
                    after[following] = after.get(following, 0.0) + mass * share
        alive = after
    return total


def _outcomes(process: Process, state: int, action: int, chance: Step) -> Iterator[tuple[float, float, int]]:
    """Probability, reward and next state of what an action can lead to, given the branch its number chose elsewhere."""
    branches = process.branches[state][action]
    if not branches:
        yield 1.0, 0.0, state
        return
    drawn = process.branches[chance.state][chance.action]
    low = sum(branch.probability for branch in drawn[: chance.branch])
    width = drawn[chance.branch].probability
    reached = 0.0
    for branch in branches:
        share = min(low + width, reached + branch.probability) - max(low, reached)
        if share > 0:
            yield share / width, branch.reward, branch.next
        reached += branch.probability


class Replays:
    """The coalitions and orders of every course that episodes of a process can take, each made when it is asked for."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.steps = [steps for _, steps in paths(process)]
        self._values: dict[tuple[int, frozenset[int]], float] = {}
        self._coalitions: dict[int, list[dict[str, Any]]] = {}
        self._orders: dict[int, list[list[dict[str, Any]]]] = {}

    def value(self, path: int, members: Iterable[int]) -> float:
        """v(S) of one path."""
        key = (path, frozenset(members))
        if key not in self._values:
            self._values[key] = played(self.process, self.steps[path], key[1])
        return self._values[key]

    def coalitions(self, path: int) -> list[dict[str, Any]]:
        """All coalitions of one path's turns, as the probe writes them."""
        turns = len(self.steps[path])
        if turns > MOST_TURNS:
            raise CreditError(f"an episode of {turns} turns has too many coalitions; at most {MOST_TURNS} turns")
        if path not in self._coalitions:
            subsets = [subset for size in range(turns + 1) for subset in combinations(range(turns), size)]
            self._coalitions[path] = [{"turns": list(each), "value": self.value(path, each)} for each in subsets]
        return self._coalitions[path]

    def permutations(self, path: int, number: int) -> list[dict[str, Any]]:
        """One set of random orders of one path's turns, as the probe writes them; the same every time."""
        if path not in self._orders:
            drawn = [self._played(path, order) for order in self._drawn(path)]
            self._orders[path] = [drawn[n * ORDERS : (n + 1) * ORDERS] for n in range(SETS)]
        return self._orders[path][number]

    def _drawn(self, path: int) -> list[list[int]]:
        """Orders of all sets: where it comes out even, every order equally often, so that the sets' mean is exact."""
        turns, wanted = len(self.steps[path]), SETS * ORDERS
        rng = random.Random(stable_seed("shapley", self.process.name, path))
        each, rest = divmod(wanted, factorial(turns))
        if rest:
            return [rng.sample(range(turns), turns) for _ in range(wanted)]
        drawn = [list(order) for order in permutations(range(turns)) for _ in range(each)]
        rng.shuffle(drawn)
        return drawn

    def _played(self, path: int, order: list[int]) -> dict[str, Any]:
        return {"order": order, "values": [self.value(path, order[:size]) for size in range(len(order) + 1)]}


@lru_cache(maxsize=16)
def replays_of(process: Process) -> Replays:
    """Return the replays of a process, which depend on no policy."""
    return Replays(process)


class Recorded(Sequence[list[dict[str, Any]]]):
    """A batch's field that is made only for the methods that read it."""

    def __init__(self, process: Process, kind: Literal["coalitions", "permutations"], members: Ints) -> None:
        self.process, self.kind, self.members = process, kind, members

    @cached_property
    def _sets(self) -> Ints:
        """Which set of orders each episode has."""
        rng = np.random.default_rng((self.members.size, int(self.members.sum())))
        return rng.integers(SETS, size=self.members.size)

    @overload
    def __getitem__(self, index: int) -> list[dict[str, Any]]: ...
    @overload
    def __getitem__(self, index: slice) -> "Recorded": ...
    def __getitem__(self, index: int | slice) -> "list[dict[str, Any]] | Recorded":
        if isinstance(index, slice):
            return Recorded(self.process, self.kind, self.members[index])
        replays = replays_of(self.process)
        path = int(self.members[index])
        if self.kind == "coalitions":
            return replays.coalitions(path)
        return replays.permutations(path, int(self._sets[index]))

    def __len__(self) -> int:
        return len(self.members)
