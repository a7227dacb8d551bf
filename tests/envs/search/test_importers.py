"""The field's question files and corpora."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from turnwise.envs import make
from turnwise.envs.search.corpora import FileCorpus, open_index
from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import Task
from turnwise.tasks.importers import import_tasks

FILES = Path(__file__).parents[2] / "data" / "search"
QUESTIONS = FILES / "questions"


def solved(task: Task, **config: Any) -> bool:
    async def main() -> bool:
        env = make("search", **config)
        await env.reset(task, seed=0)
        while True:
            result = await env.step(await env.gold_action())
            if result.terminated:
                return bool(result.info.success)

    return anyio.run(main)


@pytest.mark.parametrize(
    ("importer", "file", "answers", "evidence"),
    [
        ("hotpotqa", "hotpotqa.json", ["Olt"], 2),
        ("2wikimultihopqa", "2wiki.jsonl", ["A", "Mr A"], 2),
        ("musique", "musique.jsonl", ["Z", "the Z"], 2),
        ("nq-open", "nq.jsonl", ["Ana Ruel", "Ruel"], 0),
        ("triviaqa", "triviaqa.json", ["Pirva", "Old Pirva"], 0),
        ("bamboogle", "bamboogle.csv", ["Ana Ruel"], 0),
        ("frames", "frames.tsv", ["3"], 0),
        ("strategyqa", "strategyqa.json", ["yes", "true"], 0),
        ("search-questions", "nq.jsonl", ["Ana Ruel", "Ruel"], 0),
    ],
)
def test_question_files(importer: str, file: str, answers: list[str], evidence: int) -> None:
    tasks = import_tasks(importer, QUESTIONS / file)
    first = tasks.tasks[0]
    assert first.gold["answers"] == answers
    assert len(first.gold["evidence"]) == evidence  # type: ignore[arg-type]
    assert solved(first, interface="tags", engine="self")
    if evidence:
        assert solved(first)


def test_evidence_is_found_in_a_corpus_of_the_users() -> None:
    for corpus, ids in (("corpus_beir.jsonl", ["d1", "d2"]), ("corpus_search_r1.jsonl", ["0", "1"])):
        tasks = import_tasks("frames", QUESTIONS / "frames.tsv", corpus=str(QUESTIONS / corpus), limit="1")
        assert tasks.tasks[0].gold["evidence"] == ids
        assert tasks.tasks[0].tags == ("Numerical reasoning", "Tabular reasoning")
        assert solved(tasks.tasks[0], interface="search-r1")


def test_musique_knows_what_has_no_answer_and_which_paragraph_of_a_title_counts() -> None:
    answerable, not_answerable = import_tasks("musique", QUESTIONS / "musique.jsonl")
    index = open_index(FileCorpus.model_validate(answerable.data["corpus"]))
    texts = [index.get(str(i)).text for i in answerable.gold["evidence"]]  # type: ignore[union-attr]
    assert texts == ["X is by Y.", "Y lives in Z."]
    assert not_answerable.gold["unanswerable"] is True
    assert not_answerable.gold["answers"] == ["unanswerable"]


@pytest.mark.parametrize(
    ("importer", "name", "content", "said"),
    [
        ("hotpotqa", "x.json", '[{"question": "q"}]', "x.json:1: the field '_id' is missing"),
        ("hotpotqa", "x.json", "{", "cannot be read"),
        ("hotpotqa", "x.json", '[{"_id": 1, "question": "q", "answer": "a", "context": 3}]', "another shape"),
        ("nq-open", "x.jsonl", '{"question": "q", "answer": []}', "no answer"),
        ("nq-open", "x.jsonl", "[1]", "a row is an object"),
        ("nq-open", "x.jsonl", "\n", "holds no question"),
        ("nq-open", "x.txt", "", "a question file ends in"),
        ("strategyqa", "x.json", '[{"qid": 1, "question": "q", "answer": "yes"}]', "'answer' is missing"),
        ("triviaqa", "x.json", '[{"QuestionId": 1, "Question": "q", "Answer": {"a": 1}}]', "'value' is missing"),
        ("bamboogle", "x.csv", b"Question,Answer\n\xff,a", "UTF-8"),
    ],
)
def test_malformed_files_are_refused_by_place(
    tmp_path: Path, importer: str, name: str, content: str | bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TaskError, match=said):
        import_tasks(importer, path)


@pytest.mark.parametrize("row", ["{}", '{"id": "1"}', "3", "{", '{"id": true, "text": "x"}'])
def test_malformed_corpora_are_refused_by_line(tmp_path: Path, row: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"id": "a", "contents": "t\nx"}) + "\n" + row)
    with pytest.raises(TaskError, match=r"corpus\.jsonl:2"):
        import_tasks("frames", QUESTIONS / "frames.tsv", corpus=str(path))


def test_one_id_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text((json.dumps({"id": "a", "contents": "t\nx"}) + "\n") * 2)
    task = import_tasks("nq-open", QUESTIONS / "nq.jsonl", corpus=str(path)).tasks[0]
    with pytest.raises(TaskError, match="'a' twice"):
        solved(task)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="limit"):
        import_tasks("nq-open", QUESTIONS / "nq.jsonl", limit="many")


def test_real_questions_over_real_paragraphs() -> None:
    tasks = import_tasks("search-questions", FILES / "multihop_qa.jsonl", corpus=str(FILES / "multihop_corpus.jsonl"))
    assert len(tasks) == 35
    index = open_index(FileCorpus.model_validate(tasks.tasks[0].data["corpus"]))
    assert len(index) == 468
    found = [
        len({hit.document.id for hit in index.search(task.instruction, 10)} & set(map(str, gold))) / len(gold)
        for task in tasks
        if (gold := task.gold["evidence"]) and isinstance(gold, list)
    ]
    assert sum(found) / len(found) > 0.5
    assert all(solved(task, interface="search-r1") for task in tasks)
