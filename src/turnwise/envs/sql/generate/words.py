"""From identifiers to words: ``InvoiceLine`` is "invoice line", several are "invoice lines"."""

import re

_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_PLURAL = {"person": "people", "child": "children", "media": "media", "series": "series", "species": "species"}
_SINGULAR = {plural: singular for singular, plural in _PLURAL.items()}


def words(identifier: str) -> str:
    """Return an identifier as lower-case words."""
    return " ".join(part.lower() for part in _PART.findall(identifier)) or identifier


def singular(identifier: str) -> str:
    """Return a table's name as the word for one of its rows."""
    text = words(identifier)
    head, _, last = text.rpartition(" ")
    return f"{head} {_one(last)}".strip()


def plural(identifier: str) -> str:
    """Return a table's name as the word for its rows."""
    head, _, last = singular(identifier).rpartition(" ")
    return f"{head} {_many(last)}".strip()


def without_key(identifier: str) -> str:
    """Return a referring column's name without its ``id``: ``SupportRepId`` is "support rep"."""
    text = re.sub(r"\s*\b(id|key|code|no|num|number)$", "", words(identifier)).strip()
    return text or words(identifier)


def article(noun: str) -> str:
    """Return the noun with "a" or "an"."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _one(word: str) -> str:
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(s|x|z|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _many(word: str) -> str:
    if word in _PLURAL:
        return _PLURAL[word]
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")
