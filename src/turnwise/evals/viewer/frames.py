"""HTML that an agent was shown, as a page for a sandboxed frame: it runs nothing, asks for nothing, leads nowhere."""

import hashlib
import re
from typing import Any

from turnwise.envs.types import TextPart

ELEMENT = re.compile(
    r"<(?:!doctype\s+html|html|body|main|section|div|table|form|h[1-6]|p|ul|ol|nav|button|input|svg)\b[^<>]*>", re.I
)
REACHING = re.compile(r"<(?=(?:link|meta|base|i?frame|frameset|fencedframe|object|embed|portal)\b)", re.I)
"""Elements that reach outside in ways a policy does not govern: hints to connect, refreshes, and inner frames, to whose
host Chromium connects before it asks the policy."""

LEADING = re.compile(r"\b(?=(?:href|action|formaction|ping)\s*=)", re.I)
"""Attributes that lead away by a click, to whose host Chromium connects before it asks the policy, too."""

HEAD = '<!doctype html><meta charset="utf-8"><style>a { color: #0b5fb0; text-decoration: underline }</style>'

HEADERS = {
    "content-security-policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'"
    ),
    "x-dns-prefetch-control": "off",
}


def key(part: Any) -> str | None:
    """Name a part that can be shown as a page; None for one that cannot."""
    if not isinstance(part, TextPart) or not ELEMENT.search(part.text):
        return None
    return hashlib.sha256(part.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def tamed(text: str) -> str:
    """Return the HTML without what no policy holds back, elements and addresses of links; its own styles stay."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return HEAD + LEADING.sub("x-", REACHING.sub("<x-", clean))
