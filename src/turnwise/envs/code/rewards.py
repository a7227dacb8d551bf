"""Reward parts of a submission.

``milestones`` follows "Reinforcement Learning for Machine Learning Engineering Agents" (arXiv 2509.01684): partial
credit for how far a program came. There a frozen model inserts prints and a pattern finds them; here the harness asks
for each step itself and sees whether it was answered, so that nothing a program prints counts. The steps and, in the
preset ``mle``, the additive reading of its -10 and +0.1 are our reading.
"""

from turnwise.envs.code.grading.report import Report

PRESETS: dict[str, dict[str, float]] = {
    "default": {"outcome": 1.0},
    "fraction": {"outcome": 0.5, "tests": 0.5},
    "milestones": {"outcome": 1.0, "milestones": 0.1},
    "mle": {"outcome": 1.0, "no_result": -10.0, "partial": 0.1},
}
"""``no_result`` is 1 where nothing could be tested; ``partial`` counts the milestones reached then."""


def parts(report: Report | None) -> dict[str, float]:
    """Return every part by name; None: nothing was handed in."""
    if report is None:
        return dict.fromkeys(("tests", "all_passed", "syntax", "time", "milestones", "partial"), 0.0) | {
            "no_result": 1.0
        }
    reached = report.milestones
    answered = reached["answers"]
    return {
        "tests": report.fraction,
        "all_passed": float(report.all_passed),
        "syntax": float(reached["compiles"]),
        "time": report.in_time,
        "milestones": sum(reached.values()) / len(reached),
        "no_result": float(not answered),
        "partial": 0.0 if answered else float(sum(reached.values())),
    }
