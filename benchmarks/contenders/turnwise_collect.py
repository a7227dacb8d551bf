"""Turnwise: the chat agent in an environment of one trivial tool, through collect, every episode stored."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import anyio

import turnwise.agents.chat
import turnwise.models.client  # noqa: F401 - its import is not part of the measurement
from turnwise.agents import collect, make_agent, plan
from turnwise.envs import Grade, ToolEnv, tool
from turnwise.envs.tools import ToolOutput
from turnwise.tasks import Task
from turnwise.trajectories import Store


class LookEnv(ToolEnv):
    name = "look"
    version = "1"

    async def begin(self) -> str:
        self.seen = 0
        return self.task.instruction

    def state(self) -> int:
        return self.seen

    async def grade(self) -> Grade:
        return Grade(score=1.0, success=True)

    async def on_text(self, text: str) -> ToolOutput:
        self.finish()
        return ToolOutput.of("")

    @tool
    async def look(self, place: str) -> str:
        """Look at a place."""
        self.seen += 1
        return f"nothing at {place}"


async def main(asked: argparse.Namespace, path: Path) -> int:
    tasks = [
        Task(id=f"t{number}", env="look", instruction=f"Look around and say what there is. ({number})")
        for number in range(asked.episodes)
    ]
    agent = make_agent(
        "chat", model="m", base_url=asked.url, transport=asked.transport, concurrency=asked.concurrency, timeout_s=600
    )
    with Store.open(path, "a") as store:
        done = await collect(LookEnv, agent, plan(tasks, run="bench"), store=store, concurrency=asked.concurrency)
        await agent.aclose()
        assert (done.scored, done.failed, done.retried) == (asked.episodes, 0, 0), done
        assert store.count() == asked.episodes
    return path.stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--transport", default="aiohttp")
    asked = parser.parse_args()
    import openai  # noqa: F401 - its import is not part of the measurement

    with tempfile.TemporaryDirectory() as folder:
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        size = anyio.run(main, asked, Path(folder) / "s.sqlite")
        after, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "rss_mb": after.ru_maxrss / 1024, "store_mb": size / 2**20}))
