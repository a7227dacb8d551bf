"""Runs with known truths, written to a store: what evaluations are tested on."""

import random
from pathlib import Path
from typing import Any

from turnwise.envs import Observation, StopReason, ToolCall
from turnwise.tasks import Task
from turnwise.trajectories import Failure, PanelRef, Trajectory, Usage, episode_id, group_uid
from turnwise.trajectories.records import Turn
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store
from turnwise.trajectories.tables import MetricRow

HOSTILE = '<script>alert("turnwise")</script><img src=x onerror=alert(1)>"\'&\x1b[31m\u202eevil'


def task(index: int) -> Task:
    return Task(id=f"t{index:05d}", env="toy", instruction=f"Do {index}.", data={"n": index}, gold={}, split="test")


def episode(run: str, index: int, sample: int, rng: random.Random, **more: Any) -> Trajectory:
    """One episode: harder tasks succeed less, take more turns and cost more."""
    difficulty = 1 + index % 4
    won = bool(more.get("won", rng.random() < more.get("skill", 0.9) - 0.18 * difficulty))
    length = min(12, rng.randint(1, 3) + difficulty + (0 if won else rng.randint(0, 6)))
    text = more.get("text", "I shall look.")
    key, step = task(index).key, more.get("step")
    names: Any = {"run": run, "step": step, "task_key": key, "seed": 0}
    failed = rng.random() < more.get("failing", 0.0)
    call = ToolCall(id="c", name="look", arguments={"place": text[:60]})
    turns = tuple(
        Turn(index=i, text=text, calls=(call,), observation=Observation.of(text), action_key=f"{index}-{won}")
        for i in range(length)
    )
    return Trajectory(
        episode_id=episode_id(**names, sample=sample), run=run, env="toy", env_version="1", config_digest="c",
        agent="chat", model="m", task_id=f"t{index:05d}", task_key=key, seed=0, sample=sample, step=step,
        split="test", difficulty=difficulty, tags=("even" if index % 2 == 0 else "odd", "all"),
        group_uid=group_uid(**names, hint=None, horizon=12), instruction=f"Do {index}. {more.get('text', '')}",
        first_observation=Observation.of(f"Do {index}."), turns=() if failed else turns,
        stop_reason=StopReason.FAILURE if failed else StopReason.SOLVED if won else StopReason.TURN_LIMIT,
        failure=Failure(kind="model", error="ModelUnavailableError", message=f"gone {text}") if failed else None,
        score=None if failed else (1.0 if won else round(rng.random() * 0.5, 3)), success=None if failed else won,
        reward=None if failed else float(won) - 0.01 * length, components={"outcome": float(won), "steps": -length},
        component_weights={"outcome": 1.0, "steps": 0.01},
        usage=Usage(prompt_tokens=length * 400, completion_tokens=length * 60, cost=length * 0.002, calls=length),
        wall_s=length * 0.7, ended_at=0.0,
    )  # fmt: skip


def panel(tasks: int, digest: str | None = None) -> PanelRef:
    from turnwise.tasks import digest as digest_of

    return PanelRef(
        name="toy", version="1", split="test", digest=digest or digest_of([task(i).key for i in range(tasks)])
    )


def make_run(store: Store, run: str, tasks: int = 40, samples: int = 1, seed: int = 0, **more: Any) -> None:
    """Store a run."""
    record = RunRecord(
        run=run, env="toy", env_version="1", config_digest="c", agent="chat", model=more.pop("model", "m"),
        panel=more.pop("panel", panel(tasks)), seed=0, samples=samples, created_at=0.0, kind=more.pop("kind", "eval"),
        config=more.pop("config", {}), versions={"python": "3.11"}, machine={"cpus": 2},
    )  # fmt: skip
    rng = random.Random(seed)
    items: list[Any] = [record]
    items += [episode(run, index, sample, rng, **more) for index in range(tasks) for sample in range(samples)]
    store.append(items)


def make_training(store: Store, run: str, steps: int = 20) -> None:
    """Store a training run: its metrics and a few episodes a step."""
    rng = random.Random(1)
    make_run(store, run, tasks=0, kind="train")
    for step in range(steps):
        skill = 0.5 + 0.03 * step
        store.append([episode(run, index, 0, rng, step=step, skill=skill) for index in range(12)])
        values = {"loss/policy": 1.0 / (step + 1), "entropy": 2.0 - 0.05 * step, "score/mean": skill}
        store.append([MetricRow(run=run, step=step, name=name, value=value) for name, value in values.items()])


def store_at(path: Path) -> Store:
    return Store.open(path, "a")


__all__ = ["HOSTILE", "episode", "make_run", "make_training", "panel", "store_at", "task"]
