"""The lexical engine: tantivy's BM25 over one memory-mapped index that all episodes and processes share.

One writer thread, documents in the order given, ties by that order. Texts lie beside the index in one file that is
read by offset, so that a result costs no decompression. Queries never go through a query language: they are cut into
words by the index's own analyser, so no query text can be malformed. In a large index, words that are in nearly every
document are left out of a query: they weigh next to nothing and cost most of its time.
"""

import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from turnwise.envs.search.documents import Document
from turnwise.errors import EnvError, TaskError

VERSION = "2"
"""Raised whenever the same documents and query could give other hits."""
MAX_TERMS = 32
"""Distinct words of a query that count; the rest is ignored."""
MAX_HITS = 100
COMMON = 0.8
"""Part of the documents above which a word is too common to be asked for, where the query has others."""
LARGE = 20_000
"""Documents up to which every word is asked for: it takes no time there, and a common word can still find something."""
_SCAN = 4096
_MOST_TIES = 20_000
_COMMIT = 1_000_000
"""Documents between two commits: an interrupted build goes on from the last one."""
_HEAP = 2_000_000_000
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search."""

    document: Document
    score: float


def build_index(documents: Iterable[Document], target: Path, work: Path, progress: Progress | None = None) -> str:
    """Build an index; a build that was interrupted goes on from its last commit.

    Args:
        documents: In the order that breaks ties; the same on every attempt.
        target: An empty directory for the finished index.
        work: Where an unfinished one is kept; removed at the end.
        progress: Told how many documents are written, now and then.

    Returns:
        sha256 of the documents, ``sha256:<hex>``.

    Raises:
        TaskError: Two documents have one id, or there is none.
    """
    work.mkdir(parents=True, exist_ok=True)
    store = _Store(work)
    _write(documents, store, work, progress)
    digest = store.finish()
    for entry in sorted(work.iterdir()):
        shutil.move(entry, target / entry.name)
    work.rmdir()
    return digest


class _Store:
    """The texts as JSON Lines, cut back to the last commit when a build goes on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "docs.jsonl"
        self.path.touch()
        self.ids: list[str] = []
        self.offsets: list[int] = [0]

    def resume(self, count: int) -> None:
        with self.path.open("rb+") as stream:
            for line in islice(stream, count):
                self.ids.append(json.loads(line)["id"])
                self.offsets.append(self.offsets[-1] + len(line))
            stream.truncate(self.offsets[-1])

    def write(self, stream: Any, document: Document) -> None:
        row = {"id": document.id, "title": document.title, "text": document.text}
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        stream.write(line)
        self.ids.append(document.id)
        self.offsets.append(self.offsets[-1] + len(line))

    def finish(self) -> str:
        if not self.ids:
            raise TaskError("the corpus holds no document")
        if len(set(self.ids)) < len(self.ids):
            seen: set[str] = set()
            twice = next(i for i in self.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise TaskError(f"the corpus holds the document id {twice!r} twice; ids must be unique")
        hashes = np.array([_hash(identity) for identity in self.ids], dtype=np.uint64)
        order = np.argsort(hashes, kind="stable")
        np.save(self.directory / "offsets.npy", np.array(self.offsets, dtype=np.int64))
        np.save(self.directory / "id_hashes.npy", hashes[order])
        np.save(self.directory / "id_ordinals.npy", order.astype(np.int64))
        with self.path.open("rb") as stream:
            digest = sha256()
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        made = f"sha256:{digest.hexdigest()}"
        meta = {"version": VERSION, "documents": len(self.ids), "digest": made}
        (self.directory / "meta.json").write_text(json.dumps(meta))
        return made


def _write(documents: Iterable[Document], store: _Store, work: Path, progress: Progress | None) -> None:
    import tantivy

    place = work / "tantivy"
    if not tantivy.Index.exists(str(place)) if place.is_dir() else True:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        index = tantivy.Index(_schema(), path=str(place))
    else:
        index = tantivy.Index.open(str(place))
    index.register_tokenizer("words", analyser())
    index.reload()
    store.resume(index.searcher().num_docs)
    _unlock(place)
    writer = index.writer(heap_size=_HEAP, num_threads=1)
    with store.path.open("ab") as stream:
        for number, document in enumerate(islice(documents, len(store.ids), None), start=len(store.ids)):
            store.write(stream, document)
            row = tantivy.Document()
            row.add_text("text", f"{document.title}\n{document.title}\n{document.text}")
            row.add_unsigned("ordinal", number)
            writer.add_document(row)
            if (number + 1) % _COMMIT == 0:
                stream.flush()
                os.fsync(stream.fileno())
                writer.commit()
            if progress and (number + 1) % 5000 == 0:
                progress(number + 1)
    writer.commit()
    writer.wait_merging_threads()
    _unlock(place)
    if progress:
        progress(len(store.ids))


def _unlock(place: Path) -> None:
    # A build that was killed leaves its lock file; cache_dir's own lock already keeps other builders out.
    with suppress(FileNotFoundError):
        (place / ".tantivy-writer.lock").unlink()


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="words", index_option="freq")
    builder.add_unsigned_field("ordinal", stored=False, indexed=False, fast=True)
    return builder.build()


@lru_cache(maxsize=1)
def analyser() -> Any:
    """Return the analyser of documents and queries: words, lower case, English stems."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(40)).filter(Filter.lowercase())
    return builder.filter(Filter.ascii_fold()).filter(Filter.stemmer("english")).build()


def _hash(identity: str) -> int:
    return int.from_bytes(blake2b(identity.encode("utf-8", "replace"), digest_size=8).digest(), "big")


class Index:
    """An index opened for reading; safe to share between threads."""

    def __init__(self, directory: Path) -> None:
        import tantivy

        meta = json.loads((directory / "meta.json").read_text())
        if meta["version"] != VERSION:
            raise EnvError(f"{directory}: index of version {meta['version']}, this code reads {VERSION}; build it anew")
        self.digest: str = meta["digest"]
        offsets = np.load(directory / "offsets.npy", mmap_mode="r")
        self._offsets = memoryview(offsets)  # Gives plain integers, and many times faster than the array does.
        self._hashes: npt.NDArray[np.uint64] = np.load(directory / "id_hashes.npy", mmap_mode="r")
        self._ordinals: npt.NDArray[np.int64] = np.load(directory / "id_ordinals.npy", mmap_mode="r")
        with (directory / "docs.jsonl").open("rb") as stream:
            self._texts = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        index = tantivy.Index.open(str(directory / "tantivy"))
        index.register_tokenizer("words", analyser())
        self._schema = index.schema
        self._searcher = index.searcher()

    def __len__(self) -> int:
        return len(self._ordinals)

    def __iter__(self) -> Iterator[Document]:
        return map(self.at, range(len(self)))

    def at(self, ordinal: int) -> Document:
        """Return a document by its place in the corpus."""
        row = json.loads(self._texts[self._offsets[ordinal] : self._offsets[ordinal + 1]])
        return Document(row["id"], row["title"], row["text"])

    def get(self, doc_id: str) -> Document | None:
        """Return a document by id, None where there is none."""
        wanted = np.uint64(_hash(doc_id))
        place = int(np.searchsorted(self._hashes, wanted))
        while place < len(self._hashes) and self._hashes[place] == wanted:
            document = self.at(int(self._ordinals[place]))
            if document.id == doc_id:
                return document
            place += 1
        return None

    def ordinals(self, query: str, k: int) -> list[tuple[int, float]]:
        """Return the best ``k`` places and their BM25 scores, best first, ties in corpus order; any text is a query."""
        import tantivy

        terms = self.words(query)
        if not terms or k < 1:
            return []
        should = tantivy.Occur.Should
        parts = [(should, tantivy.Query.term_query(self._schema, "text", term, index_option="freq")) for term in terms]
        asked, k = tantivy.Query.boolean_query(parts), min(k, MAX_HITS)
        if self._searcher.num_segments > 1:
            return self._across_segments(asked, k)
        return [(address.doc, score) for score, address in self._searcher.search(asked, k, count=False).hits]

    def _across_segments(self, asked: Any, k: int) -> list[tuple[int, float]]:
        # Segments come in no fixed order, so everything that ties with the last hit is fetched before the cut.
        limit = k + 1
        hits = self._searcher.search(asked, limit, count=False).hits
        while len(hits) == limit < _MOST_TIES and hits[-1][0] == hits[k - 1][0]:
            limit *= 4
            hits = self._searcher.search(asked, limit, count=False).hits
        places = self._searcher.fast_field_values("ordinal", [address for _, address in hits])
        found = [(int(place or 0), score) for place, (score, _) in zip(places, hits, strict=True)]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k]

    def words(self, query: str) -> list[str]:
        """Return the words of a query that this index is asked for."""
        return asked_words(query, self._searcher)

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the best ``k`` documents, best first."""
        return [Hit(self.at(ordinal), score) for ordinal, score in self.ordinals(query, k)]


def asked_words(query: str, searcher: Any) -> list[str]:
    """Return the words of a query that the engine is asked for, each once, in the query's order.

    A word in more than ``COMMON`` of the documents has an inverse document frequency below 0.23, yet its list of places
    is as long as the index. Which words these are follows from the documents, so that it holds in any language; a
    query of such words alone keeps them.

    Args:
        query: Any text.
        searcher: A tantivy searcher over a field ``text``.
    """
    words, documents = _terms(query), searcher.num_docs
    if documents <= LARGE:
        return words
    rarer = [word for word in words if searcher.doc_freq("text", word) <= COMMON * documents]
    return rarer or words


def _terms(query: str) -> list[str]:
    # Long queries are cut by characters first: an agent may paste a whole page.
    text = query[:_SCAN].encode("utf-8", "replace").decode("utf-8")
    return list(dict.fromkeys(analyser().analyze(text)))[:MAX_TERMS]
