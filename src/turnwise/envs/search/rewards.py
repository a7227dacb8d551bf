"""Reward rules of the search methods, each a pure function of what the agent did.

Text that a tool returned never earns anything: answers, citations and judgements are read from the agent's own words
only.
"""

from collections.abc import Collection, Sequence

from turnwise.envs.search.tags import blocks

PRESETS: dict[str, dict[str, float]] = {
    "default": {"outcome": 1.0},
    "search-r1": {"em": 1.0},
    "f1": {"f1": 1.0},
    "arena": {"format": 1.0, "em": 1.0, "relevance": 1.0, "bonus": 1.0},
    "reseek": {"em": 1.0, "judge": 1.0},
    "ssrl": {"em": 0.9, "ssrl_format": 0.1},
    "evidence": {"outcome": 1.0, "evidence_recall": 0.3, "retrieval_hit": 0.1},
    "abstention": {"outcome": 1.0, "abstention": 0.5},
}
"""Weights of the reward parts by preset; a part that a preset does not name is recorded only."""

ARENA_BONUS = 10.0
JUDGE_MATCH, JUDGE_FALSE_YES, JUDGE_FALSE_NO = 0.3, -0.6, -0.3


def relevance(cited: Collection[str], gold: Collection[str]) -> float:
    """Return ARENA's relevance: 1 where exactly the gold evidence is cited, 0.5 where they share any, else 0.

    Our reading of arXiv 2505.13258. Without gold evidence, citing nothing is right.
    """
    given, wanted = set(cited), set(gold)
    if given == wanted:
        return 1.0
    return 0.5 if given & wanted else 0.0


def bonus(form: float, accuracy: float, evidence: float) -> float:
    """Return ARENA's bonus: 10 where format, answer and evidence are all fully right, else 0."""
    return ARENA_BONUS if min(form, accuracy, evidence) >= 1.0 else 0.0


def recall(seen: Collection[str], gold: Collection[str]) -> float | None:
    """Return which part of the gold evidence was seen; None where there is none."""
    wanted = set(gold)
    return len(wanted & set(seen)) / len(wanted) if wanted else None


def judge_reward(judged: bool, ideal: bool) -> float:
    """Return ReSeek's reward for judging the last results (arXiv 2510.00568): +0.3, −0.6 or −0.3."""
    if judged == ideal:
        return JUDGE_MATCH
    return JUDGE_FALSE_YES if judged else JUDGE_FALSE_NO


def abstention(*, abstained: bool, unanswerable: bool) -> float:
    """Return 1 for rightly abstaining, −1 for abstaining from a question that has an answer, else 0."""
    if not abstained:
        return 0.0
    return 1.0 if unanswerable else -1.0


_SSRL_TAGS = ("think", "search", "information", "answer")
_PLACEHOLDERS = frozenset({"query", "answer", "information", "...", "…"})


def ssrl_format(response: str) -> float:
    """Return SSRL's format score of a whole response, in [0, 1].

    Only think, search, information and answer blocks, think first and answer last, none empty, each search on one
    line and answered at once by information; at most 8 thinks; then more for a think before each search.
    """
    found = blocks(response, _SSRL_TAGS)
    tags = [block.tag for block in found]
    if not _well_formed(response, tags) or any(_bad_inside(block.tag, block.inside) for block in found):
        return 0.0
    thinks, searches = tags.count("think"), tags.count("search")
    if thinks > 8:
        return 0.0
    return min(1.0, thinks / 2) * min(thinks, searches + 1) / max(thinks, searches + 1)


def _well_formed(response: str, tags: Sequence[str]) -> bool:
    whole = all(response.count(f"<{tag}>") == response.count(f"</{tag}>") == tags.count(tag) for tag in _SSRL_TAGS)
    if not whole or len(tags) < 4 or tags[0] != "think" or tags[-1] != "answer" or tags.count("answer") != 1:
        return False
    paired = all(tags[n + 1] == "information" for n, tag in enumerate(tags) if tag == "search")
    return paired and tags.count("search") == tags.count("information") and _nothing_outside(response)


def _nothing_outside(response: str) -> bool:
    place, outside = 0, ""
    for block in blocks(response, _SSRL_TAGS):
        outside += response[place : block.start]
        place = block.end
    return not (outside + response[place:]).strip()


def _bad_inside(tag: str, inside: str) -> bool:
    text = inside.strip()
    return not text or text.lower() in _PLACEHOLDERS or (tag == "search" and "\n" in text)
