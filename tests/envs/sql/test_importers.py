"""Spider and BIRD: imported whole, every gold run, what is wrong named."""

import json
import os
from pathlib import Path

import anyio
import pytest

from turnwise.envs import make
from turnwise.envs.sql.importers import import_spider
from turnwise.errors import TaskError
from turnwise.tasks import TaskSet, import_tasks

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


@needs_spider
def test_spider_import() -> None:
    tasks, report = import_spider(SPIDER)
    assert (len(tasks), report.left_out) == (663, [])
    assert len(report.unstable) <= 6
    assert oracle(tasks) == 1.0


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
