"""An environment under a policy: every path with its probability, and batches of groups drawn from them."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from math import comb, lgamma
from typing import Any, NamedTuple

import numpy as np

from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.lab.coalitions import Recorded
from turnwise.trainers.lab.process import END, Floats, Ints, Process, Truth, paths, solve

EXACT_GROUPS = 40_000
"""Up to so many different groups are enumerated; more are sampled."""


class Rows(NamedTuple):
    """The turns of all paths, one after another; every array has shape (R,)."""

    state: Ints
    seen: Ints
    action: Ints
    next_seen: Ints
    """O where the episode ends."""
    next_state: Ints
    turn: Ints
    reward: Floats
    duration: Floats
    history: Ints
    """Number of the sequence of what was seen and done before the turn."""


class Paths(NamedTuple):
    """Every course an episode can take."""

    chance: Floats
    """Shape (K,): what chance contributes to each path's probability."""
    offsets: Ints
    """Shape (K + 1,): the rows of path k."""
    rows: Rows


def enumerate_paths(process: Process) -> Paths:
    """List every path of a process."""
    chances, lengths = list[float](), list[int]()
    columns: list[tuple[float, ...]] = []
    numbers: dict[tuple[tuple[int, int], ...], int] = {}
    for chance, steps in paths(process):
        chances.append(chance)
        lengths.append(len(steps))
        past: tuple[tuple[int, int], ...] = ()
        for turn, step in enumerate(steps):
            seen = process.observation[step.state]
            after = len(process.theta) if step.next == END else process.observation[step.next]
            past_number = numbers.setdefault((*past, (seen, END)), len(numbers))
            whole_row = (step.state, seen, step.action, after, step.next, turn, step.reward, step.duration, past_number)
            columns.append(whole_row)
            past = (*past, (seen, step.action))
    table = np.array(columns)
    whole = [table[:, n].astype(np.int64) for n in (0, 1, 2, 3, 4, 5, 8)]
    states, seen_, actions, after_, following, turns, history = whole
    rows = Rows(
        state=states,
        seen=seen_,
        action=actions,
        next_seen=after_,
        next_state=following,
        turn=turns,
        reward=table[:, 6],
        duration=table[:, 7],
        history=history,
    )
    return Paths(np.array(chances), np.concatenate([[0], np.cumsum(lengths)]), rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Groups of n episodes, and how much each weighs in an expectation."""

    members: Ints
    """Shape (G, n): paths."""
    weight: Floats
    """Shape (G,): probabilities that sum to 1, or 1 / G each where the groups were sampled."""
    exact: bool


class Setting:
    """A process under a policy.

    Args:
        process: The process.
        theta: The policy's logits, shape (O, A); None: the process's own.
        listed: The process's paths, where they are known already.
    """

    def __init__(self, process: Process, theta: Floats | None = None, listed: Paths | None = None) -> None:
        self.process = process
        self.paths = listed or enumerate_paths(process)
        self.pi = process.policy(theta)
        self.truth: Truth = solve(process, theta)

    @cached_property
    def probability(self) -> Floats:
        """Shape (K,): probability of each path under the policy."""
        rows = self.paths.rows
        logs = np.add.reduceat(np.log(self.pi[rows.seen, rows.action]), self.paths.offsets[:-1])
        made: Floats = self.paths.chance * np.exp(logs)
        return made

    @cached_property
    def score(self) -> Floats:
        """Shape (R, O * A): gradient of each row's log-probability with respect to the logits."""
        rows = self.paths.rows
        made = np.zeros((rows.seen.size, *self.pi.shape))
        index = np.arange(rows.seen.size)
        made[index, rows.seen] = -self.pi[rows.seen]
        made[index, rows.seen, rows.action] += 1
        return made.reshape(rows.seen.size, -1)

    @cached_property
    def advantage(self) -> Floats:
        """Shape (R,): the true A_t(o, a) of each row."""
        rows = self.paths.rows
        made: Floats = self.truth.advantage[rows.turn, rows.seen, rows.action]
        return made

    def __hash__(self) -> int:
        return id(self)

    @lru_cache(maxsize=4)  # noqa: B019 - a setting lives as long as its table is made
    def groups(self, n: int, *, samples: int | None = None, seed: int | tuple[int, ...] = 0) -> Groups:
        """List all groups of n episodes with their probabilities, or sample some.

        Args:
            n: Group size.
            samples: Sample so many groups; None: list all where they are few enough, else sample 20,000.
            seed: Of the sample.
        """
        kinds = len(self.probability)
        if samples is None and comb(kinds + n - 1, n) <= EXACT_GROUPS:
            members = np.array(list(combinations_with_replacement(range(kinds), n)), dtype=np.int64)
            return Groups(members=members, weight=self._multinomial(members), exact=True)
        drawn = samples or 20_000
        rng = np.random.default_rng(seed)
        total = self.probability / self.probability.sum()
        members = rng.choice(kinds, size=(drawn, n), p=total)
        return Groups(members=members, weight=np.full(drawn, 1 / drawn), exact=False)

    def _multinomial(self, members: Ints) -> Floats:
        """Probability of each group as a multiset: estimators do not look at the order of episodes."""
        count, n = members.shape
        times = np.zeros((count, len(self.probability)))
        np.add.at(times, (np.arange(count)[:, None], members), 1)
        factorials = np.array([lgamma(k + 1) for k in range(n + 1)])
        logs = factorials[n] - factorials[times.astype(np.int64)].sum(axis=1) + times @ np.log(self.probability)
        made: Floats = np.exp(logs)
        return made

    def batch(self, members: Ints) -> tuple[CreditBatch, Ints]:
        """Build the batch of some groups, each an update of its own, and tell which row each turn is.

        Args:
            members: Shape (G, n): paths.
        """
        count, n = members.shape
        flat = members.ravel()
        lengths = np.diff(self.paths.offsets)[flat]
        ends = np.cumsum(lengths)
        row = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths) + np.repeat(self.paths.offsets[flat], lengths)
        group = np.repeat(np.arange(count), n)
        turn_fields = {name: values[row] for name, values in self.turn_fields.items()}
        outcome = np.add.reduceat(self.paths.rows.reward, self.paths.offsets[:-1])[flat]
        batch = CreditBatch.build(
            group=group,
            turns=lengths,
            reward=self.paths.rows.reward[row],
            action_tokens=np.ones(row.size, dtype=np.int64),
            shard=group,
            baseline_reward=np.full(flat.size, self.greedy_value),
            components={"outcome": outcome},
            coalitions=Recorded(self.process, "coalitions", flat),
            permutations=Recorded(self.process, "permutations", flat),
            **turn_fields,
        )
        return batch, row

    @lru_cache(maxsize=4)  # noqa: B019 - as above: every estimator sees the same batch
    def batch_of(self, groups: Groups) -> tuple[CreditBatch, Ints]:
        """Build the batch of some groups once."""
        return self.batch(groups.members)

    @cached_property
    def greedy_value(self) -> float:
        """Expected return of the greedy policy."""
        best = np.where(self.process.legal, self.pi, -1).argmax(axis=1)
        sharp = np.where(np.arange(self.pi.shape[1]) == best[:, None], 0.0, -1e9)
        return solve(self.process, sharp).value

    @cached_property
    def turn_fields(self) -> dict[str, Any]:
        """What estimators may read of each row: keys, exact critics, the advantage as an action's influence."""
        rows, truth, pi = self.paths.rows, self.truth, self.pi
        v = truth.v_seen[rows.turn, rows.seen]
        q = truth.q_seen[rows.turn, rows.seen, rows.action]
        goes_on = (rows.next_state != END) & (rows.turn + 1 < self.process.horizon)
        later = np.where(goes_on, rows.turn + 1, 0)
        after = np.where(goes_on, truth.v_seen[later, np.where(goes_on, rows.next_seen, 0)], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(pi > 0, pi * np.log(pi), 0.0).sum(axis=1)[rows.seen]
        ones = np.ones(rows.seen.size)
        fields: dict[str, Any] = {
            "state_key": rows.seen,
            "next_state_key": rows.next_seen,
            "action_key": rows.action,
            "history_key": rows.history,
            "valid_action": ones > 0,
            "grounded": ones > 0,
            "turn_entropy": entropy,
            "entropy": entropy,
            "logprobs": np.log(pi[rows.seen, rows.action]),
            "sum_pi_sq": (pi**2).sum(axis=1)[rows.seen],
            "values": v,
            "value_first": v,
            "value_last": v,
            "fork_value": truth.v[rows.turn, rows.state],
            "progress": rows.reward + after - v,
            "duration": rows.duration,
            "thr": self.advantage,
            "observation_tokens": ones,
            **dict.fromkeys(("q1", "q2"), q),
            **dict.fromkeys(("v1", "v2"), v),
        }
        if self.process.gold_logprob is not None:
            fields["gold_logprob"] = np.asarray(self.process.gold_logprob)[rows.state]
        return fields
