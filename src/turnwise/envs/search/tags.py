"""The tag interface: what an agent that writes ``<search>`` and ``<answer>`` meant.

The rules are Search-R1's: the first whole ``<search>`` or ``<answer>`` pair of a message counts and the rest of the
message is dropped. Scanning is linear in the text, whatever the text.
"""

from dataclasses import dataclass

_ACTIONS = ("search", "answer")
_YES = frozenset({"yes", "good", "useful", "true"})
_NO = frozenset({"no", "bad", "useless", "false"})
_WITHIN = 20_000


@dataclass(frozen=True, slots=True)
class Message:
    """What one message asks for."""

    verb: str | None = None
    """``search``, ``answer``, or None where neither pair is whole."""
    content: str = ""
    judged: bool | None = None
    """Yes or no to the last results; None: no judgement, or none that can be read."""
    misjudged: bool = False
    """A judge tag that says neither yes nor no."""
    evidence: tuple[str, ...] = ()
    """Ids cited in ``<evidence>``."""


@dataclass(frozen=True, slots=True)
class Block:
    """One whole tag pair: where it starts and ends, and where its inside does."""

    tag: str
    start: int
    end: int
    inside: str


def blocks(text: str, tags: tuple[str, ...]) -> list[Block]:
    """Return the whole pairs of the given tags in order; a pair inside another one is not counted."""
    found: list[Block] = []
    place = 0
    last = {tag: text.rfind(f"</{tag}>") for tag in tags}
    nexts = {tag: text.find(f"<{tag}>") for tag in tags}
    while True:
        for tag in tags:
            if 0 <= nexts[tag] < place:
                nexts[tag] = text.find(f"<{tag}>", place)
        live = [(at, tag) for tag, at in nexts.items() if 0 <= at < last[tag]]
        if not live:
            return found
        at, tag = min(live)
        inner = at + len(tag) + 2
        close = text.find(f"</{tag}>", inner)
        end = close + len(tag) + 3
        found.append(Block(tag, at, end, text[inner:close]))
        place = end


def read(text: str, *, judge: bool) -> Message:
    """Read a message.

    Args:
        text: What the agent wrote.
        judge: Whether ``<judge>`` counts.
    """
    action = next(iter(blocks(text, _ACTIONS)), None)
    head = text[: action.start] if action else text
    judged, misjudged = _judgement(head) if judge else (None, False)
    if action is None:
        return Message(judged=judged, misjudged=misjudged)
    cited = next((block.inside for block in reversed(blocks(head, ("evidence",)))), "")
    evidence = tuple(part for part in cited[:_WITHIN].replace(",", " ").split() if part)
    return Message(action.tag, action.inside.strip(), judged, misjudged, evidence)


def _judgement(head: str) -> tuple[bool | None, bool]:
    block = next(iter(blocks(head, ("judge",))), None)
    if block is None:
        return None, False
    word = block.inside.strip().lower()
    return (True if word in _YES else False if word in _NO else None), word not in _YES | _NO


def self_written(text: str) -> tuple[tuple[int, int], ...]:
    """Return the character ranges that a policy wrote in the search engine's place: each whole information block."""
    return tuple((block.start, block.end) for block in blocks(text, ("information",)))


def without(text: str, ranges: tuple[tuple[int, int], ...]) -> str:
    """Return the text with the given ranges cut out."""
    kept, place = [], 0
    for start, end in ranges:
        kept.append(text[place:start])
        place = end
    return "".join([*kept, text[place:]])
