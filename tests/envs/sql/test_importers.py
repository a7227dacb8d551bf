"""Spider and BIRD: imported whole, every gold run, what is wrong named."""

import json
import os
from pathlib import Path

import anyio
import pytest

from turnwise.envs import make
from turnwise.envs.sql.compare import comparison
from turnwise.envs.sql.databases import image, variant
from turnwise.envs.sql.importers import import_spider
from turnwise.envs.sql.mutants import mutants
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.worker.limits import Limits
from turnwise.errors import TaskError
from turnwise.tasks import Task, TaskSet, import_tasks

LIMITS = Limits().to_json()

SPIDER = Path(os.environ.get("TURNWISE_DATA", "/nonexistent")) / "sql" / "spider"
needs_spider = pytest.mark.skipif(not SPIDER.is_dir(), reason="needs TURNWISE_DATA with sql/spider")


def oracle(tasks: TaskSet) -> float:
    async def main() -> float:
        total = 0.0
        async with make("sql") as env:
            for task in tasks:
                await env.reset(task, seed=0)
                for _ in range(3):
                    result = await env.step(await env.gold_action())
                total += result.info.score or 0.0
        return total / len(tasks)

    return anyio.run(main)


def check_spider(directory: Path, *, mutate: int) -> tuple[int, int]:
    """Import, solve by the gold, and try literal rows and mutants; return how many tasks and unguarded ones."""
    tasks, report = import_spider(directory)
    assert report.left_out == []
    assert oracle(tasks) == 1.0
    unguarded = {number for number, _, _ in report.unguarded}
    for index, task in enumerate(tasks):
        literal = submitted(task, literal_rows(task))
        assert literal == (1.0 if int(task.id[-5:]) in unguarded else 0.0), task.id
        if index % max(1, len(tasks) // mutate) == 0:
            check_mutants(task)
    return len(tasks), len(unguarded)


def submitted(task: Task, sql: str, *, only_first: bool = False) -> float:
    paths = [image(str(task.data["database"]))]
    if not only_first:
        paths += [variant(str(task.data["database"]), seed) for seed in task.gold["variants"]]
        paths += [image(digest) for digest in task.gold["databases"]]
    request = {"op": "judge", "images": paths, "gold": task.gold["sql"], "answer": sql, "limits": LIMITS}
    return float(ask_now({**request, "rule": comparison("spider").to_json()})["score"])


def literal_rows(task: Task) -> str:
    gold = comparison("spider").prepare(str(task.gold["sql"]))
    path = image(str(task.data["database"]))
    result = ask_now({"op": "query", "image": path, "sql": gold, "limits": LIMITS})
    cells = [", ".join(_literal(cell) for cell in row) for row in result["rows"]]
    if not cells:
        return f"SELECT {', '.join('1' for _ in result['columns'])} WHERE 0"
    return "SELECT * FROM (VALUES " + ", ".join(f"({row})" for row in cells) + ") ORDER BY ''"


def _literal(cell: object) -> str:
    if cell is None:
        return "NULL"
    return "'" + cell.replace("'", "''") + "'" if isinstance(cell, str) else repr(cell)


def check_mutants(task: Task) -> None:
    try:
        made = mutants(str(task.gold["sql"]))
    except ValueError:
        return
    for kind, sql in made:
        if submitted(task, sql, only_first=True) == 0.0:
            assert submitted(task, sql) == 0.0, (task.id, kind, sql)


@needs_spider
def test_spider_import(tmp_path: Path) -> None:
    chosen = {"pets_1", "flight_2", "tvshow"}
    questions = [row for row in json.loads((SPIDER / "questions.json").read_text()) if row["db"] in chosen]
    (tmp_path / "questions.json").write_text(json.dumps(questions[:90]))
    for name in chosen:
        (tmp_path / f"{name}.sqlite").symlink_to(SPIDER / f"{name}.sqlite")
    tasks, unguarded = check_spider(tmp_path, mutate=15)
    assert tasks == 90
    assert unguarded <= 1


@needs_spider
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whole_spider_import() -> None:
    tasks, unguarded = check_spider(SPIDER, mutate=10_000)
    assert tasks == 663
    assert unguarded <= 7


def write(path: Path, questions: list[dict[str, str]], database: Path) -> None:
    target = path / "dev_databases" / "shop" / "shop.sqlite"
    target.parent.mkdir(parents=True)
    target.write_bytes(database.read_bytes())
    (path / "dev.json").write_text(json.dumps(questions))


CHINOOK = Path(__file__).parents[3] / "src/turnwise/envs/sql/data/chinook.sqlite"


def test_bird_layout_with_a_broken_gold(tmp_path: Path) -> None:
    questions = [
        {"db_id": "shop", "question": "How many?", "evidence": "count", "SQL": "SELECT COUNT(*) FROM Artist"},
        {"db_id": "shop", "question": "What?", "evidence": "", "SQL": "SELECT nothing FROM nowhere"},
        {"db_id": "gone", "question": "What?", "evidence": "", "SQL": "SELECT 1"},
    ]
    write(tmp_path, questions, CHINOOK)
    tasks = import_tasks("bird", tmp_path, report=str(tmp_path / "report.json"))
    assert [task.data["evidence"] for task in tasks] == ["count"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry[2].split(":")[0] for entry in report["left_out"]] == [
        "the gold does not run",
        "the database is missing",
    ]
    assert oracle(tasks) == 1.0
    assert "evidence" not in import_tasks("bird", tmp_path, evidence=False).tasks[0].data


@pytest.mark.parametrize("text", ["nonsense", "{}", "[1]", '[{"db_id": "shop"}]'])
def test_malformed_files_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "dev.json").write_text(text)
    for importer in ("spider", "bird"):
        with pytest.raises(TaskError, match=r"dev\.json"):
            import_tasks(importer, tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="holds none of"):
        import_tasks("spider", tmp_path)
