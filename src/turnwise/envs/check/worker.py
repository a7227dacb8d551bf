"""The same episodes in another process: reads a subject as JSON on stdin, writes its moments on stdout."""

import json
import sys
from typing import Any

import anyio

from turnwise.envs.check.episodes import Subject, begin, play, walks
from turnwise.envs.registry import env_class
from turnwise.tasks.base import Task


async def moments(subject: Subject) -> list[Any]:
    """Play every task's walks and return all that must be the same in every process, as plain JSON."""
    found: list[Any] = []
    async with subject.env() as env:
        for task in subject.tasks:
            for walk in await walks(env, task, subject):
                first = await begin(env, task, subject.seed)
                tools = [spec.model_dump(mode="json") for spec in env.tools]
                actions = [action.model_dump(mode="json") for action in walk]
                found.append({"tools": tools, "actions": actions, "moments": [first, *await play(env, walk)]})
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def describe(subject: Subject) -> str:
    """Write a subject for ``moments`` in another process."""
    plain: dict[str, Any] = {
        "target": subject.target,
        "config": subject.config,
        "seed": subject.seed,
        "turns": subject.turns,
    }
    plain["wrap"] = list(subject.wrap)
    return json.dumps(plain | {"tasks": [task.model_dump(mode="json") for task in subject.tasks]})


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    tasks = tuple(Task.model_validate(task) for task in request["tasks"])
    subject = Subject(
        cls=env_class(request["target"]),
        target=request["target"],
        config=request["config"],
        tasks=tasks,
        pool=tasks,
        wrap=tuple(request["wrap"]),
        seed=request["seed"],
        turns=request["turns"],
    )
    json.dump(anyio.run(moments, subject), sys.stdout)


if __name__ == "__main__":
    main()
