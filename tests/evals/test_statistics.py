"""Numbers equal SciPy's, statsmodels' or a published worked example; the odd cases are defined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from turnwise.evals.intervals import mean, proportion
from turnwise.evals.metrics import pass_at_k, pass_hat_k
from turnwise.evals.statistics import (
    bootstrap_mean,
    bootstrap_ratio,
    caveats,
    detectable,
    paired,
    pass_intervals,
    t_mean,
    tasks_needed,
    unit_mean,
)

outcomes = st.lists(st.booleans(), min_size=1, max_size=60)


def names(n: int) -> list[str]:
    return [f"t{i}" for i in range(n)]


@given(outcomes)
def test_wilson_is_statsmodels(successes: list[bool]) -> None:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(sum(successes), len(successes), method="wilson")
    got = proportion(successes, names(len(successes)))
    assert got.low == pytest.approx(low, abs=1e-12)
    assert got.high == pytest.approx(high, abs=1e-12)


def test_wilson_is_the_textbooks() -> None:
    # Newcombe (1998), Statistics in Medicine 17:857, table I: 81 of 263, and 0 of 20.
    got = proportion([True] * 81 + [False] * 182, names(263))
    assert (round(got.low or 0, 4), round(got.high or 0, 4)) == (0.2553, 0.3662)
    none = proportion([False] * 20, names(20))
    assert (none.low, round(none.high or 0, 4)) == (0.0, 0.1611)


def test_the_t_interval_is_scipys() -> None:
    values = np.array([0.1, 0.4, 0.35, 0.8, 0.62])
    expected = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert t_mean(values)[1:] == pytest.approx(expected)
    assert mean(list(values), names(5))[1:] == pytest.approx(expected)


def test_the_clustered_error_is_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    values = rng.normal(size=20)[groups] + rng.normal(size=60)
    fitted = sm.OLS(values, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}, use_t=True
    )
    error = float(fitted.bse[0]) * math.sqrt(20 / 19)
    half = stats.t.ppf(0.975, 19) * error
    got = mean(list(values), [str(group) for group in groups])
    assert got.low == pytest.approx(values.mean() - half)
    assert got.high == pytest.approx(values.mean() + half)


def test_mcnemar_is_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    table = np.array([[59, 6], [16, 19]])
    a = {f"{i}": float(i < 65) for i in range(100)}
    b = {f"{i}": float(i < 59 or 65 <= i < 81) for i in range(100)}
    got = paired(a, b, binary=True)
    assert got.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert (got.better, got.worse, got.tasks) == (16, 6, 100)
    assert got.difference.mean == pytest.approx(0.1)


def test_power_is_statsmodels() -> None:
    from statsmodels.stats.power import NormalIndPower

    deltas = np.random.default_rng(1).normal(0.1, 0.5, size=200)
    spread = float(deltas.std(ddof=1))
    effect = NormalIndPower(ddof=0).solve_power(nobs1=200, alpha=0.05, power=0.8, ratio=0, alternative="two-sided")
    assert detectable(deltas) == pytest.approx(effect * spread, rel=1e-3)
    needed = NormalIndPower(ddof=0).solve_power(
        effect_size=float(deltas.mean()) / spread, alpha=0.05, power=0.8, ratio=0
    )
    assert tasks_needed(deltas) == pytest.approx(math.ceil(needed), abs=1)


def test_the_bootstrap_is_scipys_over_tasks() -> None:
    rng = np.random.default_rng(2)
    values = list(rng.exponential(size=40))
    found = stats.bootstrap(
        (np.array(values),), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    got = bootstrap_mean(values, names(40))
    assert got.low == pytest.approx(found.low, rel=0.05)
    assert got.high == pytest.approx(found.high, rel=0.05)
    twice = bootstrap_mean(values * 2, names(40) * 2)
    assert twice == pytest.approx(got)


@given(st.integers(1, 8), st.integers(0, 8), st.integers(1, 8))
def test_pass_at_k_and_hat_k_are_the_share_of_subsets(n: int, c: int, k: int) -> None:
    from itertools import combinations

    c, k = min(c, n), min(k, n)
    drawn = list(combinations([i < c for i in range(n)], k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, drawn)) / len(drawn))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, drawn)) / len(drawn))


def test_pass_intervals_leave_out_tasks_with_too_few_samples() -> None:
    at, hat = pass_intervals({"a": [True, False], "b": [False, False], "c": [True]}, 2)
    assert (at.mean, hat.mean) == (0.5, 0.0)
    assert pass_intervals({}, 1)[0].mean is None


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(1, 8))
def test_unit_means_stay_in_the_unit_interval(values: list[float], samples: float) -> None:
    got = unit_mean(values, samples=samples)
    if values:
        assert got.mean is not None
        assert got.low is not None
        assert got.high is not None
        assert 0 <= got.low <= got.mean + 1e-12
        assert got.mean - 1e-12 <= got.high <= 1


def test_one_task_no_task_and_no_difference_are_defined() -> None:
    nothing = paired({}, {"a": 1.0}, binary=True)
    assert (nothing.tasks, nothing.difference.mean, nothing.p_value, nothing.needed) == (0, None, None, None)
    one = paired({"a": 0.0}, {"a": 1.0}, binary=False)
    assert (one.difference.mean, one.difference.low, one.bootstrap.low, one.p_value) == (1.0, None, None, None)
    same = paired({"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5}, binary=False)
    assert (same.difference.mean, same.p_value, same.detectable, same.needed) == (0.0, None, None, None)
    assert bootstrap_ratio(np.array([1.0, 2.0]), np.zeros(2)).mean is None
    assert "one task" in caveats(1, 1)[0]
    assert "cover less" in caveats(12, 1)[0]
    assert len(caveats(40, 3)) == 1
    assert caveats(500, 1, 0.4) == []
