"""The confidence sequence holds at every moment, and says what it is asked to wait for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnwise.errors import ConfigError
from turnwise.evals.sequential import ConfidenceSequence, Until, Wealth


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_truth_is_hardly_ever_ruled_out_at_any_time(p: float) -> None:
    rng = np.random.default_rng(int(p * 10))
    wealth = Wealth(np.full(2000, p))
    for _ in range(300):
        wealth.take((rng.random(2000) < p).astype(float))
    assert wealth.alive.mean() >= 0.95


def test_it_holds_for_numbers_between_too() -> None:
    rng = np.random.default_rng(3)
    wealth = Wealth(np.full(2000, 0.4))
    for _ in range(200):
        wealth.take(rng.beta(2, 3, size=2000))
    assert wealth.alive.mean() >= 0.95


def test_it_narrows_around_the_mean() -> None:
    rng = np.random.default_rng(4)
    sequence = ConfidenceSequence()
    assert (sequence.interval.mean, sequence.half_width) == (None, 0.5)
    widths = []
    for _ in range(4):
        sequence.add((rng.random(250) < 0.3).astype(float))
        widths.append(sequence.half_width)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.07
    low, high = sequence.interval.low, sequence.interval.high
    assert low is not None
    assert high is not None
    assert low < 0.3 < high


@given(st.lists(st.floats(0, 1), max_size=30))
def test_the_interval_never_grows_and_holds_the_mean(values: list[float]) -> None:
    sequence, before = ConfidenceSequence(), (0.0, 1.0)
    for value in values:
        sequence.add([value])
        interval = sequence.interval
        assert interval.mean is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.mean + 1e-12 <= interval.high + 2e-12
        # The mean itself is always shown, so an end may move out as far as the mean goes, no further.
        assert interval.low >= min(before[0], interval.mean) - 1e-12
        assert interval.high <= max(before[1], interval.mean) + 1e-12
        before = (interval.low, interval.high)


def test_only_numbers_in_the_unit_interval() -> None:
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            ConfidenceSequence().add([wrong])


def test_until_is_read() -> None:
    assert Until.parse("ci<0.05") == Until("success", 0.05)
    assert Until.parse(" score: ci < .1") == Until("score", 0.1)
    for wrong in ("0.05", "ci>0.05", "ci<0", "ci<0.7", "cost:ci<0.1", ""):
        with pytest.raises(ConfigError, match="--until"):
            Until.parse(wrong)
