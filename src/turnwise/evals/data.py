"""What the evaluations read of a run: its record, its episodes' rows, and a few fields out of the records by SQL."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnwise.errors import ConfigError, StoreError
from turnwise.tasks.canonical import digest
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import EpisodeRow


@dataclass(frozen=True)
class RunData:
    """One run as it is measured: the last attempt of every episode."""

    record: RunRecord
    rows: Sequence[EpisodeRow]

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.run

    @property
    def scored(self) -> list[EpisodeRow]:
        """The episodes that count."""
        return [row for row in self.rows if row.scored]

    @property
    def panel_digest(self) -> str:
        """The panel's digest; for a run without one, that of its tasks' keys."""
        panel = self.record.panel
        return panel.digest if panel else digest(sorted({row.task_key for row in self.rows}))

    @property
    def samples(self) -> float:
        """Scored episodes a task."""
        tasks = {row.task_key for row in self.scored}
        return len(self.scored) / len(tasks) if tasks else 0.0

    def by_task(self, value: Callable[[EpisodeRow], float]) -> dict[str, float]:
        """Return each task's mean over its scored episodes."""
        found: dict[str, list[float]] = defaultdict(list)
        for row in self.scored:
            found[row.task_key].append(value(row))
        return {key: sum(values) / len(values) for key, values in sorted(found.items())}

    def outcomes(self) -> dict[str, list[bool]]:
        """Return the successes of each task's scored episodes."""
        found: dict[str, list[bool]] = defaultdict(list)
        for row in self.scored:
            found[row.task_key].append(bool(row.success))
        return dict(sorted(found.items()))


def load(store: Store, run: str) -> RunData:
    """Read a run.

    Raises:
        StoreError: There is no such run.
    """
    return RunData(store.run(run), store.rows(run))


def locate(names: Iterable[str], default: Path) -> list[tuple[Path, str]]:
    """Read ``RUN`` or ``STORE:RUN`` as store file and run name.

    Raises:
        ConfigError: A name is empty.
    """
    return [_located(name, default) for name in names]


def _located(name: str, default: Path) -> tuple[Path, str]:
    # A run's name may hold a colon itself: only what is a file counts as a store.
    cuts = [at for at, character in enumerate(name) if character == ":" and Path(name[:at]).is_file()]
    path, run = (Path(name[: cuts[0]]), name[cuts[0] + 1 :]) if cuts else (default, name)
    if not run:
        raise ConfigError(f"{name!r}: write RUN, or STORE:RUN")
    return path, run


def load_all(names: Iterable[str], default: Path) -> list[RunData]:
    """Read several runs, from one store or more.

    Raises:
        StoreError: A store or run is not there.
    """
    runs = []
    for path, run in locate(names, default):
        with Store.open(path, "r") as store:
            runs.append(load(store, run))
    if not runs:
        raise StoreError("no run is named")
    return runs


def reward_parts(store: Store, run: str) -> dict[str, list[tuple[bool, float]]]:
    """Return by reward part, for each scored episode that has it, its success and the part's unweighted sum."""
    sql = (
        "SELECT part.key AS name, part.value AS value, success FROM episodes, "
        "json_each(episodes.record, '$.components') AS part "
        "WHERE run = ? AND latest = 1 AND scored = 1 AND part.value IS NOT NULL"
    )
    found: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for row in store.query(sql, run):
        found[row["name"]].append((bool(row["success"]), float(row["value"])))
    return dict(sorted(found.items()))


def answers(store: Store, run: str) -> dict[str, list[str]]:
    """Return by task what each scored episode did last: the key of its last action, which is its answer."""
    sql = (
        "SELECT task_key, json_extract(turns.record, '$.action_key') AS answer FROM episodes JOIN turns "
        "ON turns.episode = episodes.id AND turns.idx = episodes.n_turns - 1 "
        "WHERE run = ? AND latest = 1 AND scored = 1 ORDER BY episode_id"
    )
    found: dict[str, list[str]] = defaultdict(list)
    for row in store.query(sql, run):
        found[row["task_key"]].append(str(row["answer"]))
    return dict(sorted(found.items()))
