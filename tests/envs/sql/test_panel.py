"""The shipped panel: sizes, proofs, wordings, and that wrong neighbours of a gold score 0."""

from collections import Counter

import pytest

from turnwise.envs.sql.compare import comparison
from turnwise.envs.sql.databases import CHINOOK, image, variant
from turnwise.envs.sql.generate import SqlGenerator, SqlKnobs
from turnwise.envs.sql.mutants import mutants
from turnwise.envs.sql.panels import SEED, SIZES, WRITE_SIZES
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.worker.limits import Limits
from turnwise.tasks import Task, load_panel

LIMITS = Limits().to_json()


def judge(task: Task, sql: str, *, only_first: bool = False) -> float:
    seeds = task.gold["variants"]
    assert isinstance(seeds, list)
    images = [image(CHINOOK)] + [variant(CHINOOK, int(str(seed))) for seed in seeds]
    request = {"op": "judge", "images": images[: 1 if only_first else None], "gold": task.gold["sql"], "answer": sql}
    verdict = ask_now({**request, "rule": comparison().to_json(), "limits": LIMITS})
    assert verdict["gold_error"] is None
    return float(verdict["score"])


def literal_rows(sql: str) -> str:
    """Write a query's present result as literals."""
    result = ask_now({"op": "query", "image": image(CHINOOK), "sql": sql, "limits": LIMITS})
    rows = [", ".join("NULL" if cell is None else _literal(cell) for cell in row) for row in result["rows"]]
    return "SELECT * FROM (VALUES " + ", ".join(f"({row})" for row in rows) + ")"


def _literal(cell: object) -> str:
    return "'" + cell.replace("'", "''") + "'" if isinstance(cell, str) else repr(cell)


def test_sizes_kinds_and_splits() -> None:
    panel = load_panel("sql/chinook")
    assert {split: len(panel.split(split)) for split in panel.splits} == SIZES
    kinds = Counter(tag for task in panel for tag in task.tags)
    assert len(kinds) == 13
    assert min(kinds.values()) >= 5
    assert len({task.gold["sql"] for task in panel}) == len(panel)
    assert len({task.instruction for task in panel}) > 495


def test_the_file_is_what_the_generator_makes() -> None:
    made = SqlGenerator().generate(12, seed=SEED, split="dev")
    assert [task.key for task in load_panel("sql/chinook", "dev")][:12] == [task.key for task in made]


def test_the_writing_panel_is_what_the_generator_makes() -> None:
    made = SqlGenerator(SqlKnobs(mode="write")).generate(6, seed=SEED, split="test")
    assert [task.key for task in load_panel("sql/chinook-write", "test")][:6] == [task.key for task in made]
    assert len(load_panel("sql/chinook-write")) == sum(WRITE_SIZES.values())


@pytest.mark.slow
def test_the_whole_file_is_what_the_generator_makes() -> None:
    assert SqlGenerator().panel(SIZES, seed=SEED, name="sql/chinook") == load_panel("sql/chinook")


def test_literal_rows_score_nothing() -> None:
    for task in load_panel("sql/chinook"):
        copied = literal_rows(str(task.gold["sql"]))
        assert judge(task, copied, only_first=True) == 1.0 or len(copied) > 20_000
        assert judge(task, copied) == 0.0, task.id


def check_mutants(tasks: list[Task]) -> Counter[str]:
    told: Counter[str] = Counter()
    for task in tasks:
        gold = str(task.gold["sql"])
        for kind, sql in mutants(gold):
            differs = judge(task, sql, only_first=True) == 0.0
            whole = judge(task, sql)
            assert not (differs and whole), (task.id, kind, sql)
            told[f"{kind}:{'wrong' if whole == 0.0 else 'same'}"] += 1
    return told


def test_mutants_whose_result_differs_score_nothing() -> None:
    told = check_mutants(list(load_panel("sql/chinook", "test"))[:40])
    assert told.total() > 200
    for kind in ("constant", "comparison", "condition"):
        assert told[f"{kind}:wrong"] > told[f"{kind}:same"]


@pytest.mark.slow
def test_all_mutants_whose_result_differs_score_nothing() -> None:
    assert check_mutants(list(load_panel("sql/chinook"))).total() > 2_000
