"""Small decision processes whose values, advantages and policy gradient are computed, not estimated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from turnwise.errors import CreditError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
END = -1
"""The state after the last turn."""


class Branch(NamedTuple):
    """One thing an action can lead to."""

    probability: float
    next: int
    """The next state, or ``END``."""
    reward: float = 0.0
    duration: float = 1.0
    """Seconds the action takes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Process:
    """A finite process with turns: S states, of which the agent sees O observations, A actions and a horizon.

    The policy is a table over observations; where the agent does not see the whole state, its table is a policy
    without memory and everything below is exact for that policy.
    """

    name: str
    about: str
    """What makes it hard, in a sentence."""
    branches: Sequence[Sequence[Sequence[Branch]]]
    """``branches[state][action]``; an empty list: the action is not offered there."""
    start: Sequence[float]
    """Shape (S,): probability of each first state."""
    observation: Sequence[int]
    """Shape (S,): what the agent sees in each state."""
    horizon: int
    theta: Floats
    """Shape (O, A): logits of the policy that is measured."""
    gold_logprob: Sequence[float] | None = None
    """Shape (S,): log-probability of the right answer given what the agent has seen; None: there is no answer."""

    def __post_init__(self) -> None:
        for state, actions in enumerate(self.branches):
            for action, branches in enumerate(actions):
                total = sum(branch.probability for branch in branches)
                if branches and abs(total - 1) > 1e-12:
                    raise CreditError(f"{self.name}: state {state}, action {action}: probabilities sum to {total}")

    @property
    def states(self) -> int:
        """S."""
        return len(self.branches)

    @property
    def actions(self) -> int:
        """A."""
        return int(self.theta.shape[1])

    @cached_property
    def seen(self) -> Ints:
        """``observation`` as an array, shape (S,)."""
        return np.asarray(self.observation, dtype=np.int64)

    @cached_property
    def legal(self) -> npt.NDArray[np.bool_]:
        """Shape (O, A): the actions offered at each observation."""
        offered = np.zeros(self.theta.shape, dtype=bool)
        for state, actions in enumerate(self.branches):
            for action, branches in enumerate(actions):
                offered[self.observation[state], action] |= bool(branches)
        return offered

    @cached_property
    def model(self) -> tuple[Floats, Floats]:
        """Transition probabilities, shape (S, A, S), and expected rewards, shape (S, A)."""
        to = np.zeros((self.states, self.actions, self.states))
        pays = np.zeros((self.states, self.actions))
        for state, actions in enumerate(self.branches):
            for action, branches in enumerate(actions):
                for branch in branches:
                    pays[state, action] += branch.probability * branch.reward
                    if branch.next != END:
                        to[state, action, branch.next] += branch.probability
        return to, pays

    def policy(self, theta: Floats | None = None) -> Floats:
        """Softmax of the logits over the legal actions, shape (O, A)."""
        logits = np.where(self.legal, self.theta if theta is None else theta, -np.inf)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        made: Floats = shifted / shifted.sum(axis=1, keepdims=True)
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What dynamic programming says about a policy."""

    value: float
    """J, the expected return."""
    v: Floats
    """Shape (H, S): value of each state before turn t."""
    v_seen: Floats
    """Shape (H, O): the same given only what the agent sees; 0 where it cannot be."""
    q_seen: Floats
    """Shape (H, O, A)."""
    visits: Floats
    """Shape (H, S): probability of being in each state before turn t."""
    gradient: Floats
    """Shape (O, A): exact gradient of J with respect to the logits."""

    @property
    def advantage(self) -> Floats:
        """A_t(o, a), shape (H, O, A)."""
        return self.q_seen - self.v_seen[:, :, None]


def solve(process: Process, theta: Floats | None = None) -> Truth:
    """Compute values, advantages and the policy gradient exactly.

    Args:
        process: The process.
        theta: The policy's logits, shape (O, A); None: the process's own.
    """
    to, pays = process.model
    pi = process.policy(theta)[process.seen]
    horizon, states, observations = process.horizon, process.states, len(process.theta)
    v, q = np.zeros((horizon + 1, states)), np.zeros((horizon, states, process.actions))
    for t in reversed(range(horizon)):
        q[t] = pays + to @ v[t + 1]
        v[t] = (pi * q[t]).sum(axis=1)
    visits = np.zeros((horizon, states))
    visits[0] = process.start
    for t in range(1, horizon):
        visits[t] = np.einsum("s,sa,sax->x", visits[t - 1], pi, to)
    flow = visits[:, :, None] * pi * (q - v[:-1, :, None])
    gradient = np.zeros((observations, process.actions))
    np.add.at(gradient, process.seen, flow.sum(axis=0))
    v_seen, q_seen = _as_seen(process, visits, v[:-1], q)
    return Truth(
        value=float(visits[0] @ v[0]), v=v[:-1], v_seen=v_seen, q_seen=q_seen, visits=visits, gradient=gradient
    )


def _as_seen(process: Process, visits: Floats, v: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Average state values over what the agent cannot tell apart."""
    observations = len(process.theta)
    member = np.zeros((process.states, observations))
    member[np.arange(process.states), process.seen] = 1.0
    mass = visits @ member
    safe = np.where(mass > 0, mass, 1.0)
    v_seen = (visits * v) @ member / safe
    q_seen = np.einsum("hs,hsa,so->hoa", visits, q, member) / safe[:, :, None]
    return v_seen, q_seen


class Step(NamedTuple):
    """One turn of an enumerated path."""

    state: int
    action: int
    next: int
    reward: float
    duration: float
    branch: int = 0
    """Which of the action's branches chance took."""


def paths(process: Process) -> Iterator[tuple[float, list[Step]]]:
    """Yield every course an episode can take, with the probability that chance, not the policy, contributes."""

    def follow(state: int, probability: float, steps: list[Step]) -> Iterator[tuple[float, list[Step]]]:
        if state == END or len(steps) == process.horizon:
            yield probability, steps
            return
        for action, branches in enumerate(process.branches[state]):
            for number, branch in enumerate(branches):
                step = Step(state, action, branch.next, branch.reward, branch.duration, number)
                yield from follow(branch.next, probability * branch.probability, [*steps, step])

    for state, probability in enumerate(process.start):
        if probability > 0:
            yield from follow(state, probability, [])


def best_value(process: Process) -> float | None:
    """Return the value of the best policy with a clock; None where the agent does not see the whole state."""
    if len(set(process.observation)) < process.states:
        return None
    to, pays = process.model
    offered = np.array([[bool(branches) for branches in actions] for actions in process.branches])
    value = np.zeros(process.states)
    for _ in range(process.horizon):
        value = np.where(offered, pays + to @ value, -np.inf).max(axis=1)
    return float(np.asarray(process.start) @ value)
