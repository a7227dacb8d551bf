"""An evaluation from names and settings to a stored run: what ``turnwise eval`` does, for Python too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from turnwise.agents.base import AgentFactory
from turnwise.agents.collect import Collected, collect
from turnwise.agents.jobs import check_resume, panel_ref, plan
from turnwise.agents.limits import Limits
from turnwise.agents.progress import Progress
from turnwise.agents.registry import make_agent
from turnwise.envs import registry
from turnwise.envs.base import Env
from turnwise.envs.wrappers import wrap
from turnwise.errors import ConfigError
from turnwise.evals.metrics import EvalReport, report
from turnwise.evals.sequential import Until
from turnwise.evals.stopping import Budget, Watch, shuffled
from turnwise.tasks.base import TaskSet
from turnwise.tasks.panels import load_panel
from turnwise.trajectories.runs import RunRecord, circumstances
from turnwise.trajectories.store import Store


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What to evaluate, by names and settings; everything in it is stored with the run."""

    env: str
    agent: str
    split: str | None = "test"
    panel: str | None = None
    """None: the environment's default."""
    n: int | None = None
    """Tasks to draw from the split; None: all."""
    samples: int = 1
    seed: int = 0
    concurrency: int = 16
    retries: int = 2
    env_settings: dict[str, Any] = field(default_factory=dict)
    agent_settings: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    """Innermost first, as ``turnwise.envs.wrappers.wrap`` takes them."""
    run: str | None = None
    """The run's name; None: made from environment, agent and time."""
    resume: bool = False
    budget: Budget = field(default_factory=Budget)
    """What the whole run may take; no episode is begun past it."""
    until: str | None = None
    """``ci<0.05``: stop once success is known so well, by a confidence sequence that allows looking all the time."""
    replay: str | None = None
    """For the agent ``replay``: the run of the same store whose episodes are played again."""


class Prepared:
    """An evaluation whose names are resolved and whose settings are checked; nothing is written yet."""

    def __init__(self, wanted: Evaluation) -> None:
        _at_least_one(samples=wanted.samples, concurrency=wanted.concurrency, n=wanted.n)
        self.wanted = wanted
        self.env = self.make_env()
        self.tasks = select(self.env, wanted.env, wanted.panel, wanted.split, n=wanted.n, seed=wanted.seed)
        self.limits = _limits(wanted.limits)
        self.until = Until.parse(wanted.until) if wanted.until else None
        self.agent: AgentFactory = make_agent(wanted.agent, **wanted.agent_settings)

    def make_env(self) -> Env:
        """Make another instance of the environment."""
        return wrap(registry.make(self.wanted.env, **self.wanted.env_settings), *self.wanted.wrappers)

    def record(self, run: str) -> RunRecord:
        """Describe the run."""
        wanted, env, agent = self.wanted, self.env, self.agent
        return RunRecord(
            run=run,
            agent=agent.name,
            agent_config=agent.describe(),
            model=agent.model,
            base_url=agent.base_url,
            panel=panel_ref(self.tasks, wanted.split),
            seed=wanted.seed,
            samples=wanted.samples,
            episodes=len(self.tasks) * wanted.samples,
            limits=self.limits.model_dump(),
            config={
                "env": wanted.env,
                "agent": wanted.agent,
                "panel": wanted.panel,
                "split": wanted.split,
                "n": wanted.n,
                "concurrency": wanted.concurrency,
                "retries": wanted.retries,
                "budget": asdict(wanted.budget),
                "until": wanted.until,
                "model": agent.running(),
            },
            **circumstances(env),
        )

    def name(self, store: Store) -> str:
        """Return the run's name: the one given, the one to resume, or a new one.

        Raises:
            ConfigError: The name is taken and the run is not to be resumed, or there is none to resume.
        """
        wanted = self.wanted
        known = {record.run: record for record in store.runs()}
        if wanted.run:
            if wanted.run in known and not wanted.resume:
                raise ConfigError(f"{store.path} has a run {wanted.run!r} already: add --resume, or name another")
            return wanted.run
        if wanted.resume:
            ours = (self.env.name, self.agent.name, self.agent.model)
            alike = [r.run for r in known.values() if (r.env, r.agent, r.model) == ours]
            if not alike:
                what = f"{self.env.name} with agent {self.agent.model or self.agent.name}"
                raise ConfigError(f"{store.path} has no run of {what} to resume; name one by --run")
            return alike[-1]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        base = f"{self.env.name}-{self.agent.model or self.agent.name}-{stamp}".replace("/", "-")
        return next(name for name in (base, *(f"{base}-{i}" for i in range(2, 1000))) if name not in known)

    async def collect(self, store: Store, run: str, progress: Progress | None = None) -> Collected:
        """Make the episodes that the store lacks."""
        record = self.record(run)
        stored = next((known for known in store.runs() if known.run == run), None)
        if stored:
            check_resume(stored, record)
        if self.wanted.replay:
            self.agent = _replay(store, self.wanted.replay)
        jobs = plan(self.tasks, run=run, samples=self.wanted.samples, seed=self.wanted.seed, panel=record.panel)
        jobs = shuffled(jobs, self.wanted.seed) if self.until else jobs
        watch = Watch(jobs, self.wanted.budget, self.until)
        watch.resume(store.rows(run, attempts=True) if stored else [])
        try:
            done = await collect(
                self.make_env,
                self.agent,
                jobs,
                store=store,
                run=None if stored else record,
                limits=self.limits,
                concurrency=self.wanted.concurrency,
                retries=self.wanted.retries,
                progress=progress,
                watch=watch,
            )
            if done.stopped:
                # Stopped before its first episode a run is still a run: empty, and to be resumed.
                store.add_run(record)
            return done
        finally:
            await self.agent.aclose()


@dataclass(frozen=True)
class Opened:
    """A store opened for an evaluation, and the run's name in it."""

    store: Store
    run: str

    def report(self) -> EvalReport:
        """Measure what the store holds of the run."""
        return report(self.store, self.run)


@contextmanager
def measured(prepared: Prepared, path: Path) -> Iterator[Opened]:
    """Open the store of an evaluation; one that did not exist before is not left behind empty.

    Raises:
        StoreError: The store cannot be used.
        ConfigError: The run's name is taken, or there is none to resume.
    """
    fresh = not path.exists()
    with Store.open(path, "a") as store:
        try:
            yield Opened(store, prepared.name(store))
        finally:
            if fresh and not store.runs() and store.count() == 0:
                store.discard()


async def evaluate(wanted: Evaluation, path: Path, progress: Progress | None = None) -> EvalReport:
    """Run an evaluation into a store and measure it.

    Raises:
        TurnwiseError: A name or setting is wrong, the store cannot be used, or no episode can succeed.
    """
    prepared = Prepared(wanted)
    with measured(prepared, path) as opened:
        await prepared.collect(opened.store, opened.run, progress)
        return opened.report()


def select(
    env: Env, name: str, panel: str | None, split: str | None, *, n: int | None = None, seed: int = 0
) -> TaskSet:
    """Return the tasks to run: a panel, its split, and ``n`` drawn from it.

    Raises:
        ConfigError: The environment has no default panel and none is named.
        UnknownNameError: There is no such panel.
        TaskError: There is no such split, or fewer than ``n`` tasks.
    """
    named = panel or env.default_panel
    if named is None:
        raise ConfigError(f"environment {name!r} has no panel of its own: name one by --panel")
    tasks = load_panel(named, split)
    wrong = next((task for task in tasks if task.env not in (env.name, name)), None)
    if wrong:
        raise ConfigError(f"panel {named!r} holds tasks of {wrong.env!r}, not of {name!r}; name another panel")
    return tasks if n is None or n == len(tasks) else tasks.sample(n, seed)


def _limits(values: dict[str, Any]) -> Limits:
    try:
        return Limits(**values)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"limit {where!r}: {first['msg']}; limits: {', '.join(Limits.model_fields)}") from None


def _at_least_one(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def _replay(store: Store, run: str) -> AgentFactory:
    from turnwise.agents.scripted import Replay

    store.run(run)
    return Replay(episodes=store.episodes(run))
