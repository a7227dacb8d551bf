"""Which of two runs is better, how surely, and what else differs between them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, computed_field

from turnwise.errors import ConfigError
from turnwise.evals.data import RunData
from turnwise.evals.efficiency import Efficiency, efficiency
from turnwise.evals.metrics import Estimate
from turnwise.evals.rundiff import run_diff
from turnwise.evals.statistics import Paired, caveats, paired
from turnwise.evals.support import Support, support
from turnwise.trajectories.tables import EpisodeRow


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Side(_Document):
    """One of the two runs."""

    run: str
    agent: str
    model: str | None
    episodes: int
    scored: int
    failed: int
    efficiency: Efficiency
    answer_entropy: float | None = None
    """Nats; null with fewer than two samples a task, or where answers were not read."""


class Quantity(_Document):
    """B minus A in one quantity, task by task."""

    name: str
    a: float | None
    b: float | None
    difference: Estimate
    bootstrap: Estimate
    p_value: float | None
    test: str
    better: int
    worse: int
    detectable: float | None
    needed_tasks: int | None

    @classmethod
    def of(cls, name: str, found: Paired) -> "Quantity":
        """Wrap a paired comparison."""
        return cls(
            name=name,
            a=found.mean_a if found.tasks else None,
            b=found.mean_b if found.tasks else None,
            difference=Estimate.of(found.difference),
            bootstrap=Estimate.of(found.bootstrap),
            p_value=found.p_value,
            test=found.test,
            better=found.better,
            worse=found.worse,
            detectable=found.detectable,
            needed_tasks=found.needed,
        )


class SupportDocument(_Document):
    """Tasks solved by at least one sample, before (A) and after (B)."""

    kept: int
    lost: int
    gained: int
    unsolved: int
    samples: int
    retention: float | None
    discovery: float | None
    net_change: float | None

    @classmethod
    def of(cls, found: Support) -> "SupportDocument":
        """Wrap a support comparison."""
        shares = {"retention": found.retention, "discovery": found.discovery, "net_change": found.net_change}
        return cls(**dataclasses.asdict(found), **shares)


class Comparison(_Document):
    """The document of ``turnwise compare --json``."""

    schema_: int = Field(default=1, alias="schema")
    env: str
    panel_digest: str
    tasks: int
    """Tasks both runs have a scored episode of."""
    unpaired: int
    """Tasks only one of them has."""
    a: Side
    b: Side
    quantities: list[Quantity]
    support: SupportDocument
    differences: list[str]
    """What else differs between the runs."""
    caveats: list[str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """One sentence for people."""
        success = self.quantities[0]
        low, high = success.difference.low, success.difference.high
        if self.tasks == 0:
            return "The runs have no scored task in common: nothing can be said."
        if success.difference.mean == 0 and success.better == success.worse == 0:
            return "Both runs succeed on exactly the same tasks."
        if success.p_value is not None and success.p_value < 0.05 and low is not None and high is not None:
            gap = success.difference.mean or 0.0
            winner = self.b.run if gap > 0 else self.a.run
            return f"{winner} is better: success differs by {abs(gap):.1%} (p = {success.p_value:.2g})."
        wanted = ""
        if success.needed_tasks:
            wanted = f" About {success.needed_tasks:,} tasks would show a difference this large."
        return f"No difference in success is shown on {self.tasks} tasks.{wanted}"

    def document(self) -> dict[str, Any]:
        """Return the document."""
        return self.model_dump(by_alias=True, mode="json")


QUANTITIES: tuple[tuple[str, Callable[[EpisodeRow], float]], ...] = (
    ("success", lambda row: float(bool(row.success))),
    ("score", lambda row: row.score or 0.0),
    ("reward", lambda row: row.reward or 0.0),
    ("turns", lambda row: float(row.n_turns)),
    ("tokens", lambda row: float(row.prompt_tokens + row.completion_tokens)),
)


def compare(a: RunData, b: RunData, *, entropies: tuple[float | None, float | None] = (None, None)) -> Comparison:
    """Compare two runs on one panel, task by task.

    Args:
        a: The first run: the baseline, or the policy before training.
        b: The second.
        entropies: Of their answers, where read.

    Raises:
        ConfigError: They were run on different panels; both digests are named. Or on different environments.
    """
    refuse_different(a, b)
    quantities = [_quantity(name, value, a, b) for name, value in QUANTITIES]
    tasks_a, tasks_b = set(a.outcomes()), set(b.outcomes())
    shared = tasks_a & tasks_b
    success = quantities[0]
    said = caveats(len(shared), max(a.samples, b.samples), success.a if success.a == success.b else None)
    return Comparison(
        env=a.record.env,
        panel_digest=a.panel_digest,
        tasks=len(shared),
        unpaired=len(tasks_a ^ tasks_b),
        a=_side(a, entropies[0]),
        b=_side(b, entropies[1]),
        quantities=quantities,
        support=SupportDocument.of(support(a.outcomes(), b.outcomes())),
        differences=_differences(a, b),
        caveats=said + _lost(a, b),
    )


def refuse_different(a: RunData, b: RunData) -> None:
    """Refuse runs that were not asked the same.

    Raises:
        ConfigError: With both digests, and every other difference.
    """
    if a.panel_digest == b.panel_digest:
        return
    others = "; ".join(_differences(a, b))
    raise ConfigError(
        f"cannot compare {a.name!r} and {b.name!r}: their panels differ: {_panel(a)} has digest {a.panel_digest[:16]}, "
        f"{_panel(b)} has {b.panel_digest[:16]}. Run both on one panel"
        + (f". Also different: {others}" if others else "")
    )


def _differences(a: RunData, b: RunData) -> list[str]:
    """Name what was measured otherwise, panels apart."""
    found = [one for one in run_diff(a.record, b.record).differences if one.kind == "measurement"]
    return [
        f"{one.field}: {one.a!r} in {a.name}, {one.b!r} in {b.name}"
        for one in found
        if not one.field.startswith("panel")
    ]


def _panel(run: RunData) -> str:
    panel = run.record.panel
    return f"{panel.name}@{panel.version}" + (f" ({panel.split})" if panel.split else "") if panel else "no named panel"


def _quantity(name: str, value: Callable[[EpisodeRow], float], a: RunData, b: RunData) -> Quantity:
    one_each = all(len(seen) == 1 for run in (a, b) for seen in run.outcomes().values())
    return Quantity.of(name, paired(a.by_task(value), b.by_task(value), binary=name == "success" and one_each))


def _side(run: RunData, entropy: float | None) -> Side:
    record = run.record
    scored = len(run.scored)
    return Side(
        run=run.name,
        agent=record.agent,
        model=record.model,
        episodes=len(run.rows),
        scored=scored,
        failed=len(run.rows) - scored,
        efficiency=efficiency(run),
        answer_entropy=entropy,
    )


def _lost(a: RunData, b: RunData) -> list[str]:
    return [
        f"{run.name}: {len(run.rows) - len(run.scored)} of {len(run.rows)} episodes failed and are left out; "
        "if failing depends on the task, the comparison is biased"
        for run in (a, b)
        if len(run.rows) > len(run.scored)
    ]
