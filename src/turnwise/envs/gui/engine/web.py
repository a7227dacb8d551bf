"""What answers a page's requests: sites in this process, by host name; everything else is refused."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from turnwise.envs.gui.engine.errors import NavigationRefused


class SiteRequest(NamedTuple):
    """A request that a page made."""

    method: str
    url: str
    path: str
    query: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class SiteResponse(NamedTuple):
    """A site's answer."""

    status: int
    headers: dict[str, str]
    body: bytes


Site = Callable[[SiteRequest], Awaitable[SiteResponse]]
"""What answers under one host name."""

SWAPS = "cross-origin-opener-policy"
"""Withheld from pages: it would move them to another process, away from their clock."""
NOT_FOUND = SiteResponse(404, {"content-type": "text/plain"}, b"not found")


def site_of(url: str, sites: Mapping[str, Site]) -> Site | None:
    """Return what answers an address; None for everything but ``https://<known host>/…``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or port not in {None, 443} or parts.username is not None:
        return None
    return sites.get(parts.hostname or "")


def checked(url: str, sites: Mapping[str, Site]) -> str:
    """Return the address to open.

    Raises:
        NavigationRefused: It is not an ``https`` address of a host that this episode knows.
    """
    url = url.strip()
    if site_of(url, sites) is None or any(ord(char) < 0x21 for char in url):
        hosts = ", ".join(f"https://{host}/" for host in sorted(sites))
        raise NavigationRefused(f"{url[:200]!r} cannot be opened; addresses here begin with {hosts}")
    return url


def request_of(request: Mapping[str, Any]) -> SiteRequest:
    """Read a request of DevTools' ``Fetch.requestPaused``."""
    parts = urlsplit(request["url"])
    entries = request.get("postDataEntries") or ()
    body = b"".join(base64.b64decode(entry.get("bytes", "")) for entry in entries)
    headers = {str(name).lower(): str(value) for name, value in request["headers"].items()}
    return SiteRequest(request["method"], request["url"], parts.path or "/", parts.query, headers, body)


def fulfilment(response: SiteResponse) -> dict[str, Any]:
    """Return the parameters of ``Fetch.fulfillRequest``."""
    return {
        "responseCode": response.status,
        "responseHeaders": [
            {"name": name, "value": value} for name, value in response.headers.items() if name.lower() != SWAPS
        ],
        "body": base64.b64encode(response.body).decode(),
    }


async def answer(site: Site, request: SiteRequest) -> SiteResponse | Exception:
    """Ask a site; an exception is handed on, since it is the site's failure and not the page's."""
    try:
        return await site(request)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - told to the episode's next command
        return error
