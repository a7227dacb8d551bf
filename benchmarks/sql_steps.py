"""The sql environment's speed and size, against a copy of the database per episode with a connection per query.

The baseline is the same environment on a backend that copies and connects in a thread.

Run: python benchmarks/sql_steps.py [--gigabyte] [--episodes 1 64 512]

For each database and number of concurrent episodes it prints the time to start an episode, steps per second, CPU time
of this process per step, and bytes held per idle episode (memory of this process and its workers, and disk), for
reading tasks, writing tasks and the baseline, from one run on one machine.
"""

import argparse
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from turnwise.envs import Action, ToolCall
from turnwise.envs.sql import CHINOOK, SqlEnv, pool, put_database
from turnwise.envs.sql.backends import SqliteReader
from turnwise.envs.sql.databases import catalog, image
from turnwise.tasks import Task

QUERY = "SELECT Name FROM Genre WHERE GenreId = 7"
CHANGE = "UPDATE Genre SET Name = 'x' WHERE GenreId = 7"
STEPS = 10


def act(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments={**arguments}),))


def task(digest: str, *, write: bool) -> Task:
    data = {"database": digest, "name": "bench", **({"mode": "write"} if write else {})}
    gold = {"statements": [CHANGE]} if write else {"sql": QUERY}
    return Task(id="bench", env="sql", instruction="Bench.", data=data, gold=gold)


class Turnwise:
    def __init__(self, digest: str, *, write: bool) -> None:
        self.task, self.sql = task(digest, write=write), CHANGE if write else QUERY
        self.tool = "execute" if write else "query"
        self.env = SqlEnv()

    async def start(self) -> None:
        await self.env.reset(self.task, seed=0)

    async def step(self) -> None:
        await self.env.step(act(self.tool, sql=self.sql))

    async def close(self) -> None:
        await self.env.close()


class CopyBackend(SqliteReader):
    """What one writes first: copy the file, connect for every query, in a thread of this process."""

    @classmethod
    async def make(cls, digest: str, limits: dict[str, Any]) -> "CopyBackend":
        made = cls(digest, image(digest), await catalog(digest), limits)
        made.directory = tempfile.mkdtemp()
        await anyio.to_thread.run_sync(shutil.copyfile, image(digest), f"{made.directory}/copy.sqlite")
        return made

    directory: str

    async def query(self, sql: str, keep: int) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(self._query, sql, keep)

    def _query(self, sql: str, keep: int) -> dict[str, Any]:
        connection = sqlite3.connect(f"{self.directory}/copy.sqlite")
        cursor = connection.execute(sql)
        rows = [list(row) for row in cursor.fetchall()]
        columns = [column[0] for column in cursor.description]
        connection.close()
        return {"columns": columns, "rows": rows[:keep], "count": len(rows), "complete": True, "error": None}

    async def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class CopyEnv(SqlEnv):
    """The same environment on that backend: only the database differs."""

    async def _open(self, log: bytes = b"") -> SqliteReader:
        return await CopyBackend.make(self.data.database, self.config.limits())


class CopyPerEpisode(Turnwise):
    def __init__(self, digest: str) -> None:
        super().__init__(digest, write=False)
        self.env = CopyEnv()


def resident() -> int:
    pids = [os.getpid(), *(worker.pid for worker in pool._idle)]
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") for pid in pids)


def disk(digest: str, kind: str, episodes: int) -> int:
    """Bytes on disk that are the episodes' own: a hard link to the image costs none."""
    if kind == "copy":
        return episodes * os.path.getsize(image(digest))
    folder = Path(os.environ["TURNWISE_HOME"]) / "cache" / "sql-views"
    files = folder.rglob("base.sqlite-*") if folder.is_dir() and kind == "write" else ()
    return sum(file.stat().st_blocks * 512 for file in files)


async def timed(function: Callable[[], Awaitable[None]], times: list[float]) -> None:
    started = time.perf_counter()
    await function()
    times.append(time.perf_counter() - started)


async def measure(digest: str, kind: str, episodes: int) -> str:
    make: Callable[[], Turnwise]
    make = (lambda: CopyPerEpisode(digest)) if kind == "copy" else (lambda: Turnwise(digest, write=kind == "write"))
    warm = make()
    await warm.start()
    await warm.step()
    await warm.close()
    before, starts, held = resident(), [], [make() for _ in range(episodes)]
    for episode in held:
        await timed(episode.start, starts)

    async def steps(episode: Turnwise) -> None:
        for _ in range(STEPS):
            await episode.step()

    started, cpu = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for episode in held:
            group.start_soon(steps, episode)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    size = (max(resident() - before, 0) + disk(digest, kind, episodes)) / episodes
    for episode in held:
        await episode.close()
    start, rate = sorted(starts)[len(starts) // 2] * 1e3, episodes * STEPS / seconds
    spent = cpu / episodes / STEPS * 1e6
    return f"{kind:5} {episodes:4} {start:10.2f} ms {rate:10.0f} /s {spent:8.0f} us {size / 1024:12.1f} KiB"


def gigabyte() -> str:
    """Make Chinook with a large table beside it, about 1 GB."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/big.sqlite"
        shutil.copyfile(image(CHINOOK), path)
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE Play (PlayId INTEGER PRIMARY KEY, TrackId INTEGER, Note TEXT)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
            "INSERT INTO Play SELECT i, i % 3503 + 1, printf('%.1000d', i) FROM n"
        )
        connection.commit()
        connection.close()
        return put_database(path)


async def main(counts: list[int], *, large: bool) -> None:
    for name, digest in [("chinook", CHINOOK), *([("1 GB", gigabyte())] if large else [])]:
        print(f"{name}, {os.path.getsize(image(digest)) / 1e6:.0f} MB, {STEPS} steps an episode")
        print("kind  episodes  start (median)   steps      trainer's CPU/step   held per episode")
        for episodes in counts:
            for kind in ("read", "write", "copy"):
                if kind == "copy" and large and name != "chinook" and episodes > 1:
                    print(f"copy  {episodes:4}        (would need {episodes} GB of disk)")
                    continue
                print(await measure(digest, kind, episodes), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabyte", action="store_true", help="also measure a generated database of 1 GB")
    parser.add_argument("--episodes", type=int, nargs="+", default=[1, 64, 512])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("TURNWISE_HOME", home)
        anyio.run(lambda: main(given.episodes, large=given.gigabyte))
        pool.shut_down()
