"""Record the MiniWoB++ panel and its floor: what the shipped data files say is what this saw.

    python benchmarks/miniwob_panel.py record    # solves problems; writes panel.json and the catalogue's turns
    python benchmarks/miniwob_panel.py floor     # plays at random and not at all; writes floor.json

``record`` keeps, for each page and split, the first seeds whose scripted solution succeeds in a real browser. ``floor``
plays every problem of the panel with random legal actions, and some with none.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.miniwob.catalogue import Page, catalogue
from turnwise.envs.gui.miniwob.pages import DATA
from turnwise.envs.gui.miniwob.site import MiniwobSite
from turnwise.envs.gui.miniwob.tasks import miniwob
from turnwise.envs.types import Action, StepResult, StopReason
from turnwise.errors import EnvError
from turnwise.tasks.base import Task

SPLITS = {"train": (0, 6), "validation": (1000, 2), "test": (2000, 2)}
"""First seed and number of problems."""
TRIES = 12
"""Seeds that are tried for a split before the page is left out."""
TURNS = 10
"""Turns that an agent without a plan is given."""
IDLE = 2
"""Problems of a page on which nothing is done: what comes of it is the same for all."""
LONGEST = 60
BROWSER_FAILURES = 3


async def solve(page: str, seed: int, mode: str) -> tuple[MiniwobSite, int] | None:
    """Run the scripted solution; return the site and the turns taken, None where it does not succeed."""
    data = {"site": "miniwob", "page": page, "seed": seed, "mode": mode}
    task = Task(id=f"{page}-{seed}", env="gui", instruction="Do what the page asks.", data=data)
    async with GuiEnv() as env:
        await env.reset(task, seed=0)
        site = env.site
        assert isinstance(site, MiniwobSite)
        for turn in range(1, LONGEST + 1):
            result = await env.step(await env.gold_action())
            if result.terminated:
                return (site, turn) if result.info.success else None
    return None


async def solved(page: str, seed: int, mode: str) -> tuple[MiniwobSite, int] | None:
    for attempt in range(1, BROWSER_FAILURES + 1):
        try:
            return await solve(page, seed, mode)
        except EnvError as error:
            print(f"{page} seed {seed}, attempt {attempt}: {error}", flush=True)
            if "scripted solution" in str(error) or "threw" in str(error):
                return None
    return None


async def record_page(page: Page) -> dict[str, Any]:
    """Return a page's problems by split, its turns and whether its instruction has fields; empty if it has too few."""
    problems: dict[str, dict[str, str]] = {}
    turns, fields = [], False
    for split, (first, wanted) in SPLITS.items():
        mode = "test" if split == "test" and "transfer" in page.tags else "default"
        found = problems[split] = {}
        for seed in range(first, first + TRIES):
            if len(found) < wanted and (done := await solved(page.name, seed, mode)):
                found[str(seed)] = done[0].utterance
                turns.append(done[1])
                fields = fields or bool(done[0].fields)
        if len(found) < wanted:
            print(f"{page.name}: only {len(found)} of {wanted} problems of {split} could be solved", flush=True)
            return {}
    return {"problems": problems, "turns": round(statistics.median(turns)), "fields": fields}


async def record(names: list[str], at_once: int) -> None:
    pages = [page for page in catalogue().values() if "unscored" not in page.tags]
    pages = [page for page in pages if not names or page.name in names]
    await _each(pages, record_page, at_once, _save_problems)


def _save_problems(name: str, row: dict[str, Any]) -> None:
    panel = DATA / "panel.json"
    problems = json.loads(panel.read_text(encoding="utf-8")) if panel.exists() else {}
    described = json.loads((DATA / "pages.json").read_text(encoding="utf-8"))
    problems.pop(name, None)
    about = described[name]
    about["turns"] = row["turns"] if row else None
    about["tags"] = [tag for tag in about["tags"] if tag != "fields"]
    if row:
        about["tags"] += ["fields"] if row["fields"] else []
        problems[name] = row["problems"]
    _write("panel.json", dict(sorted(problems.items())))
    _write("pages.json", described)


async def play(task: Task, seed: int, choose: Callable[[GuiEnv], Awaitable[Action]]) -> bool:
    async with GuiEnv() as env:
        await env.reset(task, seed=seed)
        result: StepResult | None = None
        for _ in range(TURNS):
            result = await env.step(await choose(env))
            if result.terminated:
                return bool(result.info.success)
        return bool((await env.truncate(StopReason.TURN_LIMIT)).info.success)


async def floor_of(page: Page) -> dict[str, Any]:
    tasks = [task for task in miniwob() if task.data["page"] == page.name]
    luck = [await _played(task, _random_play(index)) for index, task in enumerate(tasks)]
    rest = [await _played(task, _nothing) for task in tasks[:IDLE]]
    return {"episodes": len(tasks), "random": round(sum(luck) / len(luck), 3), "null": round(sum(rest) / len(rest), 3)}


async def _played(task: Task, choose: Callable[[GuiEnv], Awaitable[Action]]) -> bool:
    for _ in range(BROWSER_FAILURES):
        try:
            return await play(task, 0, choose)
        except EnvError as error:
            print(f"{task.id}: {error}", flush=True)
    raise RuntimeError(f"{task.id} failed {BROWSER_FAILURES} times")


def _random_play(index: int) -> Callable[[GuiEnv], Awaitable[Action]]:
    rng = random.Random(index)
    return lambda env: env.sample_action(rng)


async def _nothing(_: GuiEnv) -> Action:
    return Action()


async def floor(names: list[str], at_once: int) -> None:
    pages = [page for page in catalogue().values() if page.gold and (not names or page.name in names)]
    await _each(pages, floor_of, at_once, _save_floor)


def _save_floor(name: str, row: dict[str, Any]) -> None:
    path = DATA / "floor.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["pages"] if path.exists() else {}
    _write("floor.json", {"turns": TURNS, "pages": dict(sorted((kept | {name: row}).items()))}, depth=1)


async def _each(
    pages: list[Page],
    work: Callable[[Page], Awaitable[dict[str, Any]]],
    at_once: int,
    save: Callable[[str, dict[str, Any]], None],
) -> None:
    limit = asyncio.Semaphore(at_once)

    async def one(page: Page) -> None:
        async with limit:
            start = time.perf_counter()
            save(page.name, await work(page))
            print(f"{page.name}: {time.perf_counter() - start:.1f} s", flush=True)

    await asyncio.gather(*(one(page) for page in pages))


def _write(name: str, value: dict[str, Any], depth: int = 0) -> None:
    """Write one line per page, so that changes can be read."""
    (DATA / name).write_text(_lines(value, depth) + "\n", encoding="utf-8")


def _lines(value: dict[str, Any], depth: int) -> str:
    def shown(entry: Any) -> str:
        if depth and isinstance(entry, dict):
            return _lines(entry, depth - 1)
        return json.dumps(entry, ensure_ascii=False)

    rows: Iterable[str] = (f"{json.dumps(key)}: {shown(entry)}" for key, entry in value.items())
    return "{\n" + ",\n".join(rows) + "\n}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "floor"))
    parser.add_argument("--pages", default="", help="comma-separated; all by default")
    parser.add_argument("--at-once", type=int, default=6)
    options = parser.parse_args()
    work = {"record": record, "floor": floor}[options.what]
    asyncio.run(work([name for name in options.pages.split(",") if name], options.at_once))


if __name__ == "__main__":
    main()
