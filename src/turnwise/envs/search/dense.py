"""Dense vectors and their union with BM25, over any embedding model.

Small collections are searched exactly; large ones by hnswlib (extra ``dense``). Vectors are computed once per machine,
in chunks, and an interrupted computation goes on where it stopped.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import numpy as np
import numpy.typing as npt

from turnwise.envs.search.documents import Document
from turnwise.envs.search.index import Hit, Index, Progress
from turnwise.envs.search.retriever import LexicalRetriever, Retriever
from turnwise.errors import ConfigError, EnvError, MissingExtraError
from turnwise.tasks import assets
from turnwise.tasks.canonical import digest

_KIND = "search-vectors@1"
_CHUNK = 512
_EXACT = 20_000
"""Documents up to which every vector is compared."""
Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """An embedding model; it runs in a worker thread."""

    @property
    def identity(self) -> str:
        """Name and version: what decides the vectors."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str], *, query: bool) -> Vectors:
        """Return one vector per text, shape (n, dimension); they need not be normalised."""


class HashEmbedder:
    """Words and letter trigrams hashed to a vector: no model, no download; forgives spelling, knows no meaning."""

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension

    @property
    def identity(self) -> str:
        """Name and size."""
        return f"hash-{self.dimension}@1"

    def embed(self, texts: Sequence[str], *, query: bool) -> Vectors:
        """Hash each text's words and trigrams with signs."""
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower())[:2000]:
                for place, sign in _features(word, self.dimension):
                    out[row, place] += sign
        return out


@lru_cache(maxsize=200_000)
def _features(word: str, dimension: int) -> tuple[tuple[int, float], ...]:
    padded = f"<{word[:40]}>"
    grams = [padded, *(padded[n : n + 3] for n in range(len(padded) - 2))]
    hashed = [int.from_bytes(blake2b(g.encode("utf-8", "replace"), digest_size=8).digest(), "big") for g in grams]
    return tuple((value % dimension, 1.0 if value >> 63 else -1.0) for value in hashed)


class EndpointEmbedder:
    """An OpenAI-compatible ``/embeddings`` endpoint."""

    def __init__(self, url: str, model: str, dimension: int, *, key: str | None = None) -> None:
        self.url, self.model, self.dimension, self._key = url.rstrip("/") + "/embeddings", model, dimension, key

    @property
    def identity(self) -> str:
        """The model's name and its vectors' length."""
        return f"endpoint {self.model} {self.dimension}"

    def embed(self, texts: Sequence[str], *, query: bool) -> Vectors:
        """Ask the endpoint.

        Raises:
            EnvError: It gave no answer, or one of another shape.
        """
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        body = {"model": self.model, "input": list(texts)}
        try:
            answer = httpx.post(self.url, json=body, headers=headers, timeout=120)
            answer.raise_for_status()
            rows = sorted(answer.json()["data"], key=lambda row: row["index"])
            out = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except httpx.HTTPError as error:
            raise EnvError(f"embedding endpoint: {type(error).__name__}: no answer") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EnvError(f"embedding endpoint: answered in another shape than /embeddings has: {error!r}") from error
        if out.shape != (len(texts), self.dimension):
            raise EnvError(f"embedding endpoint: got shape {out.shape}, wanted {(len(texts), self.dimension)}")
        return out


class DenseRetriever:
    """The documents whose vectors lie nearest to the query's, by cosine."""

    def __init__(self, index: Index, embedder: Embedder, progress: Progress | None = None) -> None:
        self.index, self.embedder = index, embedder
        key = digest({"documents": index.digest, "embedder": embedder.identity})
        directory = assets.cache_dir(_KIND, key, lambda target: _build(index, embedder, key, target, progress))
        shape = (len(index), embedder.dimension)
        self._vectors: Vectors = np.memmap(directory / "vectors.f32", dtype=np.float32, mode="r", shape=shape)
        self._graph = _graph(directory / "graph.bin", embedder.dimension) if len(index) > _EXACT else None

    @property
    def identity(self) -> str:
        """The corpus's digest and the model."""
        return f"dense {self.embedder.identity} {self.index.digest}"

    async def search(self, query: str, k: int) -> list[Hit]:
        """Search in a worker thread."""
        return await anyio.to_thread.run_sync(self._search, query, k)

    async def document(self, doc_id: str) -> Document | None:
        """Return a document by id."""
        return self.index.get(doc_id)

    def _search(self, query: str, k: int) -> list[Hit]:
        vector = _unit(self.embedder.embed([query[:4096]], query=True))[0]
        k = min(k, len(self.index))
        if not vector.any() or k < 1:
            return []
        if self._graph is not None:
            labels, distances = self._graph.knn_query(vector, k=k)
            found = zip(labels[0].tolist(), (1.0 - distances[0]).tolist(), strict=True)
        else:
            scores = self._vectors @ vector
            order = np.lexsort((np.arange(len(scores)), -scores))[:k]
            found = zip(order.tolist(), scores[order].tolist(), strict=True)
        ranked = sorted(found, key=lambda pair: (-pair[1], pair[0]))
        return [Hit(self.index.at(ordinal), score) for ordinal, score in ranked]


class HybridRetriever:
    """Several retrievers joined by reciprocal rank: a document earns 1 / (60 + rank) from each."""

    def __init__(self, *retrievers: Retriever, depth: int = 50) -> None:
        self.retrievers, self.depth = retrievers, depth

    @property
    def identity(self) -> str:
        """The identities of all."""
        return "hybrid " + " + ".join(retriever.identity for retriever in self.retrievers)

    async def search(self, query: str, k: int) -> list[Hit]:
        """Ask all and join; ties go to the document that the earlier retriever ranks higher."""
        documents: dict[str, Document] = {}
        scores: dict[str, float] = {}
        for retriever in self.retrievers:
            for rank, hit in enumerate(await retriever.search(query, max(k, self.depth)), start=1):
                documents.setdefault(hit.document.id, hit.document)
                scores[hit.document.id] = scores.get(hit.document.id, 0.0) + 1.0 / (60 + rank)
        best = sorted(scores, key=lambda identity: -scores[identity])[:k]
        return [Hit(documents[identity], scores[identity]) for identity in best]

    async def document(self, doc_id: str) -> Document | None:
        """Return a document by id."""
        for retriever in self.retrievers:
            found = await retriever.document(doc_id)
            if found is not None:
                return found
        return None


@lru_cache(maxsize=4)
def hybrid(index: Index, embedder: Callable[[], Embedder] = HashEmbedder) -> HybridRetriever:
    """Return BM25 joined with dense vectors over an index; one per process."""
    return HybridRetriever(LexicalRetriever(index), DenseRetriever(index, embedder()))


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def _build(index: Index, embedder: Embedder, key: str, target: Path, progress: Progress | None) -> None:
    work = assets.home() / "partial" / _KIND / key
    work.mkdir(parents=True, exist_ok=True)
    path = work / "vectors.f32"
    path.touch()
    row = embedder.dimension * 4
    done = path.stat().st_size // row
    with path.open("rb+") as stream:
        stream.truncate(done * row)
        stream.seek(done * row)
        documents = islice(iter(index), done, None)
        while chunk := list(islice(documents, _CHUNK)):
            texts = [f"{document.title}\n{document.text}" for document in chunk]
            stream.write(_unit(embedder.embed(texts, query=False)).astype("<f4").tobytes())
            done += len(chunk)
            if progress:
                progress(done)
    if len(index) > _EXACT:
        _build_graph(path, len(index), embedder.dimension, work / "graph.bin")
    for entry in sorted(work.iterdir()):
        shutil.move(entry, target / entry.name)
    work.rmdir()


def _hnsw() -> Any:
    try:
        import hnswlib
    except ImportError as error:
        raise MissingExtraError.of("dense", "hnswlib") from error
    return hnswlib


def _build_graph(vectors: Path, count: int, dimension: int, target: Path) -> None:
    graph = _hnsw().Index(space="cosine", dim=dimension)
    graph.init_index(max_elements=count, ef_construction=200, M=16, random_seed=7)
    rows: Vectors = np.memmap(vectors, dtype=np.float32, mode="r", shape=(count, dimension))
    # One thread: the graph depends on the order in which vectors arrive.
    graph.add_items(rows, np.arange(count), num_threads=1)
    graph.save_index(str(target))


def _graph(path: Path, dimension: int) -> Any:
    graph = _hnsw().Index(space="cosine", dim=dimension)
    graph.load_index(str(path))
    graph.set_ef(128)
    graph.set_num_threads(1)
    return graph


def embedder_of(name: str) -> Callable[[], Embedder]:
    """Return the maker of an embedder: ``hash``, or ``module:function`` called without arguments.

    Raises:
        ConfigError: The name is neither.
    """
    if name == "hash":
        return HashEmbedder
    if ":" not in name:
        raise ConfigError(f"embedder {name!r}: use 'hash', or 'module:function' that returns an Embedder")
    from turnwise.tasks import plugins

    maker: Callable[[], Embedder] = plugins.load(name, kind="embedder")
    return maker
