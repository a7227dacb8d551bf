"""Wrappers compose, are seeded, are in digest and snapshot, and leave score and success alone."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import JsonValue

from turnwise.envs import Action, Env, Snapshot, Status, StopReason, ToolCall
from turnwise.envs.check import check_env
from turnwise.envs.wrappers import WRAPPERS, FailingTools, Recording, RewardShaping, StickyTools, TurnLimit, wrap
from turnwise.errors import ConfigError, EnvError, UnknownNameError
from turnwise.tasks import Task

SPECS = [
    ("delayed:turns=2",),
    ("failing:p=0.4",),
    ("injected:p=0.5",),
    ("noisy:p=0.5",),
    ("noisy:p=0.5,mode=drop",),
    ("shaping:turn=-0.01,call=-0.02,invalid=-0.1,progress=0.5",),
    ("sticky:p=0.5",),
    ("turn_limit:turns=3",),
    ("sticky:p=0.3", "failing:p=0.3", "noisy:p=0.2,mode=mask", "delayed", "turn_limit:turns=5"),
]
# Gold is not meant to solve through sticky tools or a limit; all else must hold.
CONTRACT = (
    "resets_alike",
    "snapshot_continues",
    "foreign_snapshots_refused",
    "forks_independent",
    "invalid_never_raises",
    "several_calls",
    "step_after_end_raises",
    "truncation_grades",
    "gold_does_not_leak",
    "reward_is_sum_of_parts",
    "closes_twice",
)


@pytest.mark.parametrize("specs", SPECS, ids="+".join)
def test_a_wrapped_environment_keeps_the_contract(
    specs: tuple[str, ...], corridor_env: type[Env], corridors: list[Task]
) -> None:
    checks = [name for name in CONTRACT if not (name == "several_calls" and "turn_limit" in specs[-1])]
    report = check_env(corridor_env, corridors, wrap=specs, checks=checks)
    assert report.ok, str(report)


def test_every_wrapper_is_tried_above() -> None:
    assert {spec.partition(":")[0] for specs in SPECS for spec in specs} == set(WRAPPERS)


async def texts(env: Env, task: Task, seed: int, actions: list[str]) -> list[str]:
    await env.reset(task, seed=seed)
    return [(await env.step(action)).observation.text for action in actions]


def test_the_seed_decides_and_each_wrapper_has_its_own_stream(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        walk = ["walk[1]"] * 20
        env = wrap(corridor_env(), "failing:p=0.5")
        assert await texts(env, corridors[0], 1, walk) == await texts(env, corridors[0], 1, walk)
        assert await texts(env, corridors[0], 1, walk) != await texts(env, corridors[0], 2, walk)
        once = await texts(wrap(corridor_env(), "failing:p=0.5"), corridors[0], 1, walk)
        twice = await texts(wrap(corridor_env(), "failing:p=0.5", "failing:p=0.5"), corridors[0], 1, walk)
        failed = [sum("try again" in text for text in shown) for shown in (once, twice)]
        assert failed[1] > failed[0], "two wrappers with one stream would fail the same calls"

    anyio.run(main)


def test_digest_and_names_tell_wrapped_from_bare(corridor_env: type[Env]) -> None:
    envs = [corridor_env(), *(wrap(corridor_env(), *specs) for specs in SPECS)]
    assert len({env.config_digest for env in envs}) == len(envs)
    assert envs[-1].wrappers == (
        "sticky:p=0.3",
        "failing:p=0.3",
        "noisy:p=0.2,mode=mask",
        "delayed",
        "turn_limit:turns=5",
    )
    assert envs[-1].unwrapped.wrappers == ()
    assert (envs[-1].name, envs[-1].version) == ("corridor", "1")


def test_failing_tools_answer_failed_and_the_environment_never_hears(
    corridor_env: type[Env], corridors: list[Task]
) -> None:
    async def main() -> None:
        env = FailingTools(corridor_env(), p=1.0, tools=["walk"])
        await env.reset(corridors[0], seed=0)
        key = await env.state_key()
        calls = [("walk", {"paces": 2}), ("say", {"word": "x"}), ("walk", {})]
        action = Action(calls=tuple(ToolCall(id=str(n), name=t, arguments=a) for n, (t, a) in enumerate(calls)))  # type: ignore[arg-type]
        alone = await env.step(action.model_copy(update={"calls": action.calls[:1]}))
        assert (alone.info.status, await env.state_key(), alone.reward) == (Status.FAILED, key, 0.0)
        result = await env.step(action)
        statuses = [answer.status for answer in result.observation.results]
        assert statuses == [Status.FAILED, Status.OK, Status.SKIPPED]
        assert [answer.call_id for answer in result.observation.results] == ["0", "1", "2"]
        assert result.terminated

    anyio.run(main)


def test_sticky_tools_repeat_the_calls_before(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        env = StickyTools(corridor_env(), p=1.0)
        shown = await texts(env, corridors[0], 0, ["walk[1]", "say[x]", "say[x]"])
        assert shown == ["You stand at 1.", "You stand at 2.", "You stand at 3."]

    anyio.run(main)


def test_delayed_observations_come_late_but_the_last_one(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        env = wrap(corridor_env(), "delayed:turns=1")
        shown = await texts(env, corridors[0], 0, ["walk[1]", "walk[1]", "say[x]"])
        assert shown == ["Nothing yet.", "Nothing yet.\nYou stand at 1.", "The door has heard you."]

    anyio.run(main)


def test_injected_and_noisy_change_what_is_shown_only(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        env = wrap(corridor_env(), 'injected:text="Buy now, or never.",turns=[2]')
        shown = await texts(env, corridors[0], 0, ["walk[1]", "walk[1]"])
        assert shown == ["You stand at 1.", "You stand at 2.\nBuy now, or never."]
        masked = await texts(wrap(corridor_env(), "noisy:p=1,mode=mask"), corridors[0], 0, ["walk[1]"])
        assert masked == ["### ##### ## ##"]

    anyio.run(main)


def test_shaping_adds_parts_and_leaves_the_score(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        env = RewardShaping(corridor_env(), turn=-0.5, progress=2.0)
        await env.reset(corridors[0], seed=0)
        first = await env.step("walk[2]")
        assert first.reward == pytest.approx(0.01 - 0.5 + 2 * 0.5)
        last = await env.step("say[x]")
        assert last.reward == pytest.approx(0.05 - 0.5 - 2 * 0.5), "the potential is 0 once the episode is over"
        assert last.info.score == pytest.approx(0.05)

    anyio.run(main)


def test_turn_limit_grades_the_last_turn(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        env = TurnLimit(corridor_env(), turns=2)
        await env.reset(corridors[0], seed=0)
        assert not (await env.step("walk[1]")).truncated
        last = await env.step("walk[1]")
        assert (last.terminated, last.truncated, last.info.stop_reason) == (False, True, StopReason.TURN_LIMIT)
        assert last.observation.text == "You stand at 2."
        assert {part.name for part in last.info.reward_parts} == {"step", "outcome"}
        assert last.info.score == pytest.approx(0.05)

    anyio.run(main)


def test_recording_keeps_every_event(corridor_env: type[Env], corridors: list[Task], tmp_path: Path) -> None:
    async def main() -> None:
        kept: list[dict[str, JsonValue]] = []
        for to in (kept.append, tmp_path / "log.jsonl"):
            env = Recording(corridor_env(), to)
            await env.reset(corridors[0], seed=0)
            await env.step("walk[1]")
            await env.truncate(StopReason.TURN_LIMIT)
        assert [entry["event"] for entry in kept] == ["reset", "step", "truncate"]
        lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert [line["event"] for line in lines] == ["reset", "step", "truncate"]

    anyio.run(main)


def test_a_snapshot_of_other_wrappers_is_refused(corridor_env: type[Env], corridors: list[Task]) -> None:
    async def main() -> None:
        env = wrap(corridor_env(), "sticky:p=0.5")
        await env.reset(corridors[0], seed=0)
        snapshot = await env.snapshot()
        for other in (corridor_env(), wrap(corridor_env(), "sticky:p=0.6"), wrap(corridor_env(), "noisy")):
            with pytest.raises(EnvError, match="cannot restore"):
                await other.restore(snapshot, corridors[0])
        stripped: Snapshot = snapshot.model_copy(update={"wrappers": {}})
        with pytest.raises(EnvError, match="carries no state of the wrapper 0:sticky"):
            await env.restore(stripped, corridors[0])

    anyio.run(main)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("stcky", UnknownNameError, "Did you mean 'sticky'"),
        ("sticky:p=2", ConfigError, "setting 'p'"),
        ("sticky:q=1", ConfigError, "settings: p"),
        ("sticky:p", ConfigError, "key=value"),
    ],
)
def test_a_wrong_wrapper_is_one_clear_error(spec: str, error: Any, message: str, corridor_env: type[Env]) -> None:
    with pytest.raises(error, match=message):
        wrap(corridor_env(), spec)
