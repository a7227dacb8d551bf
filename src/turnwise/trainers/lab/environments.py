"""The laboratory's environments: each one small, exact, and hard in one way."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from turnwise.errors import UnknownNameError
from turnwise.trainers.lab.process import END, Branch, Floats, Process

Table = list[list[list[Branch]]]


def _logits(observations: int, actions: int, seed: int) -> Floats:
    """A policy that is neither uniform nor symmetric, so that no bias hides behind a symmetry."""
    return np.random.default_rng(seed).normal(scale=0.7, size=(observations, actions)).round(2)


def _plain(name: str, about: str, table: Table, horizon: int, seed: int) -> Process:
    """A process whose state the agent sees, beginning in state 0."""
    states = len(table)
    start = [1.0] + [0.0] * (states - 1)
    theta = _logits(states, len(table[0]), seed)
    return Process(
        name=name, about=about, branches=table, start=start, observation=range(states), horizon=horizon, theta=theta
    )


def chain() -> Process:
    """Three turns; only the second decides."""
    end = [[[Branch(1, END, paid)], [Branch(1, END, paid)], []] for paid in (0.0, 0.5, 1.0)]
    table: Table = [
        [[Branch(1, 1)], [Branch(1, 1)], []],
        [[Branch(1, 2)], [Branch(1, 3)], [Branch(1, 4)]],
        *end,
    ]
    return _plain("chain", "Three turns; only the second decides, and is paid at the end.", table, 3, 1)


def key_door() -> Process:
    """Take the key, wait, open the door; a small reward distracts on the way."""
    table: Table = [
        [[Branch(1, 1)], [Branch(1, 2)]],
        [[Branch(1, 3)], [Branch(1, 3, 0.2)]],
        [[Branch(1, 4)], [Branch(1, 4, 0.2)]],
        [[Branch(1, END, 0.0)], [Branch(1, END, 0.0)]],
        [[Branch(1, END, 0.0)], [Branch(1, END, 1.0)]],
    ]
    return _plain("key_door", "The key is taken two turns before the door pays; a small reward distracts.", table, 3, 2)


def early_stop() -> Process:
    """Stopping ends the episode: groups mix lengths, and averages per length favour short episodes."""
    pays = (0.2, 0.4, 0.1, 0.3)
    table: Table = [[[Branch(1, END, paid)], [Branch(1, t + 1)]] for t, paid in enumerate(pays)]
    table[-1][1] = [Branch(0.7, END, 1.0), Branch(0.3, END, 0.0)]
    process = _plain("early_stop", "Stopping pays a little at once, going on to the end 0.7 on average.", table, 4, 3)
    return replace(process, theta=np.array([[-0.5, 0.4], [-0.1, 0.3], [0.2, 0.1], [0.3, -0.2]]))


def noisy_tool() -> Process:
    """A tool that fails often; with its result the answer is right, without it a guess."""
    # States: turn 0..2 without result, turn 1..2 with it. Actions: call the tool, answer.
    answer_blind = [Branch(0.25, END, 1.0), Branch(0.75, END, 0.0)]
    answer = [Branch(1, END, 1.0)]
    table: Table = [
        [[Branch(0.6, 3, -0.05), Branch(0.4, 1, -0.05)], answer_blind],
        [[Branch(0.6, 4, -0.05), Branch(0.4, 2, -0.05)], answer_blind],
        [[Branch(1, END, -0.05)], answer_blind],
        [[Branch(1, 4, -0.05)], answer],
        [[Branch(1, END, -0.05)], answer],
    ]
    return _plain(
        "noisy_tool", "The tool fails four times in ten and each call costs; a blind answer is a guess.", table, 3, 4
    )


def revisited() -> Process:
    """Going round in circles: the same state comes again within an episode, with less time left."""
    table: Table = [
        [[Branch(1, 1)], [Branch(1, 2)]],
        [[Branch(1, 0)], [Branch(1, 2)]],
        [[Branch(1, 0)], [Branch(1, END, 1.0)]],
    ]
    return _plain("revisited", "States come again within an episode, with less time left each time.", table, 4, 5)


def shared_prefix() -> Process:
    """All episodes begin alike and part late."""
    table: Table = [
        [[Branch(1, 1)], [Branch(1, 1)]],
        [[Branch(1, 2)], [Branch(1, 3)]],
        [[Branch(1, END, 0.3)], [Branch(1, END, 0.5)]],
        [[Branch(1, END, 0.0)], [Branch(1, END, 1.0)]],
    ]
    return _plain("shared_prefix", "All episodes share their first state and turn and part at the second.", table, 3, 6)


def misleading_entropy() -> Process:
    """Entropy points to the wrong turn."""
    table: Table = [
        [[Branch(1, 1, paid)] for paid in (0.0, 0.1, 0.0, 0.1)],
        [[Branch(1, END, 0.2)], [Branch(1, END, 1.0)], [], []],
    ]
    theta = np.array([[0.1, 0.0, -0.1, 0.05], [1.8, -0.6, 0.0, 0.0]])
    about = "The turn the policy is unsure about hardly matters; the one it is sure about decides."
    return replace(_plain("misleading_entropy", about, table, 2, 7), theta=theta)


def information() -> Process:
    """Ask a witness who is right eight times in ten, up to twice, then answer: a belief about a hidden answer."""
    right, cost = 0.8, 0.05
    histories = [(), *product((0, 1), repeat=1), *product((0, 1), repeat=2)]
    index = {(hidden, seen): 7 * hidden + n for hidden in (0, 1) for n, seen in enumerate(histories)}
    table: Table = [[[] for _ in range(3)] for _ in index]
    gold = [0.0] * len(index)
    for (hidden, seen), state in index.items():
        for answer in (0, 1):
            table[state][answer] = [Branch(1, END, float(answer == hidden))]
        likelihood = [math.prod(right if said == truth else 1 - right for said in seen) for truth in (0, 1)]
        gold[state] = math.log(likelihood[hidden] / sum(likelihood))
        if len(seen) < 2:
            table[state][2] = [
                Branch(right if said == hidden else 1 - right, index[hidden, (*seen, said)], -cost) for said in (0, 1)
            ]
    start = [0.5 if seen == () else 0.0 for _, seen in index]
    return Process(
        name="information",
        about="A hidden answer; witnesses are right eight times in ten, asking costs, at most two are asked.",
        branches=table,
        start=start,
        observation=[histories.index(seen) for _, seen in index],
        horizon=3,
        theta=_logits(len(histories), 3, 8) + np.array([0.0, 0.0, 0.8]),
        gold_logprob=gold,
    )


def durations() -> Process:
    """The slow way and the quick way to the same result: seconds are no reward."""
    table: Table = [
        [[Branch(1, 1, 0.0, 1.0)], [Branch(1, 2, 0.0, 20.0)]],
        [[Branch(1, END, 0.0, 2.0)], [Branch(1, END, 0.6, 2.0)]],
        [[Branch(1, END, 0.2, 1.0)], [Branch(1, END, 1.0, 30.0)]],
    ]
    return _plain("durations", "The slow actions are the better ones, and take twenty times as long.", table, 2, 9)


def random_process(seed: int) -> Process:
    """One of a family: four states, two actions, rewards on the way, chance in some transitions."""
    rng = np.random.default_rng(1000 + seed)
    table: Table = []
    for state in range(4):
        actions = []
        for _ in range(2):
            first, second = (int(s) for s in rng.permutation(4)[:2])
            pays = [float(r) for r in rng.normal(size=2).round(2)]
            share = float(rng.uniform(0.2, 0.8).__round__(2))
            chance = [Branch(share, first, pays[0]), Branch(1 - share, second, pays[1])]
            actions.append(chance if state == 0 else [Branch(1, first, pays[0])])
        table.append(actions)
    return _plain(f"random_{seed}", f"Member {seed} of a family of random processes.", table, 3, 100 + seed)


ENVIRONMENTS: dict[str, Callable[[], Process]] = {
    make.__name__: make
    for make in (
        chain,
        key_door,
        early_stop,
        noisy_tool,
        revisited,
        shared_prefix,
        misleading_entropy,
        information,
        durations,
    )
} | {f"random_{seed}": partial(random_process, seed) for seed in (1, 7, 10)}
"""The environments by name."""


def environment(name: str) -> Process:
    """Make an environment by name.

    Raises:
        UnknownNameError: There is none of that name; ``random_<seed>`` takes any seed.
    """
    kind, _, seed = name.partition("_")
    if kind == "random" and seed.isdigit():
        return random_process(int(seed))
    if name not in ENVIRONMENTS:
        raise UnknownNameError.of("laboratory environment", name, ENVIRONMENTS)
    return ENVIRONMENTS[name]()
