"""Recall of the gold titles on real multi-hop questions: our engine beside bm25s, on the same paragraphs.

Run:  python benchmarks/search_recall.py [CORPUS.jsonl QUESTIONS.jsonl]

By default the 468 Wikipedia paragraphs and 35 questions under ``tests/data/search``. The question alone is the query;
gold are the paragraphs whose titles the data names.
"""

import sys
import tempfile
from pathlib import Path

import anyio

from turnwise.envs.search import index as engine
from turnwise.envs.search.corpora import FileCorpus, open_index
from turnwise.envs.search.dense import DenseRetriever, HashEmbedder, HybridRetriever
from turnwise.envs.search.retriever import LexicalRetriever
from turnwise.tasks.importers import import_tasks

DATA = Path(__file__).parent.parent / "tests" / "data" / "search"


def main() -> None:
    import os

    import bm25s

    os.environ["TURNWISE_HOME"] = tempfile.mkdtemp(prefix="recall-")
    given = [Path(path) for path in sys.argv[1:3]]
    corpus, questions = given or [DATA / "multihop_corpus.jsonl", DATA / "multihop_qa.jsonl"]
    tasks = import_tasks("search-questions", questions, corpus=str(corpus))
    index = open_index(FileCorpus.model_validate(tasks.tasks[0].data["corpus"]))
    documents = list(index)
    stemless = bm25s.BM25()
    texts = [f"{document.title}\n{document.text}" for document in documents]
    stemless.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def with_bm25s(query: str) -> list[str]:
        tokens = bm25s.tokenize(query, stopwords="en", show_progress=False)
        found, _ = stemless.retrieve(tokens, k=10, show_progress=False)
        return [documents[int(place)].id for place in found[0]]

    def with_rule(query: str) -> list[str]:
        # What a large index does: words that nearly every document holds are not asked for.
        large, engine.LARGE = engine.LARGE, 0
        try:
            return [hit.document.id for hit in index.search(query, 10)]
        finally:
            engine.LARGE = large

    hybrid = HybridRetriever(LexicalRetriever(index), DenseRetriever(index, HashEmbedder()))

    def with_hybrid(query: str) -> list[str]:
        return [hit.document.id for hit in anyio.run(hybrid.search, query, 10)]

    engines = {
        "turnwise bm25": lambda query: [hit.document.id for hit in index.search(query, 10)],
        "turnwise bm25, as if large": with_rule,
        "turnwise hybrid (hash)": with_hybrid,
        "bm25s": with_bm25s,
    }
    print(f"{len(index)} paragraphs, {len(tasks)} questions")
    for name, ask in engines.items():
        recalls = []
        for task in tasks:
            gold = {str(identity) for identity in task.gold["evidence"]}  # type: ignore[union-attr]
            if gold:
                recalls.append(len(gold & set(ask(task.instruction))) / len(gold))
        print(f"{name:>26}  recall@10 {sum(recalls) / len(recalls):.3f}")


if __name__ == "__main__":
    main()
