"""inspect-ai: use_tools and generate with the tool loop, its log written as it does by default."""

import argparse
import json
import resource
import tempfile
import time

from inspect_ai import Task, eval  # noqa: A004
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool


@tool
def look():  # noqa: ANN201
    async def execute(place: str) -> str:
        """Look at a place.

        Args:
            place: Where.
        """
        return f"nothing at {place}"

    return execute


def main(asked: argparse.Namespace) -> None:
    samples = [
        Sample(input=f"Look around and say what there is. ({number})", target="done")
        for number in range(asked.episodes)
    ]
    task = Task(dataset=samples, solver=[use_tools(look()), generate(tool_calls="loop")], scorer=includes())
    model = get_model("openai/m", base_url=asked.url, api_key="none", responses_api=False)
    with tempfile.TemporaryDirectory() as logs:
        log = eval(
            task,
            model=model,
            log_dir=logs,
            display="none",
            max_samples=asked.concurrency,
            max_connections=asked.concurrency,
        )[0]
    assert log.status == "success", log.error


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--concurrency", type=int)
    asked = parser.parse_args()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    main(asked)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": time.perf_counter() - began, "rss_mb": after.ru_maxrss / 1024}))
