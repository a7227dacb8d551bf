"""The environment: tools and tags over one state, judging, snapshots, hostile agents."""

import json
import random
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnwise.envs import Action, Env, Status, StopReason, ToolCall, make
from turnwise.envs.types import StepResult
from turnwise.errors import ConfigError, EnvError, TaskError
from turnwise.tasks import Task
from turnwise.tasks.panels import load_panel

PANEL = load_panel("search/world", "dev")
TASK = next(task for task in PANEL if task.tags == ("chain2",))
GONE = next(task for task in PANEL if task.tags == ("unanswerable",))


def call(name: str, **arguments: object) -> Action:
    return Action(calls=(ToolCall(id="c", name=name, arguments=arguments),))  # type: ignore[arg-type]


async def begun(task: Task = TASK, **config: Any) -> Env:
    env = make("search", **config)
    await env.reset(task, seed=0)
    return env


def parts(result: StepResult) -> dict[str, float | None]:
    return {part.name: part.value for part in result.info.reward_parts}


def first_page(task: Task) -> str:
    return str(task.gold["evidence"][0])  # type: ignore[index]


def test_search_open_find_and_answer() -> None:
    async def main() -> None:
        env = await begun(rewards="evidence")
        listed = await env.step(await env.gold_action())
        page = first_page(TASK)
        assert page in listed.observation.text
        assert parts(listed)["retrieval_hit"] == 1.0
        again = await env.step(call("search", query=TASK.instruction, top_k=3))
        assert [line[:3] for line in again.observation.text.splitlines() if line[0] == "["] == ["[1]", "[2]", "[3]"]
        opened = await env.step(call("open", doc_id=page))
        assert f"({page}), page 1 of 1" in opened.observation.text
        title = opened.observation.text.split(" (", maxsplit=1)[0]
        found = await env.step(call("find", doc_id=page, text=title.upper()))
        assert found.observation.text.startswith("page 1: …")
        assert "does not say" in (await env.step(call("find", doc_id=page, text="zebra crossing"))).observation.text
        done = await env.step(call("answer", text=str(TASK.gold["answers"][0]), evidence=[page]))  # type: ignore[index]
        assert (done.terminated, done.info.score, done.info.stop_reason) == (True, 1.0, StopReason.SOLVED)
        assert parts(done)["relevance"] == 0.5

    anyio.run(main)


@pytest.mark.parametrize(
    "action",
    [
        call("open", doc_id="nowhere"),
        call("open", doc_id=first_page(TASK), page=9),
        call("open", doc_id=first_page(TASK), page=-1),
        call("find", doc_id=first_page(TASK), text=" "),
        call("search", query="  "),
        call("search", query="x", top_k="many"),
        call("judge", useful=True),
        call("answer"),
        Action(text="I wonder."),
    ],
)
def test_what_is_wrong_is_invalid_and_changes_nothing(action: Action) -> None:
    async def main() -> None:
        env = await begun()
        before = await env.state_key()
        result = await env.step(action)
        assert result.info.status is Status.INVALID
        assert result.observation.text
        assert await env.state_key() == before

    anyio.run(main)


def test_abstaining_is_right_exactly_where_there_is_no_answer() -> None:
    async def main() -> None:
        for task, right, paid in ((GONE, True, 1.0), (TASK, False, -1.0)):
            env = await begun(task)
            result = await env.step(call("answer", text="It cannot be determined."[3:]))
            assert (result.info.success, parts(result)["abstention"]) == (right, paid)

    anyio.run(main)


def test_search_r1_observations_to_the_letter() -> None:
    async def main() -> None:
        env = await begun(interface="search-r1")
        title = str(TASK.gold["actions"][0]["calls"][0]["arguments"]["query"])  # type: ignore[index, call-overload]
        result = await env.step(f"<think>so</think><search> {title} </search> and <answer>dropped</answer>")
        text = result.observation.text
        assert text.startswith('\n\n<information>Doc 1(Title: "')
        assert text.endswith("</information>\n\n")
        assert text.count("\nDoc ") == 2
        wrong = await env.step("neither")
        assert wrong.observation.text.startswith("\nMy previous action is invalid. If I want to search")
        assert wrong.info.status is Status.INVALID
        done = await env.step("<answer> x </answer><search>y</search>")
        assert (done.terminated, done.observation.text) == (True, "")

    anyio.run(main)


def test_tags_cite_and_judge() -> None:
    async def main() -> None:
        env = await begun(interface="tags", judge="drop", rewards="reseek")
        early = await env.step("<judge>yes</judge><search>river</search>")
        assert early.info.status is Status.INVALID
        first = await env.step("<search>river</search>")
        assert first.info.status is Status.OK
        no = await env.step("<judge>No</judge><answer>x</answer>")
        assert no.info.status is Status.INVALID
        assert "search again" in no.observation.text
        assert no.info.metrics["dropped"] == 1.0
        gold = str(TASK.gold["actions"][0]["calls"][0]["arguments"]["query"])  # type: ignore[index, call-overload]
        await env.step(f"<search>{gold}</search>")
        yes = await env.step("<judge>Yes</judge>")
        assert yes.reward == pytest.approx(0.3)
        done = await env.step(f"<evidence>{first_page(TASK)}, t9</evidence><answer>x</answer>")
        assert parts(done)["relevance"] == 0.5
        assert parts(done)["format"] == 0.0

    anyio.run(main)


@pytest.mark.parametrize(
    ("helpful", "said", "paid"), [(1, True, 0.3), (0, True, -0.6), (1, False, -0.3), (0, False, 0.3)]
)
def test_resek_judge_reward(helpful: int, said: bool, paid: float) -> None:
    async def main() -> None:
        env = await begun(judge="label", rewards="reseek")
        await env.step(await env.gold_action() if helpful else call("search", query="zzz river"))
        result = await env.step(call("judge", useful=said))
        assert result.reward == pytest.approx(paid)
        provenance = next(part.provenance for part in result.info.reward_parts if part.name == "judge")
        assert provenance["ideal"] == ("yes" if helpful else "no")  # type: ignore[index, call-overload]
        assert (await env.step(call("judge", useful=said))).info.status is Status.INVALID

    anyio.run(main)


def test_a_policy_that_is_its_own_engine() -> None:
    async def main() -> None:
        env = await begun(interface="tags", engine="self", rewards="ssrl")
        search = "<think>a</think><search>b</search>"
        asked = await env.step(search)
        assert "between <information>" in asked.observation.text
        answer = TASK.gold["answers"][0]  # type: ignore[index]
        text = f"<information>c <answer>no</answer>\nd</information><think>e</think><answer>{answer}</answer>"
        assert [text[a:b] for a, b in env.self_spans(text)] == [text[: text.index("<think>")]]  # type: ignore[attr-defined]
        done = await env.step(text)
        assert done.info.success
        real = await begun(interface="tags")
        assert real.self_spans(text) == ()  # type: ignore[attr-defined]

    anyio.run(main)


def test_own_engine_needs_tags() -> None:
    with pytest.raises(ConfigError, match="tag interface"):
        make("search", engine="self")


def test_a_task_without_corpus_says_what_to_set() -> None:
    async def main() -> None:
        with pytest.raises(TaskError, match="retriever"):
            await make("search").reset(TASK.model_copy(update={"data": {}}), seed=0)

    anyio.run(main)


def test_another_world_than_the_task_names_is_refused() -> None:
    async def main() -> None:
        data = json.loads(json.dumps(TASK.data))
        data["corpus"]["digest"] = "sha256:" + "0" * 64
        with pytest.raises(TaskError, match="another version"):
            await make("search").reset(TASK.model_copy(update={"data": data}), seed=0)

    anyio.run(main)


@pytest.mark.parametrize("config", [{}, {"interface": "tags"}, {"judge": "label"}])
def test_a_restored_episode_goes_on_as_the_first_would(config: dict[str, Any]) -> None:
    async def main() -> None:
        env, rng = await begun(**config), random.Random(3)
        for _ in range(4):
            await env.step(await env.sample_action(rng))
            if (await env.snapshot()).state["over"]:  # type: ignore[index, call-overload]
                await env.reset(TASK, seed=0)
        snapshot = type(await env.snapshot()).model_validate_json((await env.snapshot()).model_dump_json())
        other = make("search", **config)
        await other.restore(snapshot, TASK)
        assert await other.state_key() == await env.state_key()
        ahead = call("answer", text="x") if not config.get("interface") else "<answer>x</answer>"
        for action in (await env.sample_action(random.Random(1)), ahead):
            if (await env.snapshot()).state["over"]:  # type: ignore[index, call-overload]
                break
            mine, theirs = await env.step(action), await other.step(action)
            assert mine.observation == theirs.observation
            assert mine.reward == theirs.reward
            assert mine.info.state_key == theirs.info.state_key
        with pytest.raises(EnvError, match="is of task"):
            await other.restore(snapshot, GONE)

    anyio.run(main)


def test_gold_never_leaks() -> None:
    async def main() -> None:
        other = TASK.model_copy(update={"gold": GONE.gold})
        rng = random.Random(0)
        for config in ({}, {"interface": "tags", "judge": "label"}):
            one, two = await begun(TASK, **config), await begun(other, **config)
            for _ in range(30):
                action = await one.sample_action(rng)
                if "answer" in action.text or any(c.name == "answer" for c in action.calls):
                    continue
                mine, theirs = await one.step(action), await two.step(action)
                assert mine.observation == theirs.observation
                assert mine.info.state_key == theirs.info.state_key
            assert one.tools == two.tools

    anyio.run(main)


TAGS = (
    "<search> </search> <answer> </answer> <judge> </judge> <information> </information> <evidence> </evidence> <think>"
)
PIECES = st.lists(
    st.sampled_from([*TAGS.split(), "yes", "no", "river", "\x00", "\ud800", "AND (", '"', "é", " "]), max_size=12
).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, min_size=1, max_size=6), st.sampled_from(["real", "self"]))
def test_malformed_tags_never_raise(messages: list[str], engine: str) -> None:
    async def main() -> None:
        env = await begun(interface="tags", engine=engine, judge="label")
        for message in messages:
            result = await env.step(message)
            if result.terminated:
                break

    anyio.run(main)


HOSTILE = [
    '"',
    "a AND (b",
    "title:x^99",
    "\x00",
    "\ud800",
    "* ? ~ [ ] { } \\",
    "é" * 5000,
    "river " * 3000,
    "-",
    "a\u202eb",
    "🙂",
]


def test_hostile_actions_never_raise() -> None:
    async def main() -> None:
        await random_actions(2_000)

    anyio.run(main)


@pytest.mark.slow
def test_a_hundred_thousand_hostile_actions_never_raise() -> None:
    anyio.run(random_actions, 100_000)


async def random_actions(n: int) -> None:
    rng, tasks = random.Random(0), list(PANEL)
    verbs = ["search", "open", "find", "judge", "answer", "rm", ""]
    for config in ({"judge": "label"}, {"interface": "tags", "judge": "drop"}):
        env = await begun(rng.choice(tasks), **config)
        for _ in range(n // 2):
            action: Action | str = await env.sample_action(rng)
            roll = rng.random()
            if roll < 0.2:
                names = rng.sample(["query", "top_k", "doc_id", "page", "text", "evidence", "useful"], 3)
                values = [*HOSTILE, None, -1, 2**53, [], {"a": []}, True, first_page(TASK)]
                action = call(rng.choice(verbs), **{name: rng.choice(values) for name in names})
            elif roll < 0.3:
                action = "".join(rng.choices([*HOSTILE, "<search>", "</search>", "<judge>", "search[", "]"], k=5))
            result = await env.step(action)
            if result.terminated:
                await env.reset(rng.choice(tasks), seed=0)
