"""Leaderboards, new rewards for old episodes, and what differed between two runs."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthetic_runs import make_run, panel, store_at
from turnwise.envs import Grade, RewardPart
from turnwise.errors import ConfigError, StoreError, UnknownNameError
from turnwise.evals.data import load
from turnwise.evals.leaderboard import leaderboard
from turnwise.evals.rescore import Rescoring, rescore
from turnwise.evals.rundiff import run_diff
from turnwise.trajectories import Store, Trajectory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path / "s.sqlite") as opened:
        yield opened


def test_ranks_say_what_the_evidence_leaves_open(store: Store) -> None:
    for name, skill, seed in (("best", 1.3, 1), ("good", 1.0, 2), ("twin", 1.0, 3), ("poor", 0.4, 4)):
        make_run(store, name, tasks=150, skill=skill, seed=seed)
    make_run(store, "elsewhere", tasks=20)
    make_run(store, "failed", tasks=150, failing=1.0)
    make_run(store, "training", tasks=150, kind="train")
    names = [record.run for record in store.runs()]
    found = leaderboard("toy", [load(store, name) for name in names])
    assert [len(board.entries) for board in found.boards] == [4, 1]
    ranks = {entry.run: (entry.rank, entry.rank_worst) for entry in found.boards[0].entries}
    assert ranks == {"best": (1, 1), "good": (2, 3), "twin": (2, 3), "poor": (4, 4)}
    assert found.boards[0].entries[0].run == "best"
    assert leaderboard("other", [load(store, name) for name in names]).boards == []


def _paid(store: Store) -> None:
    """A run of one episode whose turns carry reward parts."""
    make_run(store, "a", tasks=0, panel=panel(2))
    from synthetic_runs import episode

    made = episode("a", 0, 0, random.Random(0), won=True)
    parts = (RewardPart(name="outcome", value=1.0, weight=1.0), RewardPart(name="steps", value=-0.5, weight=0.0))
    turns = tuple(turn.model_copy(update={"reward_parts": parts, "reward": 1.0}) for turn in made.turns)
    store.append([made.model_copy(update={"turns": turns, "components": {"outcome": 1.0, "steps": -0.5}})])


def test_new_weights_make_a_new_run_and_leave_the_source_alone(store: Store) -> None:
    _paid(store)
    before = [one.model_dump(mode="json") for one in store.episodes("a")]
    made = rescore(store, "a", Rescoring.parse("outcome=2,steps=1", "toy"), store, "b")
    [new] = list(store.episodes("b"))
    assert [turn.reward for turn in new.turns] == [1.5] * len(new.turns)
    assert new.reward == 1.5 * len(new.turns)
    assert (new.score, new.success) == (1.0, True)
    assert new.component_weights == {"outcome": 2.0, "steps": 1.0}
    assert new.extra["rescored_from"] == before[0]["episode_id"]
    assert made.config["reward"] == "outcome=2,steps=1"
    assert [one.model_dump(mode="json") for one in store.episodes("a")] == before
    with pytest.raises(ConfigError, match="has a run 'b' already"):
        rescore(store, "a", Rescoring.parse("outcome=2", "toy"), store, "b")


def by_length(episode: Trajectory) -> float:
    return 1.0 / len(episode.turns)


def strict(episode: Trajectory) -> Grade:
    return Grade(0.5, success=False)


def test_a_function_gives_rewards_or_grades(store: Store) -> None:
    make_run(store, "a", tasks=6, failing=0.3)
    rescore(store, "a", Rescoring("by_length", judge=by_length), store, "b")
    rescore(store, "a", Rescoring("strict", judge=strict), store, "c")
    for new in store.episodes("b"):
        assert new.reward == (None if new.failure else pytest.approx(1.0 / len(new.turns)))
    assert {one.score for one in store.episodes("c")} == {0.5, None}
    assert store.count("b") == store.count("a")


def test_rewards_are_looked_up_and_mistakes_named(store: Store) -> None:
    make_run(store, "a", tasks=3)
    assert Rescoring.parse("os.path:basename", "toy").judge is not None
    env = "tiny_env:CountEnv"
    assert Rescoring.parse("default", env).weights is not None
    for wrong, error in (
        ("outcome=x", ConfigError),
        ("nope", UnknownNameError),
        ("no_such_module:f", UnknownNameError),
        ("math:pi", ConfigError),
    ):
        with pytest.raises(error):
            Rescoring.parse(wrong, env)
    with pytest.raises(ConfigError, match="no reward part 'stesp'; it has: outcome, steps"):
        rescore(store, "a", Rescoring.parse("outcome=1,stesp=1", env), store, "b")
    with pytest.raises(StoreError, match="has no run"):
        rescore(store, "zzz", Rescoring.parse("outcome=1", env), store, "b")
    assert [record.run for record in store.runs()] == ["a"]


def test_run_diff_names_every_setting_that_differs(store: Store) -> None:
    make_run(store, "a", tasks=3, config={"concurrency": 4, "nested": {"x": 1}})
    make_run(store, "b", tasks=3, config={"concurrency": 8, "nested": {"x": 1}, "new": True}, model="big")
    found = run_diff(store.run("a"), store.run("b"))
    assert [(one.kind, one.field, one.a, one.b) for one in found.differences] == [
        ("measurement", "model", "m", "big"),
        ("settings", "config.concurrency", 4, 8),
        ("settings", "config.new", None, True),
    ]
    assert run_diff(store.run("a"), store.run("a")).differences == []
