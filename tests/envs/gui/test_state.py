"""State keys, replay, and the same text from browsers that never met."""

import random
import warnings

import pytest

from turnwise.envs import Action, Snapshot, ToolCall
from turnwise.envs.check import check_env_async
from turnwise.envs.gui.engine import Engine
from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.settings import GuiConfig
from turnwise.envs.gui.shop import as_text
from turnwise.envs.webshop import WebShopEnv
from turnwise.errors import EnvError
from turnwise.tasks import Task, load_panel

pytestmark = [pytest.mark.browser, pytest.mark.anyio, pytest.mark.usefixtures("browser")]
SHOPPING = load_panel("gui/shop", "test").sample(2, 0).tasks


def call(name: str, **arguments: object) -> Action:
    return Action(calls=(ToolCall(id="a", name=name, arguments=arguments),))  # type: ignore[arg-type]


def endless(task: Task) -> Task:
    return task.model_copy(update={"gold": {name: value for name, value in task.gold.items() if name != "done"}})


async def course(task: Task, turns: int = 8) -> list[tuple[str, str, float]]:
    """Play half gold, half at random, and take down all that must be the same elsewhere."""
    rng = random.Random(7)
    async with GuiEnv() as env:
        observation, info = await env.reset(task, seed=3)
        told = [(observation.text, info.state_key, 0.0)]
        for turn in range(turns):
            try:
                action = await (env.gold_action() if turn < turns // 2 else env.sample_action(rng))
            except EnvError:
                action = await env.sample_action(rng)
            result = await env.step(action)
            told.append((result.observation.text, result.info.state_key, result.reward))
            if result.terminated:
                break
        return told


async def test_two_fresh_browsers_show_the_same(controls: Task) -> None:
    tasks = [endless(controls), *SHOPPING]
    first = [await course(task) for task in tasks]
    await (await Engine.shared()).close()
    assert [await course(task) for task in tasks] == first


@pytest.mark.parametrize(
    ("tool", "target", "changes"),
    [("fill", "#name", True), ("click", "#agree", True), ("focus", "#keys", True), ("wait", None, False)],
)
async def test_the_key_follows_documents_fields_and_focus(
    controls: Task, tool: str, target: str | None, *, changes: bool
) -> None:
    async with GuiEnv() as env:
        _, info = await env.reset(endless(controls), seed=0)
        arguments = {"text": "x"} if tool == "fill" else {}
        if target is not None:
            node = await env.session.active.isolated_node("s => document.querySelector(s)", target)
            assert node is not None
            shown = env.shown_for(node)
            assert shown is not None
            arguments["id"] = shown.id
        result = await env.step(call(tool, **arguments))
        assert (result.info.state_key != info.state_key) is changes


async def test_a_snapshot_is_replayed_and_checked(controls: Task) -> None:
    async with GuiEnv() as env, GuiEnv() as other:
        await env.reset(controls, seed=0)
        await env.step(await env.gold_action())
        snapshot = Snapshot.model_validate_json((await env.snapshot()).model_dump_json())
        await other.restore(snapshot, controls)
        assert await other.state_key() == await env.state_key()
        done = await other.step(await other.gold_action())
        assert done.info.success
        with pytest.raises(EnvError, match="task"):
            await other.restore(snapshot, controls.model_copy(update={"instruction": "Something else."}))


@pytest.mark.parametrize(
    "config",
    [GuiConfig(), GuiConfig(page="dom"), GuiConfig(targets="coordinates", page="none", screenshot="plain")],
    ids=["tree", "html", "pixels"],
)
async def test_one_shop_task_by_page_or_by_pixels_earns_what_it_earns_by_text(config: GuiConfig) -> None:
    task = SHOPPING[0]
    async with WebShopEnv() as shop:
        await shop.reset(as_text(task), seed=0)
        while not (text := await shop.step(await shop.gold_action())).terminated:
            pass
    async with GuiEnv(config) as env:
        observation, _ = await env.reset(task, seed=0)
        assert task.instruction in observation.text
        for _ in range(15):
            result = await env.step(await env.gold_action())
            if result.terminated:
                break
    assert (result.info.score, result.info.success) == (text.info.score, text.info.success)
    parts = {part.name: part.value for part in result.info.reward_parts}
    assert {part.name: part.value for part in text.info.reward_parts}.items() <= parts.items()


async def test_the_shop_keeps_the_contract() -> None:
    quick = ("instruction_shown", "gold_does_not_leak", "truncation_grades", "gold_solves", "null_stays_low")
    report = await check_env_async("gui", SHOPPING, n=1, turns=3, checks=quick)
    assert report.ok, str(report)


async def test_without_the_sandbox_there_is_a_warning(controls: Task) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with GuiEnv(GuiConfig(chromium_sandbox=False)) as env:
            await env.reset(controls, seed=0)
    engine = await Engine.shared(env.engine_config)
    await engine.close()
    assert any("sandbox" in str(warning.message) for warning in caught)
