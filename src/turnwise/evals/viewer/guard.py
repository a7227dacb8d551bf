"""What stands before every page: who may ask, and what a page may do."""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE = "turnwise_token"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Answers only its own machine, or who has the token; puts a strict policy on every page.

    A page elsewhere that makes a browser ask this server (DNS rebinding, a cross-site request) sends a foreign Host or
    Origin, and is refused.
    """

    def __init__(self, app: ASGIApp, token: str | None = None, hosts: frozenset[str] = frozenset()) -> None:
        self._app, self._token, self._hosts = app, token, LOOPBACK | hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, and add the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(Request(scope))
        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        headers = request.headers
        if _name(f"//{headers.get('host', '')}") not in self._hosts or not self._own_origin(headers):
            return PlainTextResponse("this address is not served here", status_code=403)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this server only shows", status_code=405)
        return self._without_token(request) if self._token else None

    def _own_origin(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        return origin is None or _name(origin) in self._hosts

    def _without_token(self, request: Request) -> Response | None:
        assert self._token is not None
        given = request.query_params.get("token")
        if given is not None and _same(given, self._token):
            response = RedirectResponse(request.url.path or "/", status_code=303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return response
        if _same(request.cookies.get(COOKIE, ""), self._token):
            return None
        return PlainTextResponse("the token is missing or wrong: open the address that was printed", status_code=401)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
