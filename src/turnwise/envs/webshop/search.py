"""Full-text search over a catalogue: one segment in product order, so that hits and ties are the same everywhere.

Two writer threads would cut the catalogue into segments by chance and order equal scores differently on every build.
The index stores no text: a hit's place in the single segment is the product's number.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from turnwise.errors import EnvError

ANALYSER = "shop"
HITS = 50
"""Hits of one search (WebShop's SEARCH_RETURN_N)."""
MAX_TERMS = 64
"""Terms of a query that count; the rest of a longer one is dropped."""
VERSION = 1
_HEAP = 2_000_000_000


class Search:
    """A built index; safe to share between episodes and, on disk, between processes."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._analyser = _analyser()
        index.register_tokenizer(ANALYSER, self._analyser)
        self._searcher = index.searcher()
        if self._searcher.num_segments > 1:
            raise EnvError(f"the search index has {self._searcher.num_segments} segments; it must be rebuilt as one")

    @classmethod
    def open(cls, directory: Path) -> "Search":
        """Open an index on disk; it is memory-mapped, so processes share its pages."""
        import tantivy

        return cls(tantivy.Index.open(str(directory)))

    @classmethod
    def in_memory(cls, texts: Iterable[str]) -> "Search":
        """Build a small index in memory."""
        import tantivy

        index = tantivy.Index(_schema())
        _fill(index, texts, heap=50_000_000)
        return cls(index)

    def top(self, query: str) -> tuple[int, ...]:
        """Return the numbers of the best products by BM25, best first, equal scores by number.

        Args:
            query: Words; they are stemmed, stop words dropped, and any one of them suffices for a hit.
        """
        from tantivy import Occur, Query

        terms = self._analyser.analyze(query)[:MAX_TERMS]
        if not terms:
            return ()
        schema = self._index.schema
        parts = [(Occur.Should, Query.term_query(schema, "contents", term, index_option="freq")) for term in terms]
        hits = self._searcher.search(Query.boolean_query(parts), HITS, count=False).hits
        ranked = sorted(hits, key=lambda hit: (-hit[0], hit[1].doc))
        return tuple(address.doc for _, address in ranked)


def build(directory: Path, texts: Iterable[str]) -> None:
    """Write an index into an empty directory, in the order of the texts."""
    import tantivy

    index = tantivy.Index(_schema(), path=str(directory))
    _fill(index, texts, heap=_HEAP)
    Search(index)
    for leftover in directory.glob("*.lock"):
        leftover.unlink()
    shutil.rmtree(directory / ".tmp", ignore_errors=True)


def _fill(index: Any, texts: Iterable[str], heap: int) -> None:
    import tantivy

    index.register_tokenizer(ANALYSER, _analyser())
    writer = index.writer(heap_size=heap, num_threads=1)
    for text in texts:
        document = tantivy.Document()
        document.add_text("contents", text)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("contents", stored=False, tokenizer_name=ANALYSER, index_option="freq")
    return builder.build()


def _analyser() -> Any:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(40)).filter(Filter.lowercase())
    return builder.filter(Filter.stopword("english")).filter(Filter.stemmer("english")).build()
