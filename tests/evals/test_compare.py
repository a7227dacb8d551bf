"""Comparison of runs: what is said, what is refused, what happens at the edges."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthetic_runs import make_run, panel, store_at
from turnwise.errors import ConfigError, StoreError
from turnwise.evals.compare import compare
from turnwise.evals.data import answers, load, load_all, reward_parts
from turnwise.evals.efficiency import by_difficulty, by_split, by_tag, efficiency
from turnwise.evals.support import answer_entropy, support
from turnwise.trajectories.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path / "s.sqlite") as opened:
        yield opened


def test_the_better_run_is_named(store: Store) -> None:
    make_run(store, "weak", tasks=120, skill=0.6)
    make_run(store, "strong", tasks=120, skill=1.1, seed=1, model="big")
    found = compare(load(store, "weak"), load(store, "strong"))
    assert found.verdict.startswith("strong is better: success differs by")
    success = found.quantities[0]
    assert success.test == "McNemar, exact"
    assert success.difference.mean == pytest.approx((success.b or 0) - (success.a or 0))
    assert found.differences == ["model: 'm' in weak, 'big' in strong"]
    assert found.support.kept + found.support.lost + found.support.gained + found.support.unsolved == 120
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["schema"] == 1
    assert document["verdict"] == found.verdict


def test_a_run_against_itself_differs_in_nothing(store: Store) -> None:
    make_run(store, "a", tasks=30)
    found = compare(load(store, "a"), load(store, "a"))
    assert found.verdict == "Both runs succeed on exactly the same tasks."
    assert found.quantities[0].p_value is None


def test_too_few_tasks_are_said_and_how_many_would_do(store: Store) -> None:
    make_run(store, "a", tasks=12, samples=2)
    make_run(store, "b", tasks=12, samples=2, seed=9, skill=0.95)
    found = compare(load(store, "a"), load(store, "b"))
    assert found.quantities[0].test == "sign-flip permutation"
    assert "No difference in success is shown on 12 tasks." in found.verdict
    assert any("cover less" in text for text in found.caveats)


def test_different_panels_are_refused_with_both_digests_and_all_else_that_differs(store: Store) -> None:
    make_run(store, "a", tasks=10)
    make_run(store, "b", tasks=11, model="other")
    with pytest.raises(ConfigError) as caught:
        compare(load(store, "a"), load(store, "b"))
    said = str(caught.value)
    assert panel(10).digest[:16] in said
    assert panel(11).digest[:16] in said
    assert "model: 'm' in a, 'other' in b" in said


def test_empty_runs_and_all_failures_are_defined(store: Store) -> None:
    make_run(store, "empty", tasks=0, panel=panel(5))
    make_run(store, "failed", tasks=5, failing=1.0)
    make_run(store, "fine", tasks=5)
    for name in ("empty", "failed"):
        found = compare(load(store, name), load(store, "fine"))
        assert found.verdict == "The runs have no scored task in common: nothing can be said."
        json.dumps(found.document(), allow_nan=False)
        assert efficiency(load(store, name)).tokens.mean is None
    assert any("5 of 5 episodes failed" in text for text in found.caveats)


def test_one_task_is_said(store: Store) -> None:
    make_run(store, "a", tasks=1)
    make_run(store, "b", tasks=1, seed=5)
    assert "one task" in compare(load(store, "a"), load(store, "b")).caveats[0]


def test_spending_is_for_each_success(store: Store) -> None:
    make_run(store, "a", tasks=60, samples=2)
    run = load(store, "a")
    spent = efficiency(run)
    wins = sum(bool(row.success) for row in run.scored)
    assert spent.cost.mean == pytest.approx(sum(row.cost or 0 for row in run.scored) / wins)
    assert (spent.cost.low or 0) < (spent.cost.mean or 0) < (spent.cost.high or 0)
    unpriced = dataclasses.replace(run, rows=[dataclasses.replace(row, cost=None) for row in run.rows])
    assert efficiency(unpriced).cost.mean is None


def test_slices_by_difficulty_tag_and_split(store: Store) -> None:
    make_run(store, "a", tasks=40)
    run = load(store, "a")
    assert [(one.name, one.tasks) for one in by_difficulty(run)] == [(str(d), 10) for d in (1, 2, 3, 4)]
    assert [(one.name, one.tasks) for one in by_tag(run)] == [("all", 40), ("even", 20), ("odd", 20)]
    assert [one.name for one in by_split(run)] == ["test"]


def test_reward_parts_and_answers_come_out_of_the_records(store: Store) -> None:
    make_run(store, "a", tasks=20, samples=2)
    parts = reward_parts(store, "a")
    assert set(parts) == {"outcome", "steps"}
    assert all(value == float(won) for won, value in parts["outcome"])
    given = answers(store, "a")
    assert len(given) == 20
    assert all(len(one) == 2 for one in given.values())
    entropy = answer_entropy(given)
    assert entropy is not None
    assert 0 <= entropy <= 0.6932


def test_support_counts_tasks_solved_by_any_sample() -> None:
    before = {"a": [True, False], "b": [False, True], "c": [False, False], "d": [False, False], "x": [True]}
    after = {"a": [True, True], "b": [False, False], "c": [True, False], "d": [False, False]}
    found = support(before, after)
    assert (found.kept, found.lost, found.gained, found.unsolved, found.samples) == (1, 1, 1, 1, 2)
    assert (found.retention, found.discovery, found.net_change) == (0.5, 0.5, 0.0)
    assert support({}, {}).retention is None
    assert answer_entropy({"a": ["x"]}) is None
    assert answer_entropy({"a": ["x", "y"], "b": ["x", "x"]}) == pytest.approx(0.34657, abs=1e-4)


def test_runs_are_named_with_or_without_their_store(tmp_path: Path) -> None:
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    for path, run in ((one, "a"), (two, "b:1")):
        with store_at(path) as opened:
            make_run(opened, run, tasks=3)
    assert [run.name for run in load_all(["a", f"{two}:b:1"], one)] == ["a", "b:1"]
    assert [run.name for run in load_all(["b:1"], two)] == ["b:1"]
    with pytest.raises(ConfigError, match="STORE:RUN"):
        load_all([f"{two}:"], one)
    with pytest.raises(StoreError, match="has no run 'zzz'"):
        load_all(["zzz"], one)
