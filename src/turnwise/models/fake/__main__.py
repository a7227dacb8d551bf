"""``python -m turnwise.models.fake``: the fake endpoint as a process; its first line of output tells the address."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from turnwise.models.fake.faults import FAULTS, Faults
from turnwise.models.fake.rules import ByTask, RandomTools, Reply, Rule, Script
from turnwise.models.fake.server import FakeServer

_EXAMPLE = '{"content": "...", "calls": [["tool", {"argument": 1}]]}'


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m turnwise.models.fake", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="0: a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--fault-kinds", default=",".join(FAULTS), help="comma-separated")
    parser.add_argument("--seed", type=int, default=0, help="of the faults and the random tools")
    parser.add_argument("--api-key", default=None, help="refuse any other")
    parser.add_argument(
        "--script",
        type=Path,
        default=None,
        help="JSON: a list of replies, one per turn, or an object of such lists by a text in the task; a reply is "
        f"{_EXAMPLE}. Without it, random tool calls.",
    )
    return parser.parse_args()


def rule_of(script: Path | None, seed: int) -> Rule:
    """Read a script file; without one, random tool calls."""
    if script is None:
        return RandomTools(seed)
    told = json.loads(script.read_text(encoding="utf-8"))
    if isinstance(told, list):
        return Script([_reply(item) for item in told])
    return ByTask({key: [_reply(item) for item in replies] for key, replies in told.items()}, RandomTools(seed))


def _reply(item: Any) -> Reply:
    try:
        return _read(item)
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"{json.dumps(item)[:80]} is no reply: write {_EXAMPLE}") from None


def _read(item: dict[str, Any]) -> Reply:
    calls = tuple((name, text if isinstance(text, str) else json.dumps(text)) for name, text in item.get("calls", ()))
    return Reply(content=item.get("content", ""), calls=calls, reasoning=item.get("reasoning"))


def main() -> None:
    """Serve until interrupted."""
    import uvicorn

    asked = _arguments()
    try:
        faults = Faults(asked.fault_rate, asked.seed, [kind for kind in asked.fault_kinds.split(",") if kind])
        server = FakeServer(
            rule_of(asked.script, asked.seed),
            latency_s=asked.latency,
            faults=faults,
            api_key=asked.api_key,
            port=asked.port,
            keep=0,
        )
        listener = server.listen()
    except (OSError, ValueError, AttributeError) as error:
        raise SystemExit(f"error: {error}") from None
    sys.stdout.write(json.dumps({"url": server.url}) + "\n")
    sys.stdout.flush()
    with listener:
        asyncio.run(uvicorn.Server(server.settings()).serve(sockets=[listener]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
