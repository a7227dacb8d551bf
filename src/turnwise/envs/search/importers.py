"""The field's question files as search tasks, over their own paragraphs or over a corpus of the user's.

Each importer takes ``corpus``: a file of BEIR's or Search-R1's shape. Without one, the paragraphs that come with the
questions are the corpus; where none come, the tasks name no corpus and need a ``/retrieve`` server.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnwise.envs.search.corpora import FileCorpus, import_corpus
from turnwise.envs.search.documents import Document, read_corpus
from turnwise.envs.search.rows import read_rows
from turnwise.errors import TaskError
from turnwise.tasks import Task, TaskSet, assets


@dataclass(slots=True)
class Question:
    """One row of a question file, read."""

    id: str
    text: str
    answers: list[str]
    titles: list[str] = field(default_factory=list)
    """Titles of the gold documents."""
    paragraphs: list[tuple[str, str]] = field(default_factory=list)
    """Title and text of each paragraph that comes with the question."""
    gold: list[int] = field(default_factory=list)
    """Places of the gold paragraphs among these; empty: those with a gold title."""
    unanswerable: bool = False
    difficulty: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Kind:
    """A data set: the name of its task sets, its source and licence, and how a row is read."""

    name: str
    source: str
    reader: Callable[[dict[str, Any]], Question]


def _first(row: dict[str, Any], *names: str) -> Any:
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    raise KeyError(names[0])


def _texts(value: Any) -> list[str]:
    """Return one or more answers as texts; a JSON list inside a text is opened."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [str(value)]
    listed = value if isinstance(value, list | tuple) else [value]
    return list(dict.fromkeys(str(item) for item in listed if item is not None and str(item).strip()))


def _hotpotqa(row: dict[str, Any]) -> Question:
    context, facts = row.get("context") or [], row.get("supporting_facts") or []
    if isinstance(context, dict):
        context = list(zip(context["title"], context.get("sentences") or context["content"], strict=True))
    titles = facts["title"] if isinstance(facts, dict) else [fact[0] for fact in facts]
    return Question(
        id=str(_first(row, "_id", "id")),
        text=str(_first(row, "question")),
        answers=_texts(_first(row, "answer")) + _texts(row.get("answer_aliases") or []),
        titles=list(dict.fromkeys(titles)) or list(row.get("gold_titles") or []),
        paragraphs=[(str(title), "".join(sentences).strip()) for title, sentences in context],
        tags=tuple(str(row[name]) for name in ("type", "level") if row.get(name)),
    )


def _musique(row: dict[str, Any]) -> Question:
    paragraphs = row.get("paragraphs") or []
    hops = row.get("question_decomposition") or []
    return Question(
        id=str(_first(row, "id")),
        text=str(_first(row, "question")),
        answers=_texts(_first(row, "answer")) + _texts(row.get("answer_aliases") or []),
        paragraphs=[(str(p["title"]), str(p["paragraph_text"])) for p in paragraphs],
        gold=[place for place, p in enumerate(paragraphs) if p.get("is_supporting")],
        unanswerable=row.get("answerable") is False,
        difficulty=len(hops) or None,
    )


def _triviaqa(row: dict[str, Any]) -> Question:
    answer = _first(row, "Answer", "answer")
    low = {key.lower(): value for key, value in answer.items()}
    return Question(
        id=str(_first(row, "QuestionId", "question_id")),
        text=str(_first(row, "Question", "question")),
        answers=_texts([low["value"], *(low.get("aliases") or ())]),
    )


def _frames(row: dict[str, Any]) -> Question:
    links = [str(value) for key, value in row.items() if key.startswith("wikipedia_link") and value]
    kinds = str(row.get("reasoning_types") or "")
    return Question(
        id="",
        text=str(_first(row, "Prompt", "prompt")),
        answers=_texts(_first(row, "Answer", "answer")),
        titles=[_wiki_title(link) for link in links],
        tags=tuple(part.strip() for part in kinds.split("|") if part.strip()),
    )


def _wiki_title(link: str) -> str:
    from urllib.parse import unquote

    return unquote(link.rsplit("/wiki/", 1)[-1].split("#", maxsplit=1)[0]).replace("_", " ")


def _strategyqa(row: dict[str, Any]) -> Question:
    answer = row["answer"]
    if not isinstance(answer, bool):
        raise KeyError("answer")
    return Question(
        id=str(_first(row, "qid", "id")),
        text=str(_first(row, "question")),
        answers=["yes", "true"] if answer else ["no", "false"],
        titles=[str(row["term"])] if row.get("term") else [],
    )


def _plain(row: dict[str, Any]) -> Question:
    return Question(
        id=str(row.get("id") or row.get("_id") or row.get("qid") or ""),
        text=str(_first(row, "question", "Question", "query", "text")),
        answers=_texts(_first(row, "golden_answers", "answers", "answer", "Answer")),
        titles=[str(title) for title in row.get("gold_titles") or row.get("context_titles") or ()],
    )


def hotpotqa(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import HotpotQA, distractor or fullwiki, in its own or in ``datasets``' shape (CC BY-SA 4.0)."""
    return _imported(_Kind("hotpotqa", "HotpotQA, CC BY-SA 4.0", _hotpotqa), path, corpus, split, limit)


def two_wiki(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import 2WikiMultihopQA (Apache-2.0)."""
    return _imported(_Kind("2wikimultihopqa", "2WikiMultihopQA, Apache-2.0", _hotpotqa), path, corpus, split, limit)


def musique(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import MuSiQue, answerable or full (CC BY 4.0)."""
    return _imported(_Kind("musique", "MuSiQue, CC BY 4.0", _musique), path, corpus, split, limit)


def nq_open(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import NQ-open or EfficientQA (CC BY-SA 3.0)."""
    return _imported(_Kind("nq-open", "NQ-open, CC BY-SA 3.0", _plain), path, corpus, split, limit)


def triviaqa(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import TriviaQA's questions (Apache-2.0)."""
    return _imported(_Kind("triviaqa", "TriviaQA, Apache-2.0", _triviaqa), path, corpus, split, limit)


def bamboogle(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import Bamboogle (MIT)."""
    return _imported(_Kind("bamboogle", "Bamboogle, MIT", _plain), path, corpus, split, limit)


def frames(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import FRAMES (Apache-2.0)."""
    return _imported(_Kind("frames", "FRAMES, Apache-2.0", _frames), path, corpus, split, limit)


def strategyqa(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import StrategyQA (MIT); the answers are yes and no."""
    return _imported(_Kind("strategyqa", "StrategyQA, MIT", _strategyqa), path, corpus, split, limit)


def questions(path: Path, *, corpus: Path | None = None, split: str = "test", limit: int | None = None) -> TaskSet:
    """Import rows with a question and its answers, as FlashRAG and Search-R1 write them (``golden_answers``)."""
    return _imported(_Kind(path.stem, path.name, _plain), path, corpus, split, limit)


def _imported(kind: _Kind, path: Path, corpus: Path | None, split: str, limit: int | None) -> TaskSet:
    read: list[Question] = []
    for where, row in read_rows(path):
        if limit is not None and len(read) >= limit:
            break
        read.append(_read(where, row, kind))
    if not read:
        raise TaskError(f"{path}: holds no question")
    library = _Library.of_file(corpus) if corpus else _Library.of_questions(read)
    tasks = tuple(
        _task(kind, f"{kind.name}-{number:05d}", question, library, split) for number, question in enumerate(read)
    )
    return TaskSet(name=kind.name, tasks=tasks)


def _read(where: str, row: dict[str, Any], kind: _Kind) -> Question:
    try:
        question = kind.reader(row)
    except KeyError as error:
        raise TaskError(f"{where}: the field {error.args[0]!r} is missing; the row has {', '.join(row)}") from None
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise TaskError(f"{where}: a field has another shape than the data set's: {error}") from None
    if not question.answers and not question.unanswerable:
        raise TaskError(f"{where}: the question has no answer")
    return question


class _Library:
    """A corpus, and where its documents are by title and text."""

    def __init__(self, corpus: FileCorpus | None) -> None:
        self.corpus = corpus
        self.by_title: dict[str, list[str]] = {}
        self.by_paragraph: dict[tuple[str, str], str] = {}

    def add(self, document: Document) -> None:
        self.by_title.setdefault(document.title.casefold(), []).append(document.id)
        self.by_paragraph[document.title, document.text] = document.id

    @classmethod
    def of_file(cls, path: Path) -> "_Library":
        library = cls(import_corpus(path))
        for document in read_corpus(path):
            library.add(document)
        return library

    @classmethod
    def of_questions(cls, read: list[Question]) -> "_Library":
        paragraphs = dict.fromkeys(paragraph for question in read for paragraph in question.paragraphs)
        if not paragraphs:
            return cls(None)
        documents = [Document(f"p{n}", title, text) for n, (title, text) in enumerate(paragraphs)]
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as stream:
            for document in documents:
                stream.write(json.dumps({"_id": document.id, "title": document.title, "text": document.text}) + "\n")
            stream.flush()
            library = cls(FileCorpus(digest=assets.put(stream.name)))
        for document in documents:
            library.add(document)
        return library

    def evidence(self, question: Question) -> list[str]:
        """Return the ids of a question's gold documents."""
        if question.gold:
            found = [self.by_paragraph.get(question.paragraphs[place]) for place in question.gold]
            return list(dict.fromkeys(identity for identity in found if identity))
        own = {title: self.by_paragraph.get((title, text)) for title, text in question.paragraphs}
        ids = [own.get(title) or next(iter(self.by_title.get(title.casefold(), ())), None) for title in question.titles]
        return list(dict.fromkeys(identity for identity in ids if identity))


def _task(kind: _Kind, identity: str, question: Question, library: _Library, split: str) -> Task:
    answers = ["unanswerable"] if question.unanswerable else question.answers
    return Task(
        id=identity + (f"-{question.id}" if question.id else ""),
        env="search",
        split=split,
        instruction=question.text.strip(),
        data={"corpus": library.corpus.model_dump(mode="json") if library.corpus else None},
        gold={
            "answers": [*answers],
            "unanswerable": question.unanswerable,
            "evidence": [*library.evidence(question)],
            "titles": [*question.titles],
        },
        difficulty=question.difficulty,
        tags=question.tags,
        source=kind.source,
    )
