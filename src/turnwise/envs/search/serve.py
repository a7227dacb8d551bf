"""Our engine behind Search-R1's ``/retrieve`` protocol, so that other people's trainers can ask it.

On loopback, requests from other hosts' pages are refused by their Host and Origin. Anywhere else a token is needed.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from turnwise.envs.search.index import MAX_HITS, Hit
from turnwise.envs.search.retriever import Retriever
from turnwise.errors import ConfigError

_BODY = 4_000_000
_QUERIES = 4096
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Query(BaseModel):
    """A request of the protocol."""

    model_config = ConfigDict(extra="ignore")

    queries: list[str] = Field(max_length=_QUERIES)
    topk: int | None = Field(default=None, ge=0, le=MAX_HITS)
    return_scores: bool = False


def is_loopback(host: str) -> bool:
    """Tell whether a host to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_app(retriever: Retriever, *, host: str = "127.0.0.1", token: str | None = None, topk: int = 3) -> Starlette:
    """Make the application.

    Args:
        retriever: What answers.
        host: Where it will listen.
        token: Bearer token that requests must carry; needed beyond loopback.
        topk: Results where a request names no number.

    Raises:
        ConfigError: The host is no loopback address and there is no token.
    """
    if not is_loopback(host) and not token:
        raise ConfigError(f"serving on {host} needs a token: other machines can reach it; give one, or use 127.0.0.1")

    async def retrieve(request: Request) -> Response:
        refusal = _refusal(request, token=token, loopback=is_loopback(host))
        if refusal is not None:
            return refusal
        body = await _body(request)
        if body is None:
            return _error(413, f"the body is larger than {_BODY} bytes")
        try:
            query = Query.model_validate_json(body)
        except ValidationError as error:
            return JSONResponse(
                {"detail": error.errors(include_url=False, include_context=False, include_input=False)}, status_code=422
            )
        k = query.topk or topk
        found = [await retriever.search(text, k) for text in query.queries]
        return JSONResponse({"result": [_shape(hits, scores=query.return_scores) for hits in found]})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "identity": retriever.identity})

    return Starlette(routes=[Route("/retrieve", retrieve, methods=["POST"]), Route("/health", health)])


def _shape(hits: Sequence[Hit], *, scores: bool) -> list[dict[str, Any]]:
    docs: list[dict[str, Any]] = [{"id": hit.document.id, "contents": hit.document.contents} for hit in hits]
    if not scores:
        return docs
    return [{"document": doc, "score": hit.score} for doc, hit in zip(docs, hits, strict=True)]


def _refusal(request: Request, *, token: str | None, loopback: bool) -> Response | None:
    given = request.headers.get("authorization", "").encode("utf-8", "replace")
    if token and not hmac.compare_digest(given, f"Bearer {token}".encode()):
        return _error(401, "a bearer token is needed")
    if not loopback:
        return None
    if _name(request.headers.get("host", "")) not in _LOCAL:
        return _error(403, "the Host header names another machine")
    origin = request.headers.get("origin")
    if origin is not None and _name(origin.partition("://")[2]) not in _LOCAL:
        return _error(403, "requests from other sites' pages are refused")
    return None


def _name(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


async def _body(request: Request) -> bytes | None:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > _BODY:
            return None
    return bytes(received)


def _error(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status_code=status)
