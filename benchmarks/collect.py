"""What collecting costs: Turnwise with everything recorded and stored, a bare openai loop, verifiers, inspect-ai.

All talk to one fake endpoint in a process of its own, over loopback, each contender in a process of its own: the same
chats of six requests, five calls of one trivial tool and an answer. Rounds are interleaved; CPU is the contender's own,
without imports. Prints medians and, per round, the ratio to the bare loop of the same round.

    python benchmarks/collect.py cpu  [--episodes 1000] [--concurrency 256] [--latency 0.2] [--rounds 5] [--peers DIR]
    python benchmarks/collect.py wall [--rounds 5]       ten turns at 1 s, concurrency 64 and 256, the ideal beside
    python benchmarks/collect.py import [--rounds 5]     seconds that `import turnwise` takes

``--peers DIR`` holds, or is given, a virtual environment for each peer; without it they are left out. They take part in
the first ``--peer-rounds`` rounds only (default: all). Every run is told on stderr as it ends.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from turnwise.models.fake.server import spawned

HERE = Path(__file__).parent / "contenders"
PEERS = {"verifiers": ["verifiers", "openai", "datasets"], "inspect-ai": ["inspect-ai", "openai"]}


def python_of(peer: str, folder: Path) -> str:
    """Return the peer's interpreter, its virtual environment made where there is none."""
    home = folder / peer
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS[peer]], check=True)
    return str(python)


def contenders(peers: Path | None) -> dict[str, list[str]]:
    found = {
        "bare": [sys.executable, str(HERE / "bare.py")],
        "turnwise": [sys.executable, str(HERE / "turnwise_collect.py")],
    }
    for peer in PEERS if peers else ():
        assert peers is not None
        found[peer] = [python_of(peer, peers.absolute()), str(HERE / f"{peer.replace('-', '_')}_loop.py")]
    return found


def script(folder: Path, calls: int) -> list[str]:
    replies = [{"calls": [["look", {"place": "here"}]]}] * calls + [{"content": "done"}]
    path = folder / "script.json"
    path.write_text(json.dumps(replies))
    return ["--script", str(path)]


def requests_of(url: str) -> int:
    import httpx

    return int(httpx.get(url.removesuffix("/v1") + "/counts").json().get("requests", 0))


def once(command: list[str], url: str, episodes: int, concurrency: int, expected: int) -> dict[str, float]:
    before = requests_of(url)
    asked = ["--url", url, "--episodes", str(episodes), "--concurrency", str(concurrency)]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[-1]} failed:\n{done.stderr[-3000:]}")
    made = requests_of(url) - before
    if made != expected:
        raise SystemExit(f"{command[-1]} made {made} requests, not {expected}")
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    line = f"{Path(command[-1]).stem}, {episodes} episodes, {concurrency} at once"
    print(f"{line}: {told['wall_s']:.1f} s, {told['cpu_s']:.1f} s CPU", file=sys.stderr, flush=True)
    return told


def cpu(asked: argparse.Namespace) -> None:
    runners = contenders(asked.peers)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in runners}
    requests = asked.episodes * 6
    with tempfile.TemporaryDirectory() as folder:
        options = [*script(Path(folder), 5), "--latency", str(asked.latency)]
        with spawned(options) as url:
            for number in range(asked.rounds):
                for name, command in runners.items():
                    if name not in PEERS or number < asked.peer_rounds:
                        results[name].append(once(command, url, asked.episodes, asked.concurrency, requests))
    print(f"{asked.episodes} episodes of 6 requests, concurrency {asked.concurrency}, latency {asked.latency} s")
    for name, rounds in results.items():
        cost = [one["cpu_s"] / requests * 1e3 for one in rounds]
        # Peers may have sat out the later rounds: theirs are the first.
        ratios = [one["cpu_s"] / bare["cpu_s"] for one, bare in zip(rounds, results["bare"], strict=False)]
        wall, memory = (statistics.median(one[key] for one in rounds) for key in ("wall_s", "rss_mb"))
        told = f"{statistics.median(cost):6.2f} ms CPU a request   x{statistics.median(ratios):.2f} of bare"
        print(f"{name:<12}{told}  (rounds {', '.join(f'{r:.2f}' for r in ratios)})  {wall:.1f} s  {memory:.0f} MB")


def wall(asked: argparse.Namespace) -> None:
    runners = contenders(None)
    with tempfile.TemporaryDirectory() as folder, spawned([*script(Path(folder), 9), "--latency", "1.0"]) as url:
        for concurrency in (64, 256):
            taken: dict[str, list[float]] = {name: [] for name in runners}
            for _ in range(asked.rounds):
                for name, command in runners.items():
                    told = once(command, url, concurrency, concurrency, concurrency * 10)
                    taken[name].append(told["wall_s"])
            bare, ours = (statistics.median(taken[name]) for name in ("bare", "turnwise"))
            ratio = f"x{ours / bare:.3f}; ideal 10.0 s"
            print(f"concurrency {concurrency}: bare {bare:.1f} s, turnwise {ours:.1f} s, {ratio}", flush=True)


def imports(asked: argparse.Namespace) -> None:
    def seconds(code: str) -> float:
        timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        taken: list[float] = []
        for _ in range(asked.rounds):
            done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
            taken.append(float(done.stdout))
        return statistics.median(taken)

    for code in ("import turnwise", "import turnwise.agents, turnwise.trajectories", "import openai"):
        print(f"{code:<48}{seconds(code):.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cpu", "wall", "import"])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=None)
    parser.add_argument("--peer-rounds", type=int, default=None)
    asked = parser.parse_args()
    asked.peer_rounds = asked.rounds if asked.peer_rounds is None else asked.peer_rounds
    if asked.rounds < 1 or (asked.peers and asked.peer_rounds < 1):
        parser.error("rounds start at 1")
    commands: dict[str, Any] = {"cpu": cpu, "wall": wall, "import": imports}
    commands[asked.what](asked)


if __name__ == "__main__":
    main()
