"""Reward parts of a submission, and the rule that keeps a right answer above every wrong one.

Two families, by preset: ``reasoning_sql`` after Reasoning-SQL (arXiv 2503.23157: execution, syntax, schema linking,
n-grams, format, judge; the abstract names them, the functions are our reading, and the weights are ours), and
``think2sql`` after Think2SQL (arXiv 2504.15077: cell precision, cell recall, tuple cardinality), which needs execution
only and is harder to game.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from turnwise.errors import ConfigError

PARTS = ("syntax", "linking", "ngrams", "format", "judge", "cell_precision", "cell_recall", "cardinality")
PRESETS: dict[str, dict[str, float]] = {
    "default": {"outcome": 1.0},
    "reasoning_sql": {"outcome": 3.0, "syntax": 0.5, "linking": 0.75, "ngrams": 0.5, "format": 0.25},
    "think2sql": {"outcome": 2.0, "cell_precision": 0.5, "cell_recall": 0.5, "cardinality": 0.5},
}
_BARE = re.compile(r"\s*(?:select|with|values)\b[^`]*\Z", re.IGNORECASE | re.DOTALL)


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights under which some wrong answer could earn as much as some right one.

    Every part lies in [0, 1], so it is enough that none counts against and the outcome outweighs them all together.

    Raises:
        ConfigError: Naming the weight that must change.
    """
    for name, weight in weights.items():
        if name != "outcome" and name not in PARTS:
            raise ConfigError(f"sql has no reward part {name!r}; it has outcome, {', '.join(PARTS)}")
        if not math.isfinite(weight) or weight < 0:
            raise ConfigError(f"weight {name}={weight!r}: it must be a number of at least 0")
    others = sum(weight for name, weight in weights.items() if name != "outcome")
    if weights.get("outcome", 0.0) <= others:
        raise ConfigError(
            f"weight outcome={weights.get('outcome', 0.0):g} must be above the sum of all others ({others:g}): "
            "a right answer must earn more than any wrong one"
        )


def well_formed(sql: str) -> float:
    """Return 1 for one bare statement, as asked for; 0 with fences or prose around it."""
    return float(_BARE.match(sql) is not None)


def parts(sql: str, verdict: dict[str, Any], resemblance: dict[str, Any]) -> dict[str, float | None]:
    """Return the value of every part but the outcome and the judge's."""
    partial = verdict["partial"]
    return {
        "syntax": float(partial["runs"]),
        "format": well_formed(sql),
        "linking": resemblance["linking"],
        "ngrams": resemblance["ngrams"],
        "cell_precision": partial["precision"],
        "cell_recall": partial["recall"],
        "cardinality": partial["cardinality"],
    }
