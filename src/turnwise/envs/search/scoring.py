"""How answers are compared: the normalisation, exact match and F1 that the field uses, and abstention.

Exact match agrees with Search-R1's rule except for its trap: that scorer wants two answer tags because its prompt
holds one as an example; here only what the agent wrote is looked at.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
ABSTENTIONS = frozenset(
    {
        "unanswerable",
        "not answerable",
        "cannot be answered",
        "cannot be determined",
        "question is unanswerable",
        "question cannot be answered",
        "there is no answer",
        "no answer",
        "not stated",
        "unknown",
        "insufficient information",
        "not enough information",
        "i do not know",
        "i dont know",
    }
)
"""Normalised answers that abstain."""


def normalize(text: str) -> str:
    """Lower-case, drop ASCII punctuation and the articles a, an, the, and join by single spaces (SQuAD)."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, golds: Sequence[str]) -> bool:
    """Tell whether an answer equals any gold after normalisation."""
    wanted = normalize(answer)
    return any(normalize(gold) == wanted for gold in golds)


def sub_match(answer: str, golds: Sequence[str]) -> bool:
    """Tell whether any gold occurs in the answer after normalisation; an empty gold never does."""
    text = normalize(answer)
    return any(bool(gold) and gold in text for gold in map(normalize, golds))


def token_f1(answer: str, golds: Sequence[str]) -> float:
    """Return the best token F1 against any gold, tokens counted with multiplicity (SQuAD)."""
    return max((_f1(normalize(answer).split(), normalize(gold).split()) for gold in golds), default=0.0)


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    shared = sum((Counter(answer) & Counter(gold)).values())
    return 2 * shared / (len(answer) + len(gold))


def abstains(answer: str) -> bool:
    """Tell whether an answer says that there is none."""
    return normalize(answer) in ABSTENTIONS


def last_answer(response: str) -> str | None:
    """Return the text of the last ``<answer>…</answer>`` that the agent wrote; None where there is none."""
    answer, end = None, 0
    while (start := response.find("<answer>", end)) >= 0:
        stop = response.find("</answer>", start)
        if stop < 0:
            break
        answer, end = response[start + len("<answer>") : stop].strip(), stop
    return answer


def search_r1_score(response: str, golds: Sequence[str], format_score: float = 0.0) -> float:
    """Score a whole response by Search-R1's rule: the last answer counts, one normalised exact match is enough.

    Args:
        response: What the agent wrote, without the prompt.
        golds: The accepted answers.
        format_score: What a wrong answer inside tags earns.
    """
    answer = last_answer(response)
    if answer is None:
        return 0.0
    return 1.0 if exact_match(answer, golds) else format_score
