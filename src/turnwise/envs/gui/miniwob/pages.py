"""Serve a task's page as one response: scripts, styles and pictures inlined, the harness put in, nothing copied.

A request costs more than the bytes it brings, so a page needs one. What a page asks for later (pictures that its
scripts name) comes from the same folder of the installed distribution. Styles go to the document's adopted sheets and
scripts leave the document once it has loaded, so that neither fills every snapshot of the page.
"""

import base64
import json
import mimetypes
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from turnwise.envs.gui.miniwob import wheel

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Site, SiteRequest, SiteResponse

DATA = Path(__file__).parent / "data"
ROOMS = ("core", "common")
"""Folders of the distribution that a page may ask for."""
_PARTS = re.compile(
    r"<script\b[^>]*\bsrc=\"(?P<script>[^\"]+)\"[^>]*>\s*</script>"
    r"|(?P<inline><script\b[^>]*>.*?</script>)"
    r"|<link\b[^>]*\bhref=\"(?P<sheet>[^\"]+)\"[^>]*>"
    r"|<style\b[^>]*>(?P<style>.*?)</style>"
    r"|(?P<before><img\b[^>]*\bsrc=\")(?P<image>[^\"]+)",
    re.DOTALL,
)
"""What of a page is replaced. A script of the page itself is left alone, whatever its strings hold."""
_URL = re.compile(r"url\(\s*[\"']?(?!data:)([^\"')]+)[\"']?\s*\)")


class Seeds(NamedTuple):
    """What decides a page's random numbers and its share of the data."""

    problem: int
    """Of the problem: loading the page again gives the same problem again."""
    episode: int
    """Of what the page draws after the problem was made."""
    mode: Literal["default", "test"]
    """MiniWoB++'s data mode; the pages for transfer and natural language hold other problems for ``test``."""


def host(page: str) -> str:
    """Return the host name a page is served under."""
    return f"{page}.test"


def site(page: str, seeds: Seeds) -> "Site":
    """Return who answers for a page's host: the page at ``/``, its pictures below ``/core`` and ``/common``."""
    from turnwise.envs.gui.engine import SiteResponse

    body = render(page, seeds)

    async def answer(request: "SiteRequest") -> "SiteResponse":
        if request.path == "/":
            return SiteResponse(200, {"content-type": "text/html; charset=utf-8"}, body)
        found = asset(request.path)
        if found is None:
            return SiteResponse(404, {"content-type": "text/plain"}, b"not found")
        return SiteResponse(200, {"content-type": found[0]}, found[1])

    return answer


def render(page: str, seeds: Seeds) -> bytes:
    """Return a page with all it needs inside.

    Raises:
        EnvError: The distribution has no such page.
    """
    told = f"<script>var HARNESS = {json.dumps(seeds._asdict())};</script>"
    return told.encode().join(_template(page))


@lru_cache(maxsize=256)
def asset(path: str) -> tuple[str, bytes] | None:
    """Return the type and the bytes of a file that a page may ask for; None for any other path."""
    root = wheel.folder()
    file = (root / path.lstrip("/")).resolve()
    allowed = any(file.is_relative_to((root / room).resolve()) for room in ROOMS)
    if not allowed or not file.is_file():
        return None
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes()


@lru_cache(maxsize=16)
def _template(page: str) -> tuple[bytes, bytes]:
    """Return a page as the parts before and after the seeds, which stand in front of everything."""
    file = wheel.page_file(page)
    text = _PARTS.sub(lambda part: _inlined(part, file), file.read_text(encoding="utf-8"))
    doctype, head, rest = text.partition("<head>")
    return (doctype + head).encode(), rest.encode()


def _inlined(part: re.Match[str], page: Path) -> str:
    if part["script"]:
        return f"<script>{_script(page.parent / part['script'])}</script>"
    if part["sheet"]:
        return _adopted(_sheet(page.parent / part["sheet"]))
    if part["style"] is not None:
        return _adopted(_pictures(part["style"], page))
    if part["image"]:
        return part["before"] + _data_url(page.parent / part["image"])
    return part[0]


@lru_cache(maxsize=64)
def _script(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return f"{text}\n{(DATA / 'harness.js').read_text(encoding='utf-8')}" if file.name == "core.js" else text


@lru_cache(maxsize=64)
def _sheet(file: Path) -> str:
    return _pictures(file.read_text(encoding="utf-8"), file)


def _adopted(css: str) -> str:
    return (
        "<script>(sheet => { sheet.replaceSync("
        + json.dumps(css).replace("</", "<\\/")
        + "); document.adoptedStyleSheets.push(sheet); })(new CSSStyleSheet());</script>"
    )


def _pictures(css: str, file: Path) -> str:
    return _URL.sub(lambda url: f'url("{_data_url(file.parent / url[1])}")', css)


def _data_url(file: Path) -> str:
    """Return a file as an address that needs no request; a file the distribution lacks is an empty picture."""
    if not file.is_file():
        return "data:,"
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
