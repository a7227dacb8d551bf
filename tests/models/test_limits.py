import random

from hypothesis import given
from hypothesis import strategies as st

from turnwise.models.limits import Gate, Pace, backoff


def test_requests_past_the_burst_come_at_the_rate() -> None:
    pace = Pace(60, now=0.0)
    waits = [pace.spend(1, now=0.0) for _ in range(10)]
    assert waits[:7] == [0.0] * 7
    assert waits[7:] == [1.0, 2.0, 3.0]


def test_rest_earns_no_more_than_the_burst() -> None:
    pace = Pace(60, now=0.0)
    assert [pace.spend(1, now=1000.0) for _ in range(8)][-1] == 1.0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 100)), min_size=1, max_size=50), st.floats(1, 1000))
def test_never_more_than_the_rate_allows(steps: list[tuple[float, float]], rate: float) -> None:
    pace, now, spent = Pace(rate, now=0.0), 0.0, 0.0
    for gap, amount in steps:
        now += gap
        wait = pace.spend(amount, now)
        assert wait >= 0
        # What was admitted before this one fits the time until it runs, and the burst.
        assert spent <= rate / 60 * (now + wait + 6.0) + 1e-6
        spent += amount


def test_tokens_spent_push_the_next_request_back() -> None:
    now = [0.0]
    gate = Gate(4, tokens_per_minute=600, clock=lambda: now[0])
    assert gate.delay() == 0.0
    gate.spent(160)
    assert gate.delay() == 10.0
    now[0] = 10.0
    assert gate.delay() == 0.0


def test_backoff_honours_the_server_and_grows_otherwise() -> None:
    rng = random.Random(1)
    assert 3.0 <= backoff(0, 3.0, rng, longest=60) <= 3.1
    assert backoff(0, 1e9, rng, longest=60) == 60
    assert 0.25 <= backoff(0, None, rng, longest=60) <= 0.5
    assert 2.0 <= backoff(3, None, rng, longest=60) <= 4.0
    assert backoff(50, None, rng, longest=5) <= 5
