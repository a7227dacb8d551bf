"""Reward parts of a turn and of an episode, after CRAFT-GUI (arXiv 2508.11360).

The paper rewards a step by rules (action type, click inside the target's box, text) and by a model's judgement. It
compares with recorded demonstrations; here the reference is the gold action from the very state the agent is in, which
exists for every task with a scripted solution. The weights are ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from turnwise.envs.gui.sites import GoldStep

STEP_PARTS = ("action_type", "target", "text")
"""Parts of a turn; they ask for a gold step before each turn, so only where one of them has a weight."""
PRESETS: dict[str, dict[str, float]] = {
    "default": {"outcome": 1.0},
    "success": {"success": 1.0},
    "raw": {"raw": 1.0},
    "craft": {"outcome": 1.0, "action_type": 0.02, "target": 0.03, "text": 0.03, "completion": 0.2},
    "craft-judged": {
        "outcome": 1.0,
        "action_type": 0.02,
        "target": 0.03,
        "text": 0.03,
        "completion": 0.2,
        "judge": 0.2,
    },
}
"""``raw`` is MiniWoB++'s own reward, from -1 to 1. ``completion`` is 1 where the pages themselves ended the episode, or
the agent said that it was done. ``judge`` is left open for a judge that is asked after the episode."""
ALIKE = ({"click", "click_at"}, {"hover", "hover_at"}, {"drag", "drag_at"}, {"scroll", "scroll_at"})
"""Tools that are one type of action, by id and by coordinates."""
_TEXTS = {"fill": "text", "type_text": "text", "answer": "text", "press": "keys"}


@dataclass(frozen=True, kw_only=True)
class Done:
    """What the agent did in one call, as far as it is compared."""

    tool: str
    target: int | None
    """``backendNodeId`` of the element that was acted on."""
    text: str | None


def text_of(tool: str, arguments: Mapping[str, object]) -> str | None:
    """Return the text a call writes, None where it writes none."""
    value = arguments.get(_TEXTS.get(tool, ""))
    if tool == "select":
        value = arguments.get("options")
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else None if value is None else str(value)
    return value if isinstance(value, str) else None


def step_parts(done: Done, gold: GoldStep, ancestors: Iterable[int]) -> dict[str, float]:
    """Compare a call with the gold step from the same state.

    Args:
        done: What the agent did.
        gold: What a right solution does next.
        ancestors: The target's enclosing elements: a click on a button's label hits the button.

    Returns:
        ``action_type``, and ``target`` and ``text`` where the gold step has them; each in [0, 1].
    """
    alike = done.tool == gold.tool or any({done.tool, gold.tool} <= kind for kind in ALIKE)
    parts = {"action_type": float(alike)}
    if gold.node is not None:
        parts["target"] = float(alike and gold.node in (done.target, *ancestors))
    wanted = text_of(gold.tool, gold.args)
    if wanted is not None:
        similar = Levenshtein.normalized_similarity(wanted, done.text) if alike and done.text is not None else 0.0
        parts["text"] = float(similar)
    return parts
