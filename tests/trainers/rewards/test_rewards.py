"""Reward combination: the expression language is total and parsed, weights move as defined."""

import math
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.errors import ConfigError
from turnwise.trainers import rewards

VALUES = {"a": 2.0, "b": 3.0, "z": 0.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("8 - 2 - 1", 5),
        ("8 / 2 / 2", 2),
        ("-a ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("2 ^ -1", 0.5),
        ("a * -b", -6),
        ("a / z", 0),
        ("a < b and not z", 1),
        ("a > b or z", 0),
        ("not a == 2", 0),
        ("if(a > 1, b, 10)", 3),
        ("min(a, b, 1.5) + max(a, b)", 4.5),
        ("clip(a * 10, 0, 5)", 5),
        ("mean(a, b)", 2.5),
        ("sqrt(0 - 9)", 3),
        ("log(0) < -20", 1),
        (".5 + 1e-1", 0.6),
        ("10 ^ 400 < 1e300", 1),
    ],
)
def test_values(text: str, value: float) -> None:
    assert float(rewards.Expression(text)(VALUES)) == pytest.approx(value)


def test_arrays_are_combined_element_by_element() -> None:
    formula = rewards.Expression("correct * (1 - 0.2 * min(turns / 10, 1)) + if(format > 0.5, 0.1, 0)")
    assert formula.names == ("correct", "format", "turns")
    got = formula({"correct": np.array([1.0, 0, 1]), "turns": [5, 5, 50], "format": [1, 1, 0]})
    np.testing.assert_allclose(got, [1.0, 0.1, 0.8])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a number"),
        ("a +", "expected a number"),
        ("(a", "expected '\\)'"),
        ("a b", "expected an operator"),
        ("f(a)", "no function 'f'"),
        ("min(a)", "takes 2 to 8 arguments, got 1"),
        ("clip(a, 1)", "takes 3 arguments"),
        ("a @ b", "'@' means nothing"),
        ("__import__('os')", "means nothing"),
        ("__import__(a)", "no function '__import__'"),
        ("(" * 100 + "a" + ")" * 100, "may nest"),
        ("- " * 200 + "a", "may nest"),
        ("a+" * 2000 + "a", "2000 is the most"),
    ],
)
def test_what_does_not_parse(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rewards.Expression(text)


def test_a_missing_component_is_named() -> None:
    with pytest.raises(ConfigError, match="needs 'c'"):
        rewards.Expression("a + c")(VALUES)


@given(st.text(string.digits + "ab.+-*/^<>=!(), minaxclpfortde", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_parses_or_is_refused_and_gives_a_finite_number(text: str) -> None:
    try:
        formula = rewards.Expression(text)
    except ConfigError:
        return
    value = formula(dict.fromkeys(formula.names, 1e8))
    assert np.isfinite(value).all()


def test_fixed_weights() -> None:
    combine = rewards.combiner({"correct": 1, "format": 0.1})
    np.testing.assert_allclose(combine({"correct": [1, 0], "format": [0, 1], "other": [9, 9]}), [1, 0.1])
    with pytest.raises(ConfigError, match="'format'"):
        combine({"correct": 1})
    with pytest.raises(ConfigError, match="must be a number"):
        rewards.combiner({"correct": "high"})
    assert rewards.FixedWeights(weights={"exec": 3, "syntax": 1, "ngram": 1}).dominates("exec", {})
    assert not rewards.FixedWeights(weights={"exec": 2, "syntax": 1, "ngram": 1}).dominates("exec", {})


def test_hypervolume_counts_what_is_dominated() -> None:
    assert rewards.hypervolume([(1, 3), (2, 2), (3, 1)], (0, 0)) == pytest.approx(6)
    assert rewards.hypervolume([(1, 1, 1), (2, 1, 1)], (0, 0, 0)) == pytest.approx(2)
    assert rewards.hypervolume([(-1, 5)], (0, 0)) == 0


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=6))
@settings(max_examples=60, deadline=None)
def test_hypervolume_is_the_number_of_dominated_cells(points: list[tuple[int, ...]]) -> None:
    cells = sum(any(all(c < v for c, v in zip(cell, p, strict=True)) for p in points) for cell in np.ndindex(5, 5, 5))
    assert rewards.hypervolume(points, (0, 0, 0)) == pytest.approx(cells)


def test_the_meta_reward_grows_with_the_front() -> None:
    guide = rewards.Hypervolume(front=[(0.0, 10.0)], maximize=(True, False))
    assert guide.update((0.5, 9.0)) == pytest.approx(0.5 + 1.5 * math.tanh(0.5))
    assert guide.update((0.4, 9.5)) == 0.5
    assert guide.update((-1.0, 1.0)) == 0.5
    assert len(guide.front) == 2


def test_gradients_that_agree_gain_weight() -> None:
    guide = rewards.GradientWeights(weights={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, regularisation=2.0)
    rows = {"a": np.array([1.0, 0]), "b": np.array([1.0, 0]), "c": np.array([0, 1.0])}
    got = guide.update(rows, lr=0.5)
    scores = np.exp(0.25 * np.array([2, 2, 1]))
    np.testing.assert_allclose(list(got.values()), scores / scores.sum())
    slow = rewards.GradientWeights(weights={"a": 0.5, "b": 0.5}, every=2)
    assert slow.update({"a": [1.0], "b": [2.0]}, lr=1.0) == {"a": 0.5, "b": 0.5}
    moved = slow.update({"a": [1.0], "b": [2.0]}, lr=1.0)
    assert moved["b"] / moved["a"] == pytest.approx(math.exp(6 - 3))
    with pytest.raises(ConfigError, match="gradients of"):
        guide.update({"a": [1.0]}, lr=0.1)
