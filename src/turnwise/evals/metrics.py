"""What a run measured: the first numbers, and the document ``turnwise eval --json`` prints."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from turnwise.evals.intervals import Interval, mean, proportion, unit
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import EpisodeRow


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Estimate(_Document):
    """A mean with its 95 % interval; null where there are too few episodes to say."""

    mean: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, interval: Interval) -> "Estimate":
        """Wrap an interval."""
        return cls(mean=interval.mean, low=interval.low, high=interval.high)


class PanelDocument(_Document):
    """Which tasks were asked."""

    name: str | None
    split: str | None
    digest: str | None


class Tokens(_Document):
    """Tokens over all scored episodes."""

    prompt: int
    completion: int
    per_episode: float | None


class Amount(_Document):
    """A quantity over all scored episodes."""

    total: float | None
    per_episode: float | None


class Invalid(_Document):
    """Turns whose call was wrong."""

    turns: int
    rate: float | None
    """Of all turns."""


class Metrics(_Document):
    """The numbers of a set of episodes; failures leave every average and are counted apart."""

    n: int
    """Episodes, failed ones included."""
    scored: int
    success: Estimate
    score: Estimate
    reward: Estimate
    pass_at_k: dict[str, float]
    """Probability that at least one of k samples succeeds (Chen et al. 2021, unbiased), by k."""
    pass_hat_k: dict[str, float]
    """Probability that all of k samples succeed (Yao et al. 2024, unbiased), by k."""
    turns: Amount
    tokens: Tokens
    cost: Amount
    """US dollars; null where no price is known."""
    seconds: Amount
    """Sum of the episodes' own times, which overlap."""
    invalid: Invalid
    stop_reasons: dict[str, int]
    """Of the scored episodes; ``wall_limit`` depends on the machine."""
    failures: dict[str, int]
    """Failed episodes by kind."""


class EvalReport(Metrics):
    """The document of ``turnwise eval --json``."""

    schema_: int = Field(default=1, alias="schema")
    run: str
    env: str
    env_version: str
    config_digest: str
    panel: PanelDocument

    def document(self) -> dict[str, Any]:
        """Return the document, its fields in their documented order."""
        values = self.model_dump(by_alias=True)
        first = ("schema", "run", "env", "env_version", "config_digest", "panel")
        return {name: values[name] for name in (*first, *Metrics.model_fields)}


def measure(rows: Sequence[EpisodeRow]) -> Metrics:
    """Compute the metrics of episodes; all may have failed, or there may be none."""
    scored = [row for row in rows if row.scored]
    tasks = [row.task_key for row in scored]
    turns = sum(row.n_turns for row in scored)
    invalid = sum(row.n_invalid for row in scored)
    prompt, completion = sum(row.prompt_tokens for row in scored), sum(row.completion_tokens for row in scored)
    return Metrics(
        n=len(rows),
        scored=len(scored),
        success=Estimate.of(proportion([bool(row.success) for row in scored], tasks)),
        score=Estimate.of(unit(mean([row.score or 0.0 for row in scored], tasks))),
        reward=Estimate.of(mean([row.reward or 0.0 for row in scored], tasks)),
        pass_at_k=_over_k(scored, pass_at_k),
        pass_hat_k=_over_k(scored, pass_hat_k),
        turns=_amount([float(row.n_turns) for row in scored]),
        tokens=Tokens(prompt=prompt, completion=completion, per_episode=_ratio(prompt + completion, len(scored))),
        cost=_amount([row.cost for row in scored]),
        seconds=_amount([row.wall_s for row in scored]),
        invalid=Invalid(turns=invalid, rate=_ratio(invalid, turns)),
        stop_reasons=_counted(row.stop_reason for row in scored),
        failures=_counted(row.failure_kind or row.stop_reason for row in rows if not row.scored),
    )


def report(store: Store, run: str) -> EvalReport:
    """Measure a run of a store.

    Raises:
        StoreError: There is no such run.
    """
    return document_of(store.run(run), measure(store.rows(run)))


def document_of(run: RunRecord, metrics: Metrics) -> EvalReport:
    """Put a run's name and panel beside its metrics."""
    panel = run.panel
    return EvalReport(
        run=run.run,
        env=run.env,
        env_version=run.env_version,
        config_digest=run.config_digest,
        panel=PanelDocument(
            name=panel.name if panel else None,
            split=panel.split if panel else None,
            digest=panel.digest if panel else None,
        ),
        **metrics.model_dump(),
    )


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased probability that one of k samples succeeds, given c successes in n ≥ k samples."""
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return the unbiased probability that all of k samples succeed, given c successes in n ≥ k samples."""
    return math.comb(c, k) / math.comb(n, k)


def _over_k(rows: Sequence[EpisodeRow], estimator: Callable[[int, int, int], float]) -> dict[str, float]:
    """Average over the tasks that have at least k samples, for k a power of two and the largest number of samples."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        outcomes[row.task_key].append(bool(row.success))
    most = max(map(len, outcomes.values()), default=0)
    found: dict[str, float] = {}
    for k in sorted({*(1 << power for power in range(most.bit_length())), most} - {0}):
        values = [estimator(len(one), sum(one), k) for one in outcomes.values() if len(one) >= k]
        found[str(k)] = sum(values) / len(values)
    return found


def _amount(values: Sequence[float | None]) -> Amount:
    known = [value for value in values if value is not None]
    return Amount(total=sum(known) if known else None, per_episode=_ratio(sum(known), len(known)))


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom else None


def _counted(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
