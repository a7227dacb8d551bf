"""Reward parts: by rules against the gold step, and by a vision model after the episode."""

from typing import Any

import pytest

from turnwise.envs import Action, ImagePart, Observation, TextPart, ToolCall
from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.judge import Seen, judged
from turnwise.envs.gui.rewards import PRESETS, Done, step_parts
from turnwise.envs.gui.settings import GuiConfig
from turnwise.envs.gui.sites import GoldStep
from turnwise.models import endpoint
from turnwise.models.fake import FakeServer, Script, say
from turnwise.tasks import Task

PNG = b"\x89PNG\r\n\x1a\n"
CLICK = GoldStep(tool="click", node=7)
FILL = GoldStep(tool="fill", node=7, args={"text": "Ada"})


@pytest.mark.parametrize(
    ("gold", "did", "around", "parts"),
    [
        (CLICK, Done(tool="click", target=7, text=None), [3, 1], {"action_type": 1, "target": 1}),
        (CLICK, Done(tool="click_at", target=9, text=None), [7, 1], {"action_type": 1, "target": 1}),
        (CLICK, Done(tool="click", target=9, text=None), [3, 1], {"action_type": 1, "target": 0}),
        (CLICK, Done(tool="fill", target=7, text="x"), [], {"action_type": 0, "target": 0}),
        (FILL, Done(tool="fill", target=7, text="Ada"), [], {"action_type": 1, "target": 1, "text": 1}),
        (FILL, Done(tool="fill", target=7, text="Adb"), [], {"action_type": 1, "target": 1, "text": 2 / 3}),
        (FILL, Done(tool="click", target=7, text=None), [], {"action_type": 0, "target": 0, "text": 0}),
        (GoldStep(tool="back"), Done(tool="back", target=None, text=None), [], {"action_type": 1}),
    ],
)
def test_steps_are_compared_with_the_gold(
    gold: GoldStep, did: Done, around: list[int], parts: dict[str, float]
) -> None:
    assert step_parts(did, gold, around) == pytest.approx(parts)


def test_a_solved_episode_outweighs_all_that_a_short_one_can_earn_by_steps() -> None:
    craft = PRESETS["craft"]
    assert craft["outcome"] > 10 * sum(craft[name] for name in ("action_type", "target", "text"))


def call(name: str, **arguments: Any) -> Action:
    return Action(calls=(ToolCall(id="a", name=name, arguments=arguments),))


@pytest.mark.browser
@pytest.mark.anyio
@pytest.mark.usefixtures("browser")
async def test_parts_are_paid_in_the_browser(controls: Task) -> None:
    async with GuiEnv(GuiConfig(rewards="craft-judged")) as env:
        await env.reset(controls, seed=0)
        right = await env.gold_action()
        arguments = right.calls[0].arguments
        assert isinstance(arguments, dict)
        wrong = await env.step(call("fill", id=arguments["id"], text="Bob"))
        values = {part.name: part.value for part in wrong.info.reward_parts}
        assert (values["action_type"], values["target"]) == (1.0, 1.0)
        assert values["text"] == 0.0
        # The second step of the solution is to click, whatever the first did.
        last = await env.step(await env.gold_action())
        parts = {part.name: part for part in last.info.reward_parts}
        assert (parts["action_type"].value, parts["target"].value) == (1.0, 1.0)
        assert (parts["outcome"].value, parts["completion"].value) == (0.0, 1.0)
        assert parts["judge"].value is None
        assert last.reward == pytest.approx(0.02 + 0.03 + 0.2)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "value"),
    [("It filled the form.\nscore: 7", 0.7), ("Score: 10/10", 1.0), ("score: 70", None), ("?", None)],
)
async def test_a_vision_model_judges_the_screenshots(answer: str, value: float | None) -> None:
    shown = Observation(parts=(TextPart(text="a page"), ImagePart.of(PNG)))
    with FakeServer(Script([say(answer)])) as server:
        async with endpoint("eyes", server.url) as model:

            async def ask(messages: Any) -> str:
                return (await model.complete(messages)).text

            part = await judged("Write Ada.", [Seen(call("click", id="1"), shown)], ask, model="eyes")
        (body,) = server.bodies
    assert part.value == value
    assert [piece["type"] for piece in body["messages"][0]["content"]] == ["text", "image_url"]
    assert isinstance(part.provenance, dict)
    assert part.provenance["answer"] == answer
    assert "click({'id': '1'})" in str(part.provenance["prompt"])


@pytest.mark.anyio
async def test_a_judge_that_fails_leaves_the_part_open() -> None:
    with FakeServer(Script([say("down", status=400)])) as server:
        async with endpoint("eyes", server.url) as model:

            async def ask(messages: Any) -> str:
                return (await model.complete(messages)).text

            part = await judged("Write Ada.", [], ask, model="eyes")
    assert part.value is None
    assert isinstance(part.provenance, dict)
    assert "error" in part.provenance
