"""Dynamic programming against listing every path, and against finite differences."""

import numpy as np
import pytest

from turnwise.errors import CreditError, UnknownNameError
from turnwise.trainers.lab import ENVIRONMENTS, Branch, Process, Setting, environment, solve
from turnwise.trainers.lab.process import END, best_value

NAMES = [*ENVIRONMENTS, "random_2", "random_99"]


def value_by_listing(process: Process, theta: np.ndarray | None = None) -> float:
    setting = Setting(process, theta)
    outcome = np.add.reduceat(setting.paths.rows.reward, setting.paths.offsets[:-1])
    return float(setting.probability @ outcome)


@pytest.mark.parametrize("name", NAMES)
def test_the_paths_probabilities_sum_to_one_and_give_the_value(name: str) -> None:
    setting = Setting(environment(name))
    assert setting.probability.sum() == pytest.approx(1, abs=1e-12)
    assert value_by_listing(setting.process) == pytest.approx(setting.truth.value, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_what_finite_differences_say(name: str) -> None:
    process = environment(name)
    exact = solve(process).gradient
    step = 1e-5
    for place in np.ndindex(exact.shape):
        ends = []
        for sign in (1, -1):
            theta = process.theta.astype(float).copy()
            theta[place] += sign * step
            ends.append(value_by_listing(process, theta))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(exact[place], abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_advantages_vanish_in_the_mean_and_no_policy_beats_the_best(name: str) -> None:
    process = environment(name)
    truth, pi = solve(process), process.policy()
    reached = (truth.visits @ np.eye(len(process.theta))[process.seen]) > 0
    assert np.abs((truth.advantage * pi).sum(axis=2))[reached] == pytest.approx(0, abs=1e-12)
    best = best_value(process)
    assert best is None or best >= truth.value


def test_an_unknown_environment_suggests_and_wrong_probabilities_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'key_door'"):
        environment("key_dor")
    with pytest.raises(CreditError, match=r"probabilities sum to 0\.5"):
        Process(
            name="half", about="", branches=[[[Branch(0.5, END)]]], start=[1.0], observation=[0], horizon=1,
            theta=np.zeros((1, 1)),
        )  # fmt: skip
