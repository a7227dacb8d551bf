"""The intervals hold as often as they say: the quick part; ``benchmarks/coverage.py`` is the whole."""

import pytest

from turnwise.evals.coverage import (
    GRID,
    clustered_coverage,
    peeking_coverage,
    sequence_coverage,
    stopped_coverage,
    wilson_coverage,
)


@pytest.mark.parametrize("n", [30, 100, 300])
def test_wilson_over_ten_thousand_evaluations(n: int) -> None:
    found = [wilson_coverage(p, n, runs=10_000) for p in GRID]
    assert 0.94 <= sum(found) / len(found) <= 0.96
    assert min(found) >= 0.92


@pytest.mark.parametrize("quantity", ["success", "score", "pass@2"])
def test_clustered_intervals_with_three_samples_a_task(quantity: str) -> None:
    found = [clustered_coverage(p, 50, runs=600, quantity=quantity) for p in (0.2, 0.5, 0.8)]  # type: ignore[arg-type]
    assert 0.92 <= sum(found) / len(found) <= 0.98


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tasks", [50, 100, 300])
@pytest.mark.parametrize("quantity", ["success", "score", "pass@2"])
def test_clustered_intervals_over_ten_thousand_evaluations(quantity: str, tasks: int) -> None:
    found = [clustered_coverage(p, tasks, runs=10_000, quantity=quantity) for p in GRID]  # type: ignore[arg-type]
    assert 0.93 <= sum(found) / len(found) <= 0.97


@pytest.mark.parametrize("n", [30, 100, 300])
def test_the_sequence_holds_at_every_moment_where_wilson_does_not(n: int) -> None:
    found = [sequence_coverage(p, n, runs=2_000) for p in GRID]
    assert min(found) >= 0.95
    assert n != 100 or peeking_coverage(0.5, n, runs=500) < 0.9


def test_the_sequence_holds_where_a_run_stopped() -> None:
    held, tasks = stopped_coverage(0.9, 0.12, most=200, runs=40)
    assert held >= 0.9
    assert 30 < tasks < 200
