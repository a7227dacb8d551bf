"""A retriever behind Search-R1's ``/retrieve`` protocol: other people's engines in our environment."""

from functools import lru_cache
from typing import Any

import httpx

from turnwise.envs.search.documents import Document
from turnwise.envs.search.index import Hit
from turnwise.errors import EnvError

_LONGEST_QUERY = 4096


class RemoteRetriever:
    """A client of ``POST /retrieve``. It knows no document by id: the environment keeps those it was shown."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 60.0) -> None:
        """Prepare the client.

        Args:
            url: The server's address, with or without ``/retrieve``.
            token: Sent as a bearer token; needed by our own server beyond loopback.
            timeout_s: Seconds to wait for one answer.
        """
        self.url = url if url.rstrip("/").endswith("/retrieve") else url.rstrip("/") + "/retrieve"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout_s

    @property
    def identity(self) -> str:
        """The server's address without user and password; what it serves is its own affair."""
        return f"remote {httpx.URL(self.url).copy_with(username=None, password=None, query=None)}"

    async def search(self, query: str, k: int) -> list[Hit]:
        """Ask the server.

        Raises:
            EnvError: It cannot be reached, or its answer is not of the protocol's shape.
        """
        text = query[:_LONGEST_QUERY].encode("utf-8", "replace").decode()
        body = {"queries": [text], "topk": k, "return_scores": True}
        try:
            async with httpx.AsyncClient(timeout=self._timeout, headers=self._headers) as client:
                answer = await client.post(self.url, json=body)
            answer.raise_for_status()
            return [_hit(item) for item in answer.json()["result"][0]][:k]
        except httpx.HTTPError as error:
            raise EnvError(f"{self.identity}: {type(error).__name__}: the search server gave no answer") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise EnvError(f"{self.identity}: answered in another shape than /retrieve has: {error!r}") from error

    async def document(self, doc_id: str) -> Document | None:
        """Return None: the protocol has no way to ask for a document."""
        return None


@lru_cache(maxsize=8)
def shared_client(url: str) -> RemoteRetriever:
    """Return the process's client of a server; ``TURNWISE_SEARCH_TOKEN`` is its token."""
    import os

    return RemoteRetriever(url, token=os.environ.get("TURNWISE_SEARCH_TOKEN"))


def _hit(item: Any) -> Hit:
    scored = isinstance(item.get("document"), dict)
    row, score = (item["document"], float(item["score"])) if scored else (item, 0.0)
    return Hit(Document.from_row({"id": str(row.get("contents", ""))[:80], **row}), score)
