"""verifiers 0.4: its Agent with a harness that runs the loop in-process, as its contract allows; traces recorded."""

import argparse
import asyncio
import json
import os
import resource
import time

import verifiers.v1 as vf
from openai import AsyncOpenAI
from verifiers.v1.harness import Harness, HarnessConfig
from verifiers.v1.harnesses.null import NullHarnessConfig
from verifiers.v1.runtimes import ProgramResult, SubprocessConfig

TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
shared = AsyncOpenAI(api_key="none", base_url="http://unused", max_retries=0, timeout=600)


class Loop(Harness[HarnessConfig]):
    NEEDS_CONTAINER = False
    EXECUTES_CODE = False
    APPENDS_SYSTEM_PROMPT = True

    async def launch(self, ctx, trace, runtime, endpoint, secret, mcp_urls, data, **_) -> ProgramResult:  # noqa: ANN001, ANN003
        client = shared.with_options(base_url=endpoint, api_key=secret)
        messages = [{"role": "user", "content": data.prompt}]
        while True:
            got = await client.chat.completions.create(model=ctx.model, messages=messages, tools=[TOOL])
            message = got.choices[0].message
            if not message.tool_calls:
                return ProgramResult(exit_code=0, stdout="", stderr="")
            messages.append(message)
            for call in message.tool_calls:
                place = json.loads(call.function.arguments)["place"]
                messages.append({"role": "tool", "tool_call_id": call.id, "content": f"nothing at {place}"})


async def main(asked: argparse.Namespace) -> None:
    os.environ["BENCH_KEY"] = os.environ["PRIME_API_KEY"] = "none"
    config = vf.AgentConfig(
        model="m",
        harness=NullHarnessConfig(id="null"),
        runtime=SubprocessConfig(),
        client=vf.EvalClientConfig(base_url=asked.url, api_key_var="BENCH_KEY"),
    )
    agent = vf.Agent(config)
    agent.harness = Loop(config.harness)
    slots = asyncio.Semaphore(asked.concurrency)

    async def episode(number: int) -> None:
        async with slots:
            prompt = f"Look around and say what there is. ({number})"
            trace = await agent.run(vf.Task(vf.TaskData(idx=number, prompt=prompt)))
            assert trace.ok, trace.errors
            trace.model_dump_json()

    async with agent, asyncio.TaskGroup() as group:
        for number in range(asked.episodes):
            group.create_task(episode(number))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--concurrency", type=int)
    asked = parser.parse_args()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    asyncio.run(main(asked))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": time.perf_counter() - began, "rss_mb": after.ru_maxrss / 1024}))
