"""The engine: order, ties, hostile queries, interrupted builds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.envs.search import index as engine
from turnwise.envs.search.corpora import WorldCorpus, open_index
from turnwise.envs.search.documents import Document
from turnwise.envs.search.index import Index, build_index
from turnwise.envs.search.world import WorldConfig
from turnwise.errors import TaskError


def documents(n: int = 300) -> list[Document]:
    return [Document(f"d{i}", f"Title {i}", f"apple word{i % 7} plain") for i in range(n)]


def built(path: Path, docs: list[Document]) -> Index:
    target = path / "index"
    target.mkdir()
    build_index(docs, target, path / "work")
    assert not (path / "work").exists()
    return Index(target)


def test_ties_come_in_corpus_order(tmp_path: Path) -> None:
    index = built(tmp_path, documents())
    assert [hit.document.id for hit in index.search("apples", 5)] == ["d0", "d1", "d2", "d3", "d4"]
    assert [hit.document.id for hit in index.search("word3", 3)] == ["d3", "d10", "d17"]
    assert index.get("d299") == Document("d299", "Title 299", "apple word5 plain")
    assert index.get("nope") is None
    assert len(list(index)) == len(index) == 300


def test_an_interrupted_build_goes_on_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_COMMIT", 50)
    whole = built(tmp_path, documents())
    taken: list[int] = []

    def breaking(at: int | None) -> Iterator[Document]:
        for number, document in enumerate(documents()):
            if number == at:
                raise KeyboardInterrupt
            yield document

    work, target = tmp_path / "w", tmp_path / "t"
    for at in (60, 170):
        with pytest.raises(KeyboardInterrupt):
            build_index(breaking(at), target, work)
    target.mkdir()
    digest = build_index(breaking(None), target, work, taken.append)
    again = Index(target)
    assert digest == whole.digest == again.digest
    assert taken[-1] == 300
    for query in ("apple", "word2 plain", "title 17"):
        assert again.search(query, 20) == whole.search(query, 20)


def test_broken_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no document"):
        build_index([], tmp_path / "a", tmp_path / "wa")
    with pytest.raises(TaskError, match="'d0' twice"):
        build_index([*documents(3), *documents(1)], tmp_path / "b", tmp_path / "wb")


def test_a_large_index_leaves_words_out_that_nearly_every_document_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"the": 100, "most": 81, "many": 80, "some": 30}
    docs = [
        Document(f"d{i}", f"Title{i}", " ".join(word for word, count in held.items() if i < count)) for i in range(100)
    ]
    index = built(tmp_path, docs)
    query = "The Most many some unheard"
    assert index.words(query) == ["the", "most", "mani", "some", "unheard"]
    assert len(index.search("the title7", 20)) == 20
    monkeypatch.setattr(engine, "LARGE", 99)
    assert index.words(query) == ["mani", "some", "unheard"]
    assert index.ordinals(query, 100) == index.ordinals("many some", 100)
    assert [hit.document.id for hit in index.search("the title7", 20)] == ["d7"]
    assert index.search("the unheard", 20) == []


def test_a_query_of_common_words_alone_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LARGE", 99)
    index = built(tmp_path, documents(100))
    assert index.words("the plain apples") == ["the"]
    assert index.words("plain apples") == ["plain", "appl"]
    assert [hit.document.id for hit in index.search("plain apples", 3)] == ["d0", "d1", "d2"]
    assert index.words(" ?! ") == index.search("", 5) == []


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.integers(-2, 300))
def test_any_text_is_a_query(query: str, k: int) -> None:
    index = open_index(WorldCorpus(recipe=WorldConfig(pages=300)))
    assert len(index.search(query, k)) <= max(k, 0)


@pytest.mark.parametrize("query", ["\ud800", "a\x00b", "text:x AND (", '"' * 10_000, "word " * 100_000, "é" * 50_000])
def test_hostile_queries(query: str) -> None:
    open_index(WorldCorpus(recipe=WorldConfig(pages=300))).search(query, 10)
