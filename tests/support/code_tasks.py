"""A small task of the code environment, and how to hand something in."""

from pydantic import JsonValue

from turnwise.envs import Action, StepResult, ToolCall
from turnwise.envs.code import CodeEnv
from turnwise.tasks import Task

RIGHT = "def double(n):\n    return 2 * n\n"


def call(name: str, **arguments: JsonValue) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments=arguments),))


def doubling(tests: dict[str, JsonValue] | None = None, **data: JsonValue) -> Task:
    cases: list[JsonValue] = [{"args": [n], "want": 2 * n} for n in (3, 5, 8)]
    gold = tests or {"kind": "cases", "entry": "double", "cases": cases}
    told: dict[str, JsonValue] = {"entry": "double", **data}
    return Task(id="t", env="code", instruction="Write double(n).", data=told, gold={"tests": gold})


def program_tests(*tests: str, setup: str = "") -> dict[str, JsonValue]:
    return {"kind": "program", "entry": "double", "setup": setup, "tests": list(tests)}


def stdin_tests() -> dict[str, JsonValue]:
    cases: list[JsonValue] = [{"stdin": f"{n}\n", "stdout": f"{2 * n}\n"} for n in (3, 5, 8)]
    return {"kind": "stdin", "cases": cases}


async def handed_in(task: Task, source: str) -> StepResult:
    async with CodeEnv() as env:
        await env.reset(task, seed=0)
        return await env.step(call("submit", code=source))
