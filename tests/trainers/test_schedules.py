"""Schedules at their corners."""

import math

import pytest

from turnwise.errors import ConfigError, UnknownNameError
from turnwise.trainers import schedules


@pytest.mark.parametrize(
    ("step", "horizon"), [(0, 10), (1, 10), (100, 10), (101, 20), (200, 20), (201, 30), (301, 30), (10_000, 30)]
)
def test_scaling_inter_at_the_boundaries(step: int, horizon: int) -> None:
    assert schedules.ScalingInter(rounds=(10, 20, 30), interval=100)(step) == horizon


def test_epo_phase_falls_twice() -> None:
    phase = schedules.EPOPhase()
    assert phase(0) == 1.0
    assert phase(75) == pytest.approx(0.8271, abs=1e-4)
    assert phase(76) == pytest.approx(0.7686, abs=1e-4)
    assert phase(150) == phase(400) == pytest.approx(0.0398, abs=1e-4)
    assert schedules.EPOPhase(horizon=0)(3) == 1.0
    assert math.isfinite(schedules.EPOPhase(horizon=1)(1))


def test_spear_curves() -> None:
    replay = schedules.SpearReplay(c=2.0, horizon=200)
    assert [replay(0), replay(100), replay(200), replay(999)] == pytest.approx([0, 1, 2, 2])
    tool = schedules.SpearTool(horizon=100)
    assert [tool.reward(0, 3), tool.reward(0, 30), tool.reward(50, 5), tool.reward(101, 5)] == pytest.approx(
        [0.3, 1.0, 0.25, 0.0]
    )


def test_linear_cosine_piecewise() -> None:
    outcome, gain = schedules.igpo_curriculum(10)
    assert [outcome(0), outcome(5), outcome(99), gain(0), gain(10)] == pytest.approx([0.5, 0.75, 1, 1, 0.5])
    cosine = schedules.Cosine(start=1.0, end=0.2, steps=110, warmup=10)
    assert [cosine(0), cosine(5), cosine(10), cosine(60), cosine(110), cosine(200)] == pytest.approx(
        [0, 0.5, 1, 0.6, 0.2, 0.2]
    )
    stairs = schedules.Piecewise(at=(0, 10, 20), values=(1.0, 2.0, 4.0))
    assert [stairs(-1), stairs(9), stairs(10), stairs(25)] == [1, 1, 2, 4]
    lines = schedules.Piecewise(at=(0, 10, 20), values=(1.0, 2.0, 4.0), join="linear")
    assert [lines(5), lines(15), lines(50)] == pytest.approx([1.5, 3, 4])


def test_the_ladder_helps_only_groups_that_failed() -> None:
    ladder = schedules.GHPOLadder(start_hint_step=5)
    assert [ladder.ratio(5, k) for k in range(6)] == [0, 0.25, 0.5, 0.75, 0.75, 0.75]
    assert ladder.ratio(4, 3) == 0
    assert ladder.hint("abcdefgh", 5, 1) == "ab"
    assert ladder.failed([0, -1, 0])
    assert not ladder.failed([0, 0.1])


def test_schedules_from_plain_data() -> None:
    assert schedules.schedule(0.5)(7) == 0.5
    assert schedules.schedule({"kind": "scaling_inter", "rounds": [5, 8]})(101) == 8
    with pytest.raises(UnknownNameError, match="Did you mean 'cosine'"):
        schedules.schedule({"kind": "cosin"})
    with pytest.raises(ConfigError, match="does not take"):
        schedules.schedule({"kind": "cosine", "begin": 3})
    with pytest.raises(ConfigError, match="must rise"):
        schedules.schedule({"kind": "piecewise", "at": [0, 5, 5], "values": [1, 2, 3]})
