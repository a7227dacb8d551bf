"""Foreign text made harmless for a page; escaping comes on top, from the template and from Markup."""

import re

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
LONGEST = 1500
"""Characters of one text."""


def seen(text: object, limit: int = LONGEST) -> str:
    """Make every character visible (control and direction marks are hostile too) and cut long text."""
    plain = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(text))
    if len(plain) <= limit:
        return plain
    return f"{plain[:limit]}…" if limit < 200 else f"{plain[:limit]}… ({len(plain) - limit:,} more characters)"
