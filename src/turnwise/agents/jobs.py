"""Which episodes a collection is to make, and which of them are still to be made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from turnwise.agents.rollout import Place
from turnwise.errors import ConfigError
from turnwise.tasks.base import Task, TaskSet
from turnwise.trajectories.records import Hint, PanelRef, episode_id
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store


@dataclass(frozen=True, kw_only=True)
class Job:
    """One episode to make."""

    task: Task
    seed: int
    place: Place

    @property
    def episode_id(self) -> str:
        """The id its record will have."""
        place = self.place
        return episode_id(run=place.run, step=place.step, task_key=self.task.key, seed=self.seed, sample=place.sample)


def panel_ref(tasks: TaskSet, split: str | None = None) -> PanelRef:
    """Name the very tasks that are run: what is drawn from a panel is a panel of its own digest."""
    return PanelRef(name=tasks.name, version=tasks.version, split=split, digest=tasks.digest)


def plan(
    tasks: Iterable[Task],
    *,
    run: str,
    samples: int = 1,
    seed: int = 0,
    step: int | None = None,
    epoch: int | None = None,
    panel: PanelRef | None = None,
    hints: dict[str, Hint] | None = None,
) -> list[Job]:
    """List the episodes: every task ``samples`` times, sample by sample, so that an early stop has seen every task.

    Args:
        tasks: What is asked.
        run: The run they belong to.
        samples: Episodes of one group.
        seed: Of every environment.
        step: Training step.
        epoch: Training epoch.
        panel: Where the tasks come from.
        hints: Help in the prompt, by task key.
    """
    tasks = list(tasks)
    return [
        Job(
            task=task,
            seed=seed,
            place=Place(run=run, sample=sample, step=step, epoch=epoch, panel=panel, hint=(hints or {}).get(task.key)),
        )
        for sample in range(samples)
        for task in tasks
    ]


def remaining(jobs: Sequence[Job], store: Store, run: str) -> list[Job]:
    """Leave out what the store has finished; number what failed there as further attempts."""
    finished, attempts = store.finished(run), store.last_attempts(run)
    return [_after(job, attempts.get(job.episode_id, -1)) for job in jobs if job.episode_id not in finished]


def _after(job: Job, last: int) -> Job:
    return job if last < 0 else replace(job, place=replace(job.place, attempt=last + 1))


def check_resume(stored: RunRecord, wanted: RunRecord) -> None:
    """Refuse to add to a run what was measured otherwise.

    Raises:
        ConfigError: The panel was edited since (both digests are named), or a setting differs.
    """
    theirs, ours = stored.panel, wanted.panel
    if theirs and ours and theirs.digest != ours.digest:
        raise ConfigError(
            f"cannot resume run {stored.run!r}: its panel {theirs.name!r} had digest {theirs.digest[:16]}, the tasks "
            f"now given have {ours.digest[:16]}; bring the panel and its selection back, or begin another run"
        )
    if differing := wanted.differences(stored):
        raise ConfigError(
            f"cannot resume run {stored.run!r}: {'; '.join(differing)}; use the same settings, or begin another run"
        )
