"""Actions made by the harness: the gold step in an agent's words, and random ones; and how answers are put together."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from turnwise.envs.gui import elements
from turnwise.envs.gui.observe import Shown
from turnwise.envs.gui.sites import GoldStep
from turnwise.envs.gui.textcalls import Written
from turnwise.envs.types import Action, Observation, Part, Status, ToolCall
from turnwise.errors import EnvError

if TYPE_CHECKING:
    from turnwise.envs.gui.env import GuiEnv

_WRITABLE = frozenset({"textbox", "searchbox", "spinbutton", "Date", "DateTime", "InputTime"})
_KEYS = ("Enter", "Tab", "ArrowDown", "Escape")


def numbered(calls: Sequence[Written], prefix: str) -> tuple[ToolCall, ...]:
    """Give written calls their ids."""
    many = len(calls) > 1
    return tuple(
        ToolCall(id=f"{prefix}_{index}" if many else prefix, name=call.tool, arguments=call.arguments)
        for index, call in enumerate(calls, start=1)
    )


def with_page(observation: Observation, page: tuple[Part, ...]) -> Observation:
    """Put the page after the answer to the last call that was run; without calls beside it."""
    run = [index for index, result in enumerate(observation.results) if result.status is not Status.SKIPPED]
    if not run:
        return observation.model_copy(update={"parts": (*observation.parts, *page)})
    results = list(observation.results)
    last = results[run[-1]]
    results[run[-1]] = last.model_copy(update={"parts": (*last.parts, *page)})
    return observation.model_copy(update={"results": tuple(results)})


def example(targets: str) -> str:
    """Return an action as it is written."""
    return "mouse_click(80, 60)" if targets == "coordinates" else "click('12')"


async def gold(env: "GuiEnv", step: GoldStep) -> Action:
    """Say a gold step in the episode's tools.

    Raises:
        EnvError: The element is not shown, or the tools cannot do it.
    """
    calls = [_by_id(env, step)] if env.config.targets != "coordinates" else await _by_point(env, step)
    named = [
        ToolCall(id=f"g{index}" if len(calls) > 1 else "g", name=name, arguments=arguments)
        for index, (name, arguments) in enumerate(calls, start=1)
    ]
    return Action(calls=tuple(named))


def _by_id(env: "GuiEnv", step: GoldStep) -> tuple[str, dict[str, JsonValue]]:
    arguments = dict(step.args)
    names = ("from_id", "to_id") if step.tool == "drag" else ("id", "to_id")
    for name, node in zip(names, (step.node, step.to), strict=True):
        if node is not None:
            arguments[name] = _id_of(env, node, step.tool)
    return step.tool, arguments


def _id_of(env: "GuiEnv", node: int, tool: str) -> str:
    shown = env.shown_for(node)
    if shown is None:
        raise EnvError(f"task {env.task.id!r}: the gold step {tool!r} acts on an element that is not shown")
    return shown.id


async def _by_point(env: "GuiEnv", step: GoldStep) -> list[tuple[str, dict[str, JsonValue]]]:
    """Do by mouse and keyboard what a step does by id."""
    if step.node is None:
        return [(step.tool, dict(step.args))]
    x, y = await elements.aim(env.session.active, step.node, "gold")
    at: dict[str, JsonValue] = {"x": x, "y": y}
    match step.tool:
        case "click":
            return [("click_at", at | dict(step.args))]
        case "hover":
            return [("hover_at", at)]
        case "fill":
            text = str(step.args["text"])
            return [("click_at", at), ("press", {"keys": "Control+a"}), _typed(text)]
        case "press":
            return [("click_at", at), ("press", dict(step.args))]
        case "scroll":
            return [("scroll_at", at | dict(step.args))]
        case "drag" if step.to is not None:
            end = await elements.aim(env.session.active, step.to, "gold")
            return [("drag_at", {"from_x": x, "from_y": y, "to_x": end.x, "to_y": end.y})]
    raise EnvError(f"task {env.task.id!r}: the gold step {step.tool!r} cannot be done by coordinates")


def _typed(text: str) -> tuple[str, dict[str, JsonValue]]:
    return ("type_text", {"text": text}) if text else ("press", {"keys": "Delete"})


def wander(env: "GuiEnv", rng: random.Random) -> Action:
    """Return a random action: mostly on something that can be acted on, with words of the task where text is asked."""
    name, arguments = _wandered(env, rng)
    return Action(calls=(ToolCall(id=f"r{rng.randrange(10**6)}", name=name, arguments=arguments),))


def _wandered(env: "GuiEnv", rng: random.Random) -> tuple[str, dict[str, JsonValue]]:
    if env.config.targets == "coordinates":
        return _somewhere(env, rng)
    targets = env.actionable()
    if not targets or rng.random() < 0.1:
        return _aimless(rng)
    return _on(rng.choice(targets), env, rng)


def _aimless(rng: random.Random) -> tuple[str, dict[str, JsonValue]]:
    name = rng.choice(("press", "scroll", "wait"))
    arguments: dict[str, dict[str, JsonValue]] = {
        "press": {"keys": rng.choice(_KEYS)},
        "scroll": {"dx": 0, "dy": rng.choice((-200, 200))},
        "wait": {},
    }
    return name, arguments[name]


def _somewhere(env: "GuiEnv", rng: random.Random) -> tuple[str, dict[str, JsonValue]]:
    width, height = env.site.viewport
    if rng.random() < 0.3:
        return "type_text", {"text": _words(env, rng)}
    return "click_at", {"x": rng.randrange(width), "y": rng.randrange(height)}


def _on(shown: Shown, env: "GuiEnv", rng: random.Random) -> tuple[str, dict[str, JsonValue]]:
    if shown.role in _WRITABLE:
        return "fill", {"id": shown.id, "text": _words(env, rng)}
    if shown.role == "option":
        return "select", {"id": shown.id, "options": shown.name}
    return "click", {"id": shown.id}


def _words(env: "GuiEnv", rng: random.Random) -> str:
    words = env.task.instruction.split() or ["a"]
    return " ".join(rng.choice(words).strip(".,\"'") for _ in range(rng.randint(1, 2)))
