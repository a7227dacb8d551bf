"""Faults that real endpoints have, injected by seed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from turnwise.models.fake.rules import ChatRequest, Reply

FAULTS = (
    "rate_limit",
    "server_error",
    "hang",
    "cut",
    "malformed",
    "empty_choices",
    "wrong_tool",
    "bad_arguments",
)
"""429 with Retry-After; 500; no answer; a body that ends early; a body that is no JSON; no choices; a call of a tool
that was not offered; arguments that are no JSON. The last two are the model's doing, the others the server's."""


@dataclass
class Faults:
    """Decides by request body, seed and how often the body came before: the same in every order of arrival."""

    rate: float = 0.0
    seed: int = 0
    kinds: Sequence[str] = FAULTS
    _seen: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(FAULTS))
        if unknown or not 0 <= self.rate <= 1:
            raise ValueError(f"faults are {', '.join(FAULTS)} at a rate in [0, 1]; got {unknown or self.rate}")

    def choose(self, request: ChatRequest) -> str | None:
        """Return the fault for this request, or None."""
        if self.rate == 0:
            return None
        self._seen[request.fingerprint] += 1
        rng = request.rng("fault", self.seed, self._seen[request.fingerprint])
        return rng.choice(list(self.kinds)) if rng.random() < self.rate else None


def spoil(reply: Reply, kind: str) -> Reply:
    """Return the answer with one of the model's own faults in it."""
    if kind == "wrong_tool":
        return replace(reply, calls=(("no_such_tool", "{}"),))
    calls = reply.calls or (("no_such_tool", "{}"),)
    return replace(reply, calls=tuple((name, arguments[:-1] + ", oops") for name, arguments in calls))
