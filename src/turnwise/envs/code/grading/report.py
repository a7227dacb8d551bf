"""What grading a submission found."""

from dataclasses import dataclass, field

MILESTONES = ("compiles", "loads", "defined", "answers", "answers_all")


@dataclass(frozen=True)
class Verdict:
    """One test."""

    score: float
    """1 passed, 0 failed, between where a scorer values the result."""
    why: str = ""
    timed_out: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing is missing."""
        return self.score >= 1 - 1e-9


@dataclass
class Report:
    """All tests of one submission, and how far it came."""

    verdicts: list[Verdict] = field(default_factory=list)
    milestones: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(MILESTONES, False))
    scored: bool = False
    """Whether the tests give numbers rather than pass or fail."""
    exec_s: float = 0.0
    """Seconds the solution ran."""

    @property
    def all_passed(self) -> bool:
        """Whether there are tests and every one passed."""
        return bool(self.verdicts) and all(verdict.passed for verdict in self.verdicts)

    @property
    def fraction(self) -> float:
        """Mean over the tests."""
        return sum(verdict.score for verdict in self.verdicts) / len(self.verdicts) if self.verdicts else 0.0

    @property
    def in_time(self) -> float:
        """Share of the tests that ended within their time, where any was answered."""
        if not self.milestones["answers"]:
            return 0.0
        return sum(not verdict.timed_out for verdict in self.verdicts) / len(self.verdicts)

    @property
    def score(self) -> float:
        """The fraction where tests give numbers; else all or nothing."""
        return self.fraction if self.scored else float(self.all_passed)

    def note(self, replies: list[bool]) -> None:
        """Record the milestones that tests show: whether any, and whether all, were answered."""
        self.milestones["answers"] = any(replies)
        self.milestones["answers_all"] = bool(replies) and all(replies)
