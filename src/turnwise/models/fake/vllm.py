"""``python -m turnwise.models.fake.vllm``: takes the flags of vLLM's OpenAI server and answers like the fake endpoint.

Like the real one it takes its key from ``VLLM_API_KEY``, starts a worker in a session of its own, and needs a while. A
file ``fake.json`` in the model's folder tells it how to behave: ``start_s`` (seconds before it answers), ``fail`` (an
error line to end with instead), ``die_after`` (requests after which it ends), ``replies`` (a script, as of
``python -m turnwise.models.fake``).
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from turnwise.models.fake.__main__ import rule_of
from turnwise.models.fake.rules import ChatRequest, Reply, Rule
from turnwise.models.fake.server import FakeServer

_WORKER = "import time; time.sleep(600)"


def main() -> None:
    """Serve until ended."""
    import uvicorn

    asked, further = _arguments()
    behaviour = _behaviour(Path(asked.model))
    _say("flags", further)
    worker = subprocess.Popen([sys.executable, "-c", _WORKER], start_new_session=True)  # noqa: S603 - our own
    _say("worker", worker.pid)
    time.sleep(behaviour.get("start_s", 0))
    if "fail" in behaviour:
        _say("ValueError", behaviour["fail"])
        raise SystemExit("RuntimeError: Engine core initialization failed. See root cause above.")
    rule = _mortal(rule_of(_script(asked, behaviour), 0), behaviour.get("die_after"))
    server = FakeServer(rule, api_key=os.environ["VLLM_API_KEY"], port=asked.port, model=asked.name, keep=0)
    with server.listen() as listener:
        asyncio.run(uvicorn.Server(server.settings()).serve(sockets=[listener]))


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="python -m turnwise.models.fake.vllm", description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--served-model-name", dest="name", required=True)
    parser.add_argument("--host", choices=["127.0.0.1"], required=True)
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_known_args()


def _behaviour(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8")) if (path := folder / "fake.json").exists() else {}
    )
    return told


def _script(asked: argparse.Namespace, behaviour: dict[str, Any]) -> Path | None:
    return Path(asked.model) / behaviour["replies"] if "replies" in behaviour else None


def _mortal(rule: Rule, requests: int | None) -> Rule:
    """Let a rule end the process after so many requests."""
    left = [requests]

    def answer(request: ChatRequest) -> Reply:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                _say("MemoryError", "the fake engine ran out of memory")
                os._exit(1)
        return rule(request)

    return answer


def _say(what: str, told: object) -> None:
    sys.stdout.write(f"{what}: {told}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
