"""The first numbers, against worked examples and brute force."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory_samples import a_run, an_episode
from turnwise.evals.intervals import mean, proportion
from turnwise.evals.metrics import document_of, measure, pass_at_k, pass_hat_k
from turnwise.trajectories.codec import encode
from turnwise.trajectories.tables import EpisodeRow


def row(**changes: object) -> EpisodeRow:
    failed = bool(changes.pop("failed", False))
    return EpisodeRow.of(encode(an_episode(failed=failed, **changes)).episode)  # type: ignore[arg-type]


def test_wilson_with_one_episode_a_task() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
    low_high = proportion([True] * 81 + [False] * 182, [str(n) for n in range(263)])
    assert (low_high.low, low_high.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    none = proportion([False] * 20, [str(n) for n in range(20)])
    assert (none.mean, none.low, none.high) == (0.0, 0.0, pytest.approx(0.1611, abs=5e-5))


def test_samples_of_one_task_do_not_narrow_the_interval_when_they_agree() -> None:
    tasks = [str(n) for n in range(20)]
    once = proportion([n % 2 == 0 for n in range(20)], tasks)
    often = proportion([n % 2 == 0 for n in range(20)] * 5, tasks * 5)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.05)  # type: ignore[operator]


def test_the_t_interval() -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    interval = mean(values, ["a", "b", "c", "d"])
    half = 3.182446 * math.sqrt(5 / 3) / 2
    assert (interval.mean, interval.low, interval.high) == (2.5, pytest.approx(2.5 - half), pytest.approx(2.5 + half))
    assert mean([1.0], ["a"]) == (1.0, None, None)
    assert mean([], []) == (None, None, None)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_and_pass_hat_k_equal_the_average_over_all_draws(case: tuple[int, int, int]) -> None:
    n, c, k = case
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws))


def test_failures_leave_every_average() -> None:
    rows = [row(), row(sample=1, score=0.0, success=False, reward=-1.0), row(sample=2, failed=True)]
    metrics = measure(rows)
    assert (metrics.n, metrics.scored, metrics.success.mean, metrics.reward.mean) == (3, 2, 0.5, 0.0)
    assert metrics.failures == {"env": 1}
    assert metrics.stop_reasons == {"solved": 2}
    assert metrics.pass_at_k == {"1": 0.5, "2": 1.0}
    assert metrics.pass_hat_k == {"1": 0.5, "2": 0.0}
    assert (metrics.turns.total, metrics.tokens.per_episode, metrics.cost.total) == (4, 14, 0.5)


def test_nothing_at_all_and_nothing_scored_are_defined() -> None:
    for rows in ([], [row(failed=True)]):
        metrics = measure(rows)
        assert (metrics.scored, metrics.success.mean, metrics.score.low) == (0, None, None)
        assert (metrics.pass_at_k, metrics.turns.per_episode, metrics.invalid.rate) == ({}, None, None)


def test_the_document_has_the_documented_fields_in_order() -> None:
    document = document_of(a_run(), measure([row()])).document()
    assert list(document) == [
        *("schema", "run", "env", "env_version", "config_digest", "panel", "n", "scored", "success", "score"),
        *("reward", "pass_at_k", "pass_hat_k", "turns", "tokens", "cost", "seconds", "invalid"),
        *("stop_reasons", "failures"),
    ]
    assert document["panel"] == {"name": "p", "split": "test", "digest": "d" * 64}
    assert list(document["success"]) == ["mean", "low", "high"]
