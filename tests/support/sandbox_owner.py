"""An owner of sandboxes that may be killed at any instant: creates, uses and closes, one line per whole cycle."""

import os
import sys

import anyio

from turnwise import sandboxes


async def cycles(provider: sandboxes.SandboxProvider) -> None:
    while True:
        async with await provider.create() as box:
            assert (await box.run_code("print(6 * 7)", session="s")).stdout == "42\n"
        os.write(1, b".\n")


async def main(name: str, concurrency: int) -> None:
    async with sandboxes.provider(name) as provider, anyio.create_task_group() as group:
        for _ in range(concurrency):
            group.start_soon(cycles, provider)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
