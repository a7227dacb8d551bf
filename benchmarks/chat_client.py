"""Client CPU a request: a bare loop on openai.AsyncOpenAI, the chat client, and the whole chat agent.

All talk to the fake endpoint in a process of its own, over the same transport, and make the same requests: EPISODES
chats of six, five tool calls and an answer. The bare loop does nothing but call the tool and append messages.
Prints the median of interleaved rounds, and each as a ratio to the bare loop of the same round.

    python benchmarks/chat_client.py [--episodes 300] [--concurrency 64] [--rounds 3] [--transport aiohttp|httpx]
"""

import argparse
import json
import resource
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from turnwise.agents import Conversation, Exchange, make_agent
from turnwise.envs import Observation, ToolResult, ToolSpec
from turnwise.envs.types import TextPart
from turnwise.models import ModelConfig, endpoint
from turnwise.models.client import _transport
from turnwise.models.fake.server import spawned

SCRIPT = [{"calls": [["look", {"place": "here"}]]}] * 5 + [{"content": "done"}]
TOOL = ToolSpec(
    name="look",
    description="Look at a place.",
    parameters={"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
TASK = "Look around and say what there is."
Episode = Callable[[], Awaitable[None]]


async def at_once(episode: Episode, episodes: int, concurrency: int) -> None:
    slots = anyio.CapacityLimiter(concurrency)

    async def one() -> None:
        async with slots:
            await episode()

    async with anyio.create_task_group() as group:
        for _ in range(episodes):
            group.start_soon(one)


async def bare(url: str, asked: argparse.Namespace) -> None:
    from openai import AsyncOpenAI

    transport = _transport(asked.transport, asked.concurrency)
    client = AsyncOpenAI(api_key="none", base_url=url, http_client=transport)
    tools: Any = [TOOL.openai()]

    async def episode() -> None:
        messages: list[Any] = [{"role": "user", "content": TASK}]
        while True:
            got = await client.chat.completions.create(model="m", messages=messages, tools=tools)
            message = got.choices[0].message
            if not message.tool_calls:
                return
            messages.append(message)
            for made in message.tool_calls:
                json.loads(made.function.arguments)
                messages.append({"role": "tool", "tool_call_id": made.id, "content": "nothing here"})

    await at_once(episode, asked.episodes, asked.concurrency)
    await client.close()


async def client(url: str, asked: argparse.Namespace) -> None:
    model = endpoint("m", url, transport=asked.transport, concurrency=asked.concurrency)
    tools = [TOOL.openai()]

    async def episode() -> None:
        messages: list[Any] = [{"role": "user", "content": TASK}]
        while True:
            got = await model.complete(messages, tools=tools)
            messages.append(got.message)
            made: Any = got.message.get("tool_calls")
            if not made:
                return
            for one in made:
                json.loads(one["function"]["arguments"])
                messages.append({"role": "tool", "tool_call_id": one["id"], "content": "nothing here"})

    await at_once(episode, asked.episodes, asked.concurrency)
    await model.aclose()


async def agent(url: str, asked: argparse.Namespace) -> None:
    factory = make_agent("chat", model="m", base_url=url, transport=asked.transport, concurrency=asked.concurrency)

    async def episode() -> None:
        actor, told = factory.start(1), Conversation(first=Observation.of(TASK))
        while True:
            made = await actor.act(told, (TOOL,))
            if not made.action.calls:
                return
            shown = (TextPart(text="nothing here"),)
            results = tuple(ToolResult(call_id=call.id, parts=shown) for call in made.action.calls)
            seen = Observation(results=results)
            told.turns.append(Exchange(action=made.action, observation=seen, message=made.message))

    await at_once(episode, asked.episodes, asked.concurrency)
    await factory.aclose()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transport", choices=["aiohttp", "httpx"], default="aiohttp")
    asked = parser.parse_args()
    ModelConfig(model="m")
    spent: dict[str, list[float]] = {"bare": [], "client": [], "agent": []}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps(SCRIPT))
        with spawned(["--script", str(script)]) as url:
            for _ in range(asked.rounds):
                for name, run in (("bare", bare), ("client", client), ("agent", agent)):
                    before = cpu()
                    anyio.run(run, url, asked)
                    spent[name].append(1000 * (cpu() - before) / (6 * asked.episodes))
    print(f"{'':8} ms CPU a request   ratio to bare (median of {asked.rounds} rounds, {asked.transport})")
    for name, each in spent.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(each, spent["bare"], strict=True))
        print(f"{name:8} {statistics.median(each):16.2f}   {ratio:.2f}")


if __name__ == "__main__":
    main()
