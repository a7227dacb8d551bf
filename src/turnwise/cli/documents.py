"""The shapes of the ``--json`` documents that no room owns."""

from pydantic import BaseModel, ConfigDict, Field

from turnwise.evals.metrics import Estimate, EvalReport
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.tables import EpisodeRow


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")


class RunSummary(BaseModel):
    """A run in a list."""

    run: str
    kind: str
    env: str
    agent: str
    model: str | None
    created_at: float | None
    episodes: int | None
    """How many the run is to hold when complete."""
    n: int
    scored: int
    success: Estimate
    reward: Estimate
    failures: dict[str, int]


class Runs(_Document):
    """The document of ``turnwise runs --json``."""

    runs: list[RunSummary]


class Show(_Document):
    """The document of ``turnwise show RUN --json``; of one episode it is the trajectory itself."""

    run: RunRecord
    episodes: list[EpisodeRow]


class Evals(_Document):
    """The document of ``turnwise eval --json`` with several models."""

    evals: list[EvalReport]


class Rescored(_Document):
    """The document of ``turnwise rescore --json``."""

    run: str
    source: str
    reward: str
    eval: EvalReport
    """The new run's numbers."""
