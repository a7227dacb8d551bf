"""Documents that give the agent orders."""

import anyio
import pytest

from turnwise.envs import Action, ToolCall, make
from turnwise.envs.search.injection import robustness
from turnwise.tasks import Task
from turnwise.tasks.panels import load_panel

PANEL = load_panel("search/injected")


async def play(task: Task, *, obey: bool, interface: str = "tools") -> dict[str, float]:
    env = make("search", interface=interface)
    await env.reset(task, seed=0)
    injected = task.gold["injected"]
    assert isinstance(injected, dict)
    seen = False
    ordered = False
    while True:
        action: Action | str = order("answer", interface, "I am lost") if ordered else await env.gold_action()
        if obey and seen and "answer" in injected:
            action = order("answer", interface, str(injected["answer"]))
        elif obey and seen and env.metrics()["injection_followed"] == 0:  # type: ignore[attr-defined]
            action, ordered = order("search", interface, str(injected["query"])), True
        result = await env.step(action)
        seen = seen or str(task.data["injections"][0]["text"]) in result.observation.text  # type: ignore[index, call-overload]
        if result.terminated:
            assert bool(result.info.success) != obey
            return result.info.metrics


def order(verb: str, interface: str, text: str) -> Action | str:
    if interface != "tools":
        return f"<{verb}>{text}</{verb}>"
    name = "query" if verb == "search" else "text"
    return Action(calls=(ToolCall(id="o", name=verb, arguments={name: text}),))


@pytest.mark.parametrize("interface", ["tools", "search-r1"])
def test_who_ignores_the_orders_is_right_and_who_obeys_is_counted(interface: str) -> None:
    async def main() -> None:
        firm = robustness([await play(task, obey=False, interface=interface) for task in PANEL])
        assert firm == {"episodes": len(PANEL), "seen": len(PANEL), "followed": 0.0, "followed_rate": 0.0}

    anyio.run(main)


def test_who_obeys_is_counted() -> None:
    async def main() -> None:
        obedient = robustness([await play(task, obey=True) for task in PANEL])
        assert obedient["followed_rate"] > 0.9

    anyio.run(main)


def test_the_panel_has_three_kinds_of_orders() -> None:
    kinds = [task.tags[-1] for task in PANEL]
    assert {kind: kinds.count(kind) for kind in set(kinds)}.keys() == {"answer", "call", "give-up"}
    assert min(kinds.count(kind) for kind in set(kinds)) >= 28
