"""BrowserGym on MiniWoB++ pages, played by a script; run by ``benchmarks/gui.py`` with a Python that has it.

Its launch call is given the system's browser, which it has no setting for. One process is one environment, since its
synchronous Playwright serves one thread.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import psutil


def bid(observation: dict[str, Any], role: str, number: int = 0) -> str:
    found = [
        node["browsergym_id"]
        for node in observation["axtree_object"]["nodes"]
        if node.get("role", {}).get("value") == role and node.get("browsergym_id")
    ]
    return str(found[number])


def actions(page: str, observation: dict[str, Any]) -> list[str]:
    words = re.findall(r'"(.+?)"', observation["goal"])
    click = f"click('{bid(observation, 'button')}')"
    boxes = range(len(words)) if page != "click-test" else ()
    return [f"fill('{bid(observation, 'textbox', number)}', {words[number]!r})" for number in boxes] + [click]


def play(env: Any, page: str, seed: int) -> tuple[list[float], bool]:
    observation, _ = env.reset(seed=seed)
    steps, reward = [], 0.0
    for action in actions(page, observation):
        began = time.perf_counter()
        observation, reward, _, _, _ = env.step(action)
        steps.append(time.perf_counter() - began)
    return steps, reward > 0


def main(asked: argparse.Namespace) -> None:
    import miniwob
    import playwright.sync_api as playwright

    os.environ["MINIWOB_URL"] = (Path(miniwob.__file__).parent / "html" / "miniwob").as_uri() + "/"
    launch = playwright.BrowserType.launch
    playwright.BrowserType.launch = lambda self, **more: launch(self, **more | {"executable_path": asked.executable})
    import browsergym.miniwob  # noqa: F401 - registers the tasks
    import gymnasium

    tuned = {"slow_mo": 0, "pre_observation_delay": 0.0} if asked.tuned else {}
    env = gymnasium.make(f"browsergym/miniwob.{asked.page}", headless=True, **tuned)
    play(env, asked.page, 0)
    print("ready", flush=True)
    sys.stdin.readline()
    steps, solved = [], 0
    began = time.perf_counter()
    for seed in range(1, asked.episodes + 1):
        taken, right = play(env, asked.page, seed)
        steps += taken
        solved += right
    seconds = time.perf_counter() - began
    pss = sum(process.memory_full_info().pss for process in psutil.Process().children(recursive=True))
    print(json.dumps({"seconds": seconds, "steps": steps, "solved": solved, "pss_mb": pss / 2**20}), flush=True)
    env.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--executable", required=True)
    parser.add_argument("--page", required=True)
    parser.add_argument("--episodes", type=int, required=True)
    parser.add_argument("--tuned", action="store_true")
    main(parser.parse_args())
