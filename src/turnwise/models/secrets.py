"""Keeping keys out of everything that is written down."""

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit, urlunsplit

MASK = "[secret]"


class Redactor:
    """Replaces known secrets in text from outside: a server may repeat the key it was sent."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        kept = sorted({secret for secret in secrets if secret and len(secret) >= 4}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, kept))) if kept else None

    def __call__(self, text: str, limit: int = 300) -> str:
        """Return the text on one line, without secrets, cut to ``limit`` characters."""
        clean = self._pattern.sub(MASK, text) if self._pattern else text
        clean = re.sub(r"\b(sk-|Bearer\s+|Basic\s+)[\w\-.*+/=]{6,}", rf"\1{MASK}", clean)
        line = " ".join(clean.split())
        return line if len(line) <= limit else line[: limit - 1] + "…"

    def __repr__(self) -> str:
        return "Redactor()"


def split_userinfo(url: str) -> tuple[str, str | None]:
    """Take ``user:password@`` out of a URL; return the bare URL and ``user:password`` or None."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    userinfo, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), unquote(userinfo)
