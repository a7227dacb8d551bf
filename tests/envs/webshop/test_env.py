"""The environment: proofs, both interfaces, hostile actions, snapshots, floors."""

import os
import random
import subprocess
import sys
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.envs import Action, Status, StopReason, ToolCall, make
from turnwise.envs.webshop import WebShopEnv
from turnwise.envs.webshop.rules import Page
from turnwise.errors import EnvError, TaskError
from turnwise.tasks import Task, load_panel

PANEL = load_panel("webshop/shop")
TEST = PANEL.split("test")
TASK = TEST.tasks[0]
TURNS = 15


def env_of(**config: Any) -> WebShopEnv:
    made = make("webshop", **config)
    assert isinstance(made, WebShopEnv)
    return made


def call(name: str, **arguments: str) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments=dict(arguments)),))


async def scores(tasks: Any, policy: str, **config: Any) -> list[float]:
    """Play every task with the gold, a random or no policy; return the scores."""
    env, found = env_of(**config), []
    for task in tasks:
        rng = random.Random(task.id)
        await env.reset(task, seed=0)
        for _ in range(TURNS):
            action = await (env.gold_action() if policy == "gold" else env.sample_action(rng))
            result = await env.step(Action() if policy == "null" else action)
            if result.terminated:
                break
        else:
            result = await env.truncate(StopReason.TURN_LIMIT)
        assert result.info.score is not None
        found.append(result.info.score)
    return found


@pytest.mark.parametrize("interface", ["tools", "webshop"])
@pytest.mark.parametrize("grading", ["webshop", "hardened"])
def test_the_gold_actions_solve_every_task(interface: str, grading: str) -> None:
    tasks = PANEL if grading == "webshop" else TEST
    assert anyio.run(lambda: scores(tasks, "gold", interface=interface, grading=grading)) == [1.0] * len(tasks)


@pytest.mark.parametrize("interface", ["tools", "webshop"])
@pytest.mark.parametrize("policy", ["random", "null"])
def test_chance_earns_little(interface: str, policy: str) -> None:
    found = anyio.run(lambda: scores(TEST, policy, interface=interface))
    assert sum(found) / len(found) <= 0.15
    assert sum(score == 1.0 for score in found) / len(found) <= 0.05


def test_the_panel_is_the_same_everywhere() -> None:
    sizes = {name: len(PANEL.split(name)) for name in PANEL.splits}
    assert sizes == {"train": 300, "dev": 100, "test": 100}
    code = "from turnwise.tasks import load_panel; print(load_panel('webshop/shop').digest)"
    environ = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.strip() == PANEL.digest


def test_splits_share_no_family_of_products() -> None:
    from turnwise.envs.webshop.catalogue import load

    shop = load(str(TASK.data["catalogue"]))
    families: dict[int, set[str]] = {}
    for task in PANEL:
        number = shop.number(task.gold["goal"]["asin"])  # type: ignore[index,call-overload,arg-type]
        assert number is not None
        families.setdefault(number // 8, set()).add(task.split)
    assert all(len(splits) == 1 for splits in families.values())


def test_buying_ends_the_episode_with_the_parts_of_the_reward() -> None:
    async def main() -> None:
        env = env_of(rewards="hardened")
        await env.reset(TASK, seed=0)
        progress = [await env.progress()]
        while True:
            result = await env.step(await env.gold_action())
            progress.append(await env.progress())
            if result.terminated:
                break
        parts = {part.name: part for part in result.info.reward_parts}
        assert set(parts) >= {"r_type", "r_att", "r_price", "hardened", "webshop", "success", "outcome"}
        assert (result.reward, parts["outcome"].weight, parts["hardened"].weight) == (1.0, 0.0, 1.0)
        assert progress == sorted(progress)
        assert (progress[0], progress[-1]) == (0.0, 1.0)
        with pytest.raises(EnvError, match="over"):
            await env.step("search[x]")

    anyio.run(main)


def test_stopping_without_a_purchase_scores_nothing() -> None:
    async def main() -> None:
        env = env_of()
        await env.reset(TASK, seed=0)
        await env.step(await env.gold_action())
        result = await env.truncate(StopReason.TURN_LIMIT)
        assert (result.info.score, result.info.success) == (0.0, False)

    anyio.run(main)


@pytest.mark.parametrize(
    "action",
    [
        call("open", asin="B0"), call("choose", option="size", value="9"), call("buy"), call("back"),
        call("next_page"), call("description"), call("features"), call("search", query=""), call("click", element="x"),
        call("search"), Action(text="hello"), "buy[]", "search", "",
    ],
)  # fmt: skip
def test_a_wrong_call_is_answered_with_what_to_do(action: Action | str) -> None:
    async def main() -> None:
        env = env_of()
        await env.reset(TASK, seed=0)
        before = await env.state_key()
        result = await env.step(action)
        assert result.info.status is Status.INVALID
        assert result.observation.text.strip()
        assert await env.state_key() == before

    anyio.run(main)


@pytest.mark.parametrize(
    "text", ["Search[x]", "search[]", "click[search]", "click[buy now]", "search", "", "search[a[b]]", "\n", "buy[x]"]
)
def test_webshops_grammar_answers_a_wrong_action_with_the_same_page(text: str) -> None:
    async def main() -> None:
        env = env_of(interface="webshop")
        first, _ = await env.reset(TASK, seed=0)
        result = await env.step(text)
        assert (result.observation.text, result.reward, result.info.status) == (first.text, 0.0, Status.INVALID)

    anyio.run(main)


def test_webshops_grammar_reads_to_the_last_bracket_and_lower_cases_the_argument() -> None:
    async def main() -> None:
        env = env_of(interface="webshop")
        await env.reset(TASK, seed=0)
        await env.step("search[RED] shoes] now")
        assert env.shop.state.query == "red] shoes"

    anyio.run(main)


PIECES = [
    "search[",
    "click[",
    "]",
    "next >",
    "< prev",
    "buy now",
    "features",
    "back to search",
    "shoes",
    "\x00",
    "é",
    "\n",
]


async def hostile(count: int, seed: int) -> None:
    rng = random.Random(seed)
    envs = [env_of(), env_of(interface="webshop"), env_of(interface="webshop", observation="text_rich")]
    for env in envs:
        await env.reset(TASK, seed=0)
    for number in range(count):
        env = envs[number % 3]
        targets = [*env.shop.clickables(), *PIECES]
        text = "".join(rng.choice(PIECES if rng.random() < 0.3 else targets) for _ in range(rng.randrange(6)))
        if rng.random() < 0.6:
            text = f"{rng.choice(['click', 'search', 'open', 'choose', 'buy'])}[{rng.choice(targets)}]"
        if (await env.step(text)).terminated:
            await env.reset(TASK, seed=0)


def test_a_hundred_thousand_random_strings_never_raise() -> None:
    anyio.run(hostile, 100_000, 2)


CLICKS = {"description": "description", "features": "features", "next_page": "next >", "buy": "buy now"}


def as_clicks(env: WebShopEnv, action: Action) -> list[str]:
    """What a shopper with WebShop's grammar does to the same effect as a native call."""
    made, arguments = action.calls[0], action.calls[0].arguments
    assert isinstance(arguments, dict)
    page = env.shop.state.page
    if made.name == "search":
        return [f"search[{arguments['query']}]"]
    if made.name == "back":
        first = page is Page.RESULTS and env.shop.state.number == 1
        return ["click[back to search]" if first else "click[< prev]"]
    to_item = ["click[< prev]"] * (page is Page.SUB)
    if made.name == "open":
        return [*to_item, *["click[< prev]"] * (page in (Page.ITEM, Page.SUB)), f"click[{arguments['asin']}]"]
    target = arguments["value"] if made.name == "choose" else CLICKS[made.name]
    return [*to_item, f"click[{target}]"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), number=st.integers(0, len(PANEL.tasks) - 1))
def test_both_interfaces_give_the_same_states_and_rewards(seed: int, number: int) -> None:
    async def main() -> None:
        rng, task = random.Random(seed), PANEL.tasks[number]
        native, webshop = env_of(), env_of(interface="webshop")
        await native.reset(task, seed=0)
        await webshop.reset(task, seed=0)
        for _ in range(12):
            action = await (native.gold_action() if rng.random() < 0.3 else native.sample_action(rng))
            texts = as_clicks(native, action)
            left = await native.step(action)
            for text in texts:
                right = await webshop.step(text)
            assert left.info.status is Status.OK
            assert (left.reward, left.terminated, left.info.score) == (right.reward, right.terminated, right.info.score)
            assert left.info.state_key == right.info.state_key
            if left.terminated:
                break

    anyio.run(main)


def test_a_native_call_from_a_sub_page_finds_its_way() -> None:
    async def main() -> None:
        env = env_of()
        await env.reset(TASK, seed=0)
        await env.step(call("search", query="shoes"))
        asins = [env.shop.catalogue.product(number).asin for number in env.shop.listed()]
        for name, arguments in (("open", {"asin": asins[0]}), ("description", {}), ("features", {})):
            assert (await env.step(call(name, **arguments))).info.status is Status.OK
        result = await env.step(call("open", asin=asins[1].lower()))
        assert env.shop.product is not None
        assert env.shop.product.asin == asins[1]
        assert result.info.status is Status.OK

    anyio.run(main)


def test_snapshots_continue_alike_in_another_instance_and_survive_json() -> None:
    async def main() -> None:
        env, other = env_of(), env_of()
        await env.reset(TASK, seed=0)
        while True:
            snapshot = type(s := await env.snapshot()).model_validate_json(s.model_dump_json())
            await other.restore(snapshot, TASK)
            action = await env.gold_action()
            assert await other.gold_action() == action
            left, right = await env.step(action), await other.step(action)
            assert (left.observation, left.reward, left.info.state_key) == (
                right.observation,
                right.reward,
                right.info.state_key,
            )
            if left.terminated:
                break
        await other.restore(await env.snapshot(), TASK)
        with pytest.raises(EnvError, match="over"):
            await other.step("back[]")
        with pytest.raises(EnvError, match="task"):
            await other.restore(await env.snapshot(), TEST.tasks[1])
        with pytest.raises(EnvError, match="configuration"):
            await env_of(interface="webshop").restore(await env.snapshot(), TASK)

    anyio.run(main)


def test_gold_does_not_leak_before_the_end() -> None:
    async def main() -> None:
        twin = TASK.model_copy(update={"gold": TEST.tasks[1].gold})
        for interface in ("tools", "webshop"):
            left, right = env_of(interface=interface), env_of(interface=interface)
            assert (await left.reset(TASK, seed=0))[0] == (await right.reset(twin, seed=0))[0]
            assert left.tools == right.tools
            rng = random.Random(5)
            for _ in range(40):
                action = await left.sample_action(rng)
                if action.calls[0].name == "buy" or action.calls[0].arguments == {"element": "buy now"}:
                    continue
                one, two = await left.step(action), await right.step(action)
                assert (one.observation, one.info.state_key) == (two.observation, two.info.state_key)

    anyio.run(main)


def test_the_html_observation_has_forms_and_no_pictures() -> None:
    async def main() -> None:
        env = env_of(interface="webshop", observation="html")
        first, _ = await env.reset(TASK, seed=0)
        assert 'id="search_input"' in first.text
        while True:
            result = await env.step(await env.gold_action())
            assert result.observation.text.startswith("<!doctype html>")
            assert "<svg" not in result.observation.text
            if result.terminated:
                break
            assert "Back to Search" in result.observation.text
        assert '<b id="reward">1.0</b>' in result.observation.text

    anyio.run(main)


@pytest.mark.parametrize(
    ("update", "match"),
    [
        ({"gold": {}}, "gold.goal"),
        ({"data": {}}, "catalogue"),
        ({"data": {"catalogue": "nowhere", "digest": "x"}}, "no catalogue is named"),
        ({"data": {"catalogue": "generated:1000:7", "digest": "sha256:00"}}, "the task was made for"),
        ({"data": {"catalogue": "file", "digest": f"sha256:{'0' * 64}"}}, "not on this machine"),
    ],
)
def test_a_wrong_task_is_refused_in_one_clear_line(update: dict[str, Any], match: str) -> None:
    async def main() -> None:
        task: Task = TASK.model_copy(update=update)
        with pytest.raises(TaskError, match=match):
            await env_of().reset(task, seed=0)

    anyio.run(main)
