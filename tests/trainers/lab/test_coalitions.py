"""Coalition values against every seed an environment could have had, and against the definition."""

from bisect import bisect_right
from itertools import accumulate, combinations, product

import numpy as np
import pytest

from turnwise.errors import CreditError
from turnwise.trainers import credit
from turnwise.trainers.lab import ENVIRONMENTS, Branch, Process, Setting, environment
from turnwise.trainers.lab.coalitions import Replays
from turnwise.trainers.lab.process import END

NAMES = list(ENVIRONMENTS)


def replay(process: Process, actions: list[int], numbers: list[float]) -> tuple[float, list[tuple[int, int]]]:
    """Play actions in an environment whose chance is given number by number, as a seed gives it."""
    state, total, course = next(n for n, p in enumerate(process.start) if p > 0), 0.0, []
    for action, number in zip(actions, numbers, strict=False):
        branches = process.branches[state][action]
        if not branches:
            continue
        chosen = bisect_right(list(accumulate(branch.probability for branch in branches))[:-1], number)
        course.append((state, chosen))
        total += branches[chosen].reward
        if branches[chosen].next == END:
            break
        state = branches[chosen].next
    return total, course


@pytest.mark.parametrize("name", ["noisy_tool", "early_stop", "shared_prefix"])
def test_coalitions_are_the_mean_over_all_seeds_that_gave_the_episode(name: str) -> None:
    process = environment(name)
    grid = [(k + 0.5) / 20 for k in range(20)]  # every probability of these environments is a multiple of 1/20
    replays = Replays(process)
    for path, steps in enumerate(replays.steps):
        turns = len(steps)
        if turns > 3:
            continue
        actions, course = [step.action for step in steps], [(step.state, step.branch) for step in steps]
        for size in range(turns + 1):
            for members in combinations(range(turns), size):
                chosen = [actions[turn] for turn in members]
                seeds = [u for u in product(grid, repeat=turns) if replay(process, actions, list(u))[1] == course]
                mean = np.mean([replay(process, chosen, list(u))[0] for u in seeds])
                assert replays.value(path, members) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_all_turns_pay_the_outcome_no_turn_pays_nothing_and_the_attributions_add_up(name: str) -> None:
    setting = Setting(environment(name))
    batch, _ = setting.batch(np.arange(len(setting.probability))[:, None])
    for stored, outcome in zip(batch.get("coalitions"), batch.outcome, strict=True):
        assert stored[0] == {"turns": [], "value": 0.0}
        assert stored[-1]["value"] == pytest.approx(outcome, abs=1e-12)
    for mode in ("exact", "sampled"):
        attributed = credit.get("shapley").estimate(batch, {"mode": mode}).advantages
        assert np.add.reduceat(attributed, batch.turn_offsets[:-1]) == pytest.approx(batch.outcome, abs=1e-12)


def test_the_mean_over_all_sets_of_orders_is_the_exact_value() -> None:
    setting = Setting(environment("key_door"))
    replays = Replays(setting.process)
    path = int(np.argmax(np.add.reduceat(setting.paths.rows.reward, setting.paths.offsets[:-1])))
    one, _ = setting.batch(np.array([[path]]))
    exact = credit.get("shapley").estimate(one).advantages
    sets = [one.replace(permutations=[replays.permutations(path, n)]) for n in range(48)]
    sampled = np.array([credit.get("shapley").estimate(each, {"mode": "sampled"}).advantages for each in sets])
    assert sampled.mean(axis=0) == pytest.approx(exact, abs=1e-12)
    assert np.ptp(sampled, axis=0).max() > 0.01


def test_an_episode_with_too_many_coalitions_says_so() -> None:
    long = Process(
        name="long", about="", branches=[[[Branch(1, 0)]]], start=[1.0], observation=[0], horizon=14,
        theta=np.zeros((1, 1)),
    )  # fmt: skip
    batch, _ = Setting(long).batch(np.array([[0]]))
    with pytest.raises(CreditError, match="an episode of 14 turns has too many coalitions; at most 12"):
        credit.get("shapley").estimate(batch)
    assert credit.get("shapley").estimate(batch, {"mode": "sampled"}).advantages.tolist() == [0.0] * 14
