"""What finds documents: a protocol, and the lexical engine behind it."""

from typing import Protocol, runtime_checkable

import anyio.to_thread

from turnwise.envs.search.documents import Document
from turnwise.envs.search.index import Hit, Index

_INLINE = 100_000
"""Documents up to which a query is answered in the event loop: half a millisecond, of which a thread would add a
tenth."""


@runtime_checkable
class Retriever(Protocol):
    """Anything that finds documents. It must not raise for any query text, and must give the same for the same."""

    @property
    def identity(self) -> str:
        """What decides the results: the corpus's digest, the model, the settings."""

    async def search(self, query: str, k: int) -> list[Hit]:
        """Return at most ``k`` hits, best first."""

    async def document(self, doc_id: str) -> Document | None:
        """Return a document by id, None where it is not known."""


class LexicalRetriever:
    """BM25 over an index."""

    def __init__(self, index: Index) -> None:
        self.index = index

    @property
    def identity(self) -> str:
        """The corpus's digest."""
        return f"bm25 {self.index.digest}"

    async def search(self, query: str, k: int) -> list[Hit]:
        """Search; a large index is asked in a worker thread, so that the event loop goes on."""
        if len(self.index) <= _INLINE:
            return self.index.search(query, k)
        return await anyio.to_thread.run_sync(self.index.search, query, k)

    async def document(self, doc_id: str) -> Document | None:
        """Return a document by id."""
        return self.index.get(doc_id)
