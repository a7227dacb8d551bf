"""Spider and BIRD: their questions and databases as task sets, every gold run, the broken ones reported."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from turnwise.envs.sql.compare import Comparison, comparison, tidy
from turnwise.envs.sql.databases import catalog_now, put_database
from turnwise.envs.sql.generate.generator import gold_actions
from turnwise.envs.sql.generate.prove import SqliteLab, fit_variants, planted_image, stable
from turnwise.errors import TaskError
from turnwise.tasks.base import Task, TaskSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question as a data set gives it."""

    number: int
    database: str
    text: str
    gold: str
    level: int | None = None
    evidence: str | None = None


@dataclass(kw_only=True)
class ImportReport:
    """What an import found; each list holds (question number, database, why)."""

    kept: int = 0
    left_out: list[tuple[int, str, str]] = field(default_factory=list)
    """Golds that do not run, or databases that are missing."""
    unstable: list[tuple[int, str, str]] = field(default_factory=list)
    """Kept, but the gold leaves open which rows it returns, so a right answer may be judged wrong."""
    unguarded: list[tuple[int, str, str]] = field(default_factory=list)
    """Kept, but no variant of the database changes the result, so a list of literals would pass."""

    def summary(self) -> str:
        """Return one line."""
        return (
            f"{self.kept} questions kept, {len(self.left_out)} left out, {len(self.unstable)} with an unstable gold, "
            f"{len(self.unguarded)} that no variant guards"
        )


def spider(path: Path, *, split: str = "dev", report: str | None = None) -> TaskSet:
    """Import Spider: a questions file (``dev.json``, or InterCode's ``questions.json``) and its databases.

    Args:
        path: The directory, or the questions file in it. Databases are looked for as ``NAME.sqlite`` and
            ``database/NAME/*.sqlite``; further files in the latter are the test suite's and are graded on too.
        split: The split the tasks get.
        report: Where to write the report as JSON.

    Raises:
        TaskError: Files are missing or malformed.
    """
    tasks, found = import_spider(path, split=split)
    return _told(tasks, found, report)


def bird(path: Path, *, split: str = "dev", evidence: bool = True, report: str | None = None) -> TaskSet:
    """Import BIRD: ``dev.json`` (or ``mini_dev_sqlite.json``) and ``*_databases/NAME/NAME.sqlite``.

    Args:
        path: The directory, or the questions file in it.
        split: The split the tasks get.
        evidence: Whether the agent is given the remark that comes with a question; the choice is in the task.
        report: Where to write the report as JSON.

    Raises:
        TaskError: Files are missing or malformed.
    """
    tasks, found = import_bird(path, split=split, evidence=evidence)
    return _told(tasks, found, report)


def import_spider(path: Path, *, split: str = "dev") -> tuple[TaskSet, ImportReport]:
    """Import Spider and return what was found on the way."""
    file = _questions_file(path, ("dev.json", "questions.json", "test.json", "train_spider.json"))
    levels = {"easy": 1, "medium": 2, "hard": 3, "extra": 4}
    questions = [
        Question(
            number=number,
            database=_text(file, number, row, "db_id", "db"),
            text=_text(file, number, row, "question", *(["query"] if "gold" in row else [])),
            gold=tidy(_text(file, number, row, *(["gold"] if "gold" in row else ["query"]))),
            level=levels.get(str(row.get("hardness", ""))),
        )
        for number, row in _rows(file)
    ]
    return _build("sql/spider", "spider", questions, _finder(file.parent), split)


def import_bird(path: Path, *, split: str = "dev", evidence: bool = True) -> tuple[TaskSet, ImportReport]:
    """Import BIRD and return what was found on the way."""
    file = _questions_file(path, ("dev.json", "mini_dev_sqlite.json", "train.json"))
    levels = {"simple": 1, "moderate": 2, "challenging": 3}
    questions = [
        Question(
            number=number,
            database=_text(file, number, row, "db_id"),
            text=_text(file, number, row, "question"),
            gold=_text(file, number, row, "SQL", "gold").strip().rstrip(";"),
            level=levels.get(str(row.get("difficulty", ""))),
            evidence=(str(row.get("evidence") or "") or None) if evidence else None,
        )
        for number, row in _rows(file)
    ]
    return _build("sql/bird", "bird", questions, _finder(file.parent), split)


def _told(tasks: TaskSet, found: ImportReport, report: str | None) -> TaskSet:
    log.info("%s", found.summary())
    if report is not None:
        Path(report).write_text(json.dumps(asdict(found), indent=1) + "\n")
    return tasks


def _questions_file(path: Path, names: tuple[str, ...]) -> Path:
    if path.is_file():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    raise TaskError(f"{path}: holds none of {', '.join(names)}")


def _rows(file: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        rows = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise TaskError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TaskError(f"{file}: must hold a list of objects")
    return enumerate(rows)


def _text(file: Path, number: int, row: dict[str, Any], *names: str) -> str:
    for name in names:
        if isinstance(row.get(name), str) and row[name].strip():
            return str(row[name])
    raise TaskError(f"{file}: question {number}: field {' or '.join(map(repr, names))} is missing or no text")


def _finder(directory: Path) -> Callable[[str], tuple[str, ...]]:
    """Return a function that puts a database and its test suite into the assets and returns their digests."""

    @cache
    def find(name: str) -> tuple[str, ...]:
        if "/" in name or name.startswith("."):
            return ()
        flat = directory / f"{name}.sqlite"
        if flat.is_file():
            return (put_database(flat),)
        for folder in sorted([directory / "database", *directory.glob("*_databases"), directory / "databases"]):
            main = folder / name / f"{name}.sqlite"
            if main.is_file():
                suite = [file for file in sorted(main.parent.glob("*.sqlite")) if file != main]
                return tuple(put_database(file) for file in [main, *suite])
        return ()

    return find


def _build(
    name: str, preset: str, questions: list[Question], find: Callable[[str], tuple[str, ...]], split: str
) -> tuple[TaskSet, ImportReport]:
    rule, report, tasks = comparison(preset), ImportReport(), []
    for question in questions:
        digests = find(question.database)
        if not digests:
            report.left_out.append((question.number, question.database, "the database is missing"))
            continue
        proof = _prove(question, digests, rule, report)
        if proof is not None:
            tasks.append(_task(preset, split, question, digests[0], proof))
    if not tasks:
        raise TaskError(f"nothing could be imported: {report.summary()}")
    report.kept = len(tasks)
    return TaskSet(name=name, tasks=tuple(tasks)), report


def _prove(
    question: Question, digests: tuple[str, ...], rule: Comparison, report: ImportReport
) -> dict[str, JsonValue] | None:
    """Run the gold and return what to grade on besides the database; None if it does not run."""
    here, lab, sql = (question.number, question.database), SqliteLab(digests[0]), rule.prepare(question.gold)
    rows = lab.rows(None, sql)
    if rows is None:
        report.left_out.append((*here, f"the gold does not run: {lab.error}"))
        return None
    if stable(lab, None, sql, rule) is None:
        report.unstable.append((*here, question.gold))
    suite = list(digests[1:])
    seeds = fit_variants(lab, sql, rows, rule)
    if not seeds:
        planted = planted_image(digests[0], sql, rows, rule)
        seeds = () if planted else fit_variants(lab, sql, rows, rule, empty=True)
        suite += [planted] if planted else []
    if not seeds and not suite:
        report.unguarded.append((*here, question.gold))
    return {"sql": question.gold, "variants": list(seeds), "databases": list(suite)}


def _task(preset: str, split: str, question: Question, database: str, gold: dict[str, JsonValue]) -> Task:
    data: dict[str, JsonValue] = {"database": database, "name": question.database, "compare": preset}
    if question.evidence:
        data["evidence"] = question.evidence
    tables = [table.name for table in catalog_now(database) if table.name.lower() in question.gold.lower()]
    return Task(
        id=f"{preset}-{split}-{question.number:05d}",
        env="sql",
        split=split,
        instruction=question.text,
        data=data,
        gold=gold | {"actions": gold_actions(question.gold, tables)},
        difficulty=question.level,
        tags=(question.database,),
        source=f"{preset} {split}",
    )
