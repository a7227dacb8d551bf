"""How fast an endpoint may be asked: requests and tokens per minute, and requests in the air."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio


class Pace:
    """A rate that is kept by pushing later requests back; what was already spent counts as debt.

    Requests are admitted at an even pace after a burst of one tenth of a minute's worth.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._seconds_each = 60.0 / per_minute
        self._burst = 6.0
        self._free_at = now - self._burst

    def spend(self, amount: float, now: float) -> float:
        """Take ``amount`` and return the seconds to wait before using it."""
        self._free_at = max(self._free_at, now - self._burst)
        wait = max(0.0, self._free_at - now)
        self._free_at += amount * self._seconds_each
        return wait


class Gate:
    """Lets requests through to one endpoint; every caller of the endpoint shares it."""

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = anyio.CapacityLimiter(concurrency)
        self._clock = clock
        self._requests = Pace(requests_per_minute, clock()) if requests_per_minute else None
        self._tokens = Pace(tokens_per_minute, clock()) if tokens_per_minute else None

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold one slot for the time of a request."""
        async with self._slots:
            wait = self.delay()
            if wait > 0:
                await anyio.sleep(wait)
            yield

    def delay(self) -> float:
        """Take one request's turn and return the seconds it must wait."""
        now = self._clock()
        waits = [self._requests.spend(1, now)] if self._requests else []
        waits += [self._tokens.spend(0, now)] if self._tokens else []
        return max(waits, default=0.0)

    def spent(self, tokens: int) -> None:
        """Charge the tokens of a finished request: how many is known only afterwards."""
        if self._tokens:
            self._tokens.spend(tokens, self._clock())


def backoff(attempt: int, asked: float | None, rng: random.Random, *, longest: float) -> float:
    """Return the seconds to wait before trying again.

    Args:
        attempt: 0 before the first retry.
        asked: What the server's ``Retry-After`` asks for; it is honoured up to ``longest``.
        rng: Spreads the retries of many clients.
        longest: No wait is longer, in seconds.
    """
    if asked is not None:
        return min(longest, max(0.0, asked) + rng.uniform(0.0, 0.05))
    return float(min(longest, 0.5 * 2**attempt) * rng.uniform(0.5, 1.0))
