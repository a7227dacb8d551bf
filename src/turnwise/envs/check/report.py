"""What the contract suite says."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["passed", "failed", "skipped"]


class CheckResult(BaseModel):
    """One check's word on an environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    asks: str
    """What the check asks, in a sentence."""
    outcome: Outcome
    why: str = ""
    """Why it failed or was skipped."""


class CheckReport(BaseModel):
    """The contract suite's word on an environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str
    version: str
    config_digest: str
    tasks: tuple[str, ...]
    """Ids of the tasks it was checked on."""
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing failed."""
        return not self.failed and any(result.outcome == "passed" for result in self.results)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.outcome == "failed")

    def __str__(self) -> str:
        lines = [f"{self.env}@{self.version}"]
        for result in self.results:
            why = f": {result.why}" if result.why else ""
            lines += [f"  {result.outcome:8}{result.name}{why}"]
        return "\n".join(lines)


class CheckFailed(Exception):  # noqa: N818 - becomes a result, not an error
    """The environment does not keep this part of the contract."""


class CheckSkipped(Exception):  # noqa: N818 - becomes a result, not an error
    """This part of the contract does not apply here."""
