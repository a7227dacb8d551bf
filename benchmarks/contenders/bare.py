"""The bare loop: openai.AsyncOpenAI, a list of messages and a trivial tool. Nothing is recorded."""

import argparse
import asyncio
import json
import resource
import time

TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


async def main(asked: argparse.Namespace) -> None:
    from httpx2 import Limits
    from openai import AsyncOpenAI, DefaultAioHttpClient

    # The same transport as the one compared with, its connections bounded alike.
    limits = Limits(max_connections=asked.concurrency + 8, max_keepalive_connections=asked.concurrency + 8)
    transport = DefaultAioHttpClient(limits=limits, timeout=None) if asked.transport == "aiohttp" else None
    # No retries: the endpoint has no faults, and one that came should stop the run, not slow it.
    client = AsyncOpenAI(api_key="none", base_url=asked.url, http_client=transport, max_retries=0)
    slots = asyncio.Semaphore(asked.concurrency)

    async def episode(number: int) -> None:
        async with slots:
            messages = [{"role": "user", "content": f"Look around and say what there is. ({number})"}]
            while True:
                got = await client.chat.completions.create(model="m", messages=messages, tools=[TOOL])
                message = got.choices[0].message
                if not message.tool_calls:
                    return
                messages.append(message)
                for call in message.tool_calls:
                    place = json.loads(call.function.arguments)["place"]
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": f"nothing at {place}"})

    async with asyncio.TaskGroup() as group:
        for number in range(asked.episodes):
            group.create_task(episode(number))
    await client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--transport", default="aiohttp")
    asked = parser.parse_args()
    import openai  # noqa: F401 - its import is not part of the measurement

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    asyncio.run(main(asked))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": time.perf_counter() - began, "rss_mb": after.ru_maxrss / 1024}))
