"""Many episodes at once, each in the store the moment it ends."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

import turnwise.errors
from turnwise.agents.base import AgentFactory
from turnwise.agents.jobs import Job, remaining
from turnwise.agents.limits import Limits
from turnwise.agents.progress import Progress, Shown, Silent
from turnwise.agents.rollout import rollout
from turnwise.envs.base import Env
from turnwise.errors import ConfigError, TurnwiseError
from turnwise.trajectories.lines import Item
from turnwise.trajectories.records import Failure, Trajectory, Turn
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store

_log = logging.getLogger(__name__)

HOPELESS = frozenset({"ModelAuthError", "SandboxUnavailableError", "MissingExtraError", "ConfigError"})
"""Errors that the next episode would meet too: the collection stops at the first."""

UNREACHED = "ModelUnavailableError"
"""Hopeless as long as no turn has been taken at all: a wrong address, rather than an endpoint that restarts."""

AHEAD = 1000
"""Finished episodes that may wait for the store before the slots wait for it."""

CLOSE_S = 10.0
"""How long an environment may take to close before it is given up."""

INGEST_EVERY = 64
"""Batches between two looks into the store's inbox."""


@dataclass(kw_only=True)
class Collected:
    """What a collection did."""

    total: int
    """Episodes asked for."""
    resumed: int = 0
    """Of these, how many the store had."""
    scored: int = 0
    failed: int = 0
    """Episodes whose last allowed attempt failed too."""
    retried: int = 0
    """Failed attempts that were followed by another."""
    stopped: str | None = None
    """Why no further episode was begun, where the watch said so."""
    episodes: list[Trajectory] = field(default_factory=list)
    """The final attempts, in the order they ended; only where there is no store to hold them."""


class Watch(Protocol):
    """Says when to begin no further episode. It is told of each the moment it ends, before the store has it."""

    def ended(self, episode: Trajectory, *, final: bool) -> None:
        """An attempt has ended; ``final`` unless it failed and is tried again."""

    def reason(self) -> str | None:
        """Say why no further episode is to begin; None: go on."""


class _Unwatched:
    def ended(self, episode: Trajectory, *, final: bool) -> None:
        """Do nothing."""

    def reason(self) -> str | None:
        return None


async def collect(
    make_env: Callable[[], Env],
    agent: AgentFactory,
    jobs: Sequence[Job],
    *,
    store: Store | None = None,
    run: RunRecord | None = None,
    limits: Limits | None = None,
    concurrency: int = 16,
    retries: int = 2,
    progress: Progress | None = None,
    on_episode: Callable[[Trajectory], None] | None = None,
    backoff_s: float = 0.5,
    watch: Watch | None = None,
) -> Collected:
    """Make episodes, some at once, and store each as it ends.

    What the store has finished is not made again. A failed episode is tried again as a further attempt; an episode
    that was scored, however badly, never is. When cancelled, episodes under way are dropped, those that ended are
    stored, and every environment is closed.

    Args:
        make_env: Makes an environment; each of the ``concurrency`` slots has its own and resets it between episodes.
        agent: Starts an agent per episode.
        jobs: The episodes, see ``turnwise.agents.jobs.plan``.
        store: Where the records go; None: they are returned.
        run: The run's configuration, stored together with its first episodes.
        limits: Where to cut an episode off.
        concurrency: Episodes under way at once.
        retries: Further attempts of a failed episode.
        progress: Told of every stored attempt.
        on_episode: Called with every stored attempt, after it is durable.
        backoff_s: Seconds before the first retry; doubles with each.
        watch: Asked before each episode; a reason ends the collection once the episodes under way have ended.

    Raises:
        StoreError: The store cannot take a record; what it took before stays.
        TurnwiseError: The first failure already shows that none can succeed: a refused key, an address where nothing
            listens, a missing package. Nothing of it is stored.
    """
    if concurrency < 1 or retries < 0:
        raise ConfigError(f"concurrency must be at least 1 and retries at least 0; got {concurrency} and {retries}")
    todo = remaining(jobs, store, jobs[0].place.run) if store and jobs else list(jobs)
    collection = _Collection(
        make_env=make_env,
        agent=agent,
        store=store,
        limits=limits or Limits(),
        retries=retries,
        backoff_s=backoff_s,
        progress=progress or Silent(),
        on_episode=on_episode,
        run_record=run,
        watch=watch or _Unwatched(),
        done=Collected(total=len(jobs), resumed=len(jobs) - len(todo)),
    )
    with Shown(collection.progress, len(jobs), len(jobs) - len(todo)):
        await collection.run(todo, min(concurrency, len(todo)))
    return collection.done


@dataclass(kw_only=True)
class _Finished:
    episode: Trajectory
    final: bool


@dataclass(kw_only=True)
class _Collection:
    make_env: Callable[[], Env]
    agent: AgentFactory
    store: Store | None
    limits: Limits
    retries: int
    backoff_s: float
    progress: Progress
    on_episode: Callable[[Trajectory], None] | None
    run_record: RunRecord | None
    watch: Watch
    done: Collected
    answered: bool = False

    async def run(self, jobs: Sequence[Job], workers: int) -> None:
        send, receive = anyio.create_memory_object_stream[_Finished](AHEAD)
        queue = iter(jobs)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._record, receive)
                with send:
                    async with anyio.create_task_group() as slots:
                        for _ in range(workers):
                            slots.start_soon(self._work, queue, send)
        except* TurnwiseError as errors:
            raise _first(errors) from None

    async def _work(self, queue: Iterator[Job], send: MemoryObjectSendStream[_Finished]) -> None:
        """One slot: an environment of its own, and jobs as long as there are any."""
        slot = _Slot(self.make_env)
        try:
            for job in queue:
                self.done.stopped = self.done.stopped or self.watch.reason()
                if self.done.stopped:
                    return
                await self._until_final(job, slot, send)
        except anyio.BrokenResourceError:
            return  # The recorder has failed; its own error ends the collection.
        finally:
            await slot.close()

    async def _until_final(self, job: Job, slot: "_Slot", send: MemoryObjectSendStream[_Finished]) -> None:
        for tried in itertools.count():
            place = replace(job.place, attempt=job.place.attempt + tried)
            episode = await rollout(
                slot.env(), self.agent, job.task, job.seed, self.limits, place=place, on_turn=self._turned
            )
            self._stop_if_hopeless(episode.failure)
            final = not self._again(episode, tried)
            self.watch.ended(episode, final=final)
            # Between an episode's end and its queueing nothing may be cancelled: it counts as finished.
            with anyio.CancelScope(shield=True):
                await send.send(_Finished(episode=episode, final=final))
            if episode.failure:
                await slot.close()
            if final:
                return
            await anyio.sleep(self.backoff_s * 2**tried)

    def _turned(self, turn: Turn) -> None:
        self.answered = True
        self.progress.turned(turn)

    def _again(self, episode: Trajectory, tried: int) -> bool:
        return episode.failure is not None and episode.failure.kind != "task" and tried < self.retries

    def _stop_if_hopeless(self, failure: Failure | None) -> None:
        if failure and (failure.error in HOPELESS or (failure.error == UNREACHED and not self.answered)):
            raise getattr(turnwise.errors, failure.error)(failure.message)

    async def _record(self, receive: MemoryObjectReceiveStream[_Finished]) -> None:
        """Store what ends, all that is waiting in one transaction; cancelled or not, until the slots are gone."""
        with receive, anyio.CancelScope(shield=True):
            batches = 0
            async for first in receive:
                await self._keep([first, *_waiting(receive)])
                batches += 1
                if self.store and batches % INGEST_EVERY == 0:
                    await anyio.to_thread.run_sync(self.store.ingest)

    async def _keep(self, batch: list[_Finished]) -> None:
        if self.store:
            items: list[Item] = [self.run_record] if self.run_record else []
            items += [finished.episode for finished in batch]
            await anyio.to_thread.run_sync(self.store.append, items)
            self.run_record = None
        for finished in batch:
            self._count(finished)
            self.progress.stored(finished.episode, final=finished.final)
            if self.on_episode:
                self.on_episode(finished.episode)

    def _count(self, finished: _Finished) -> None:
        episode, done = finished.episode, self.done
        done.scored += episode.scored
        done.failed += episode.failure is not None and finished.final
        done.retried += not finished.final
        if self.store is None and finished.final:
            done.episodes.append(episode)


def _waiting(receive: MemoryObjectReceiveStream[_Finished]) -> Iterator[_Finished]:
    while True:
        try:
            yield receive.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream):
            return


class _Slot:
    """The environment of one slot: reset between episodes, made afresh after a failure."""

    def __init__(self, make_env: Callable[[], Env]) -> None:
        self._make = make_env
        self._env: Env | None = None

    def env(self) -> Env:
        self._env = self._env or self._make()
        return self._env

    async def close(self) -> None:
        """Close, also when cancelled; what breaks on closing breaks after its episode was recorded."""
        env, self._env = self._env, None
        with anyio.move_on_after(CLOSE_S, shield=True):
            try:
                if env:
                    await env.close()
            except Exception:  # noqa: BLE001
                _log.warning("an environment broke while closing", exc_info=True)


def _first(errors: BaseExceptionGroup[TurnwiseError]) -> TurnwiseError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TurnwiseError)
    return error
