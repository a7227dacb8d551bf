"""What the agent is shown of documents: pages, snippets, passages, and Search-R1's observation form."""

from collections.abc import Sequence

from turnwise.envs.search.documents import Document
from turnwise.envs.search.scoring import normalize

PAGE_CHARS = 1500
_SNIPPET = 220
_PASSAGES = 5
_AROUND = 120


def page_of(text: str, page: int, size: int = PAGE_CHARS) -> tuple[str, int]:
    """Return one page of a text and how many there are; pages end at white space where they can.

    Args:
        text: The whole text.
        page: 1 for the first.
        size: Most characters of a page.
    """
    bounds = _bounds(text, size)
    start, end = bounds[min(max(page, 1), len(bounds)) - 1]
    return text[start:end].strip(), len(bounds)


def page_with(text: str, wanted: str, size: int = PAGE_CHARS) -> int | None:
    """Return the first page that holds ``wanted`` whole, None where none does."""
    for number, (start, end) in enumerate(_bounds(text, size), start=1):
        if wanted in text[start:end]:
            return number
    return None


def _bounds(text: str, size: int) -> list[tuple[int, int]]:
    bounds, start = [], 0
    while len(text) - start > size:
        cut = max(text.rfind(" ", start, start + size), text.rfind("\n", start, start + size))
        end = cut if cut > start + size // 2 else start + size
        bounds.append((start, end))
        start = end
    return [*bounds, (start, len(text))]


def snippet(text: str, query: str) -> str:
    """Return the sentence of a text that shares most words with the query, cut to about 220 characters."""
    wanted = set(normalize(query[:400]).split())
    sentences = [part.strip() for part in text[:8000].replace("\n", " ").split(". ") if part.strip()][:60]
    best = max(sentences, key=lambda part: len(wanted & set(normalize(part).split())), default="")
    return best if len(best) <= _SNIPPET else best[:_SNIPPET].rsplit(" ", 1)[0] + " …"


def results(documents: Sequence[Document], query: str) -> str:
    """List search results for an agent with tools: id, title, snippet."""
    if not documents:
        return "No document matches. Try other words."
    rows = [f"[{n}] {doc.id} | {doc.title}\n    {snippet(doc.text, query)}" for n, doc in enumerate(documents, start=1)]
    return "\n".join(rows)


def passages(text: str, wanted: str, size: int = PAGE_CHARS) -> str:
    """List where a text holds ``wanted``, upper and lower case alike, with the page of each."""
    folded, needle = text.lower(), wanted.lower().strip()
    if not needle or len(folded) != len(text):
        folded, needle = text, wanted.strip()
    lines: list[str] = []
    place = folded.find(needle) if needle else -1
    while place >= 0 and len(lines) < _PASSAGES:
        page = next(n for n, (_, end) in enumerate(_bounds(text, size), start=1) if place < end or end == len(text))
        around = text[max(0, place - _AROUND) : place + len(needle) + _AROUND].replace("\n", " ")
        lines.append(f"page {page}: … {around} …")
        place = folded.find(needle, place + len(needle))
    return "\n".join(lines)


def information(documents: Sequence[Document], limit: int, *, ids: bool) -> str:
    """Write results between information tags, as Search-R1 does.

    Args:
        documents: The results, best first.
        limit: Most characters inside the tags; the rest is cut.
        ids: Whether each result shows its id, so that it can be cited; Search-R1 shows none.
    """
    rows = []
    for number, doc in enumerate(documents, start=1):
        mark = f" [{doc.id}]" if ids else ""
        rows.append(f'Doc {number}{mark}(Title: "{doc.title}") {doc.text}\n')
    return f"\n\n<information>{''.join(rows).strip()[:limit]}</information>\n\n"
