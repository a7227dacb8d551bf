"""Context policies show what they say they show."""

from typing import Any

import anyio
import pytest

from turnwise.agents.context import History, Shown, make_context
from turnwise.errors import ConfigError, UnknownNameError
from turnwise.models.completion import Message
from turnwise.models.fake.checks import complaint

OPENING: list[Message] = [{"role": "system", "content": "rules"}, {"role": "user", "content": "task"}]


def history(turns: int) -> History:
    made = History(list(OPENING))
    for i in range(turns):
        called: Any = [{"id": f"c{i}", "type": "function", "function": {"name": "go", "arguments": f'{{"n": {i}}}'}}]
        said: Message = {"role": "assistant", "content": None, "tool_calls": called}
        made.turns.append([said, {"role": "tool", "tool_call_id": f"c{i}", "content": f"saw {i}"}])
    return made


def shown(spec: str, turns: int, summaries: list[str] | None = None) -> Shown:
    asked: list[list[Message]] = []

    async def ask(messages: list[Message]) -> str:
        asked.append(messages)
        return f"summary {len(asked)}: " + (summaries or ["all well"])[0]

    async def main() -> Shown:
        policy, last = make_context(spec), Shown([])
        for length in range(turns + 1):
            last = await policy.show(history(length), ask)
            assert complaint({"model": "m", "messages": last.messages}) is None
        return last

    return anyio.run(main)


def texts(got: Shown) -> str:
    return " ".join(str(message.get("content")) for message in got.messages)


def test_full_shows_everything() -> None:
    got = shown("full", 5)
    assert len(got.messages) == 2 + 10
    assert (got.dropped, got.rewritten) == ((), None)


def test_window_keeps_the_opening_and_the_last_turns() -> None:
    got = shown("window:2", 5)
    assert [message["role"] for message in got.messages] == ["system", "user", *["assistant", "tool"] * 2]
    assert (got.dropped, got.rewritten) == ((0, 1, 2), "window")
    assert shown("window:5", 5).rewritten is None


def test_per_turn_never_shows_an_assistant_message() -> None:
    got = shown("per-turn", 3)
    assert [message["role"] for message in got.messages] == ["system", "user"]
    assert "task" in texts(got)
    assert "saw 2" in texts(got)
    assert 'go({"n": 2})' in texts(got)
    assert "saw 1" not in texts(got)
    assert (got.dropped, got.rewritten) == ((0, 1), "per_turn")


def test_summary_tells_older_turns_and_keeps_the_last() -> None:
    early = shown("summary:keep=2,every=3", 4)
    assert (early.dropped, early.summary, early.rewritten) == ((), None, None)
    first = shown("summary:keep=2,every=3", 5)
    assert (first.dropped, first.summary, first.rewritten) == ((0, 1, 2), "summary 1: all well", "summary")
    assert "saw 2" not in texts(first)
    assert "saw 3" in texts(first)
    # Between two summaries the prompt only grows, so that its tokens continue one sequence.
    grown = shown("summary:keep=2,every=3", 7)
    assert grown.messages[: len(first.messages)] == first.messages
    assert shown("summary:keep=2,every=3", 8).summary == "summary 2: all well"


def test_summary_by_prompt_size() -> None:
    async def main() -> Shown:
        policy = make_context("summary:keep=1,every=100,tokens=50")
        told = history(3)
        told.prompt_tokens = 51

        async def ask(_: list[Message]) -> str:
            return "short"

        return await policy.show(told, ask)

    assert anyio.run(main).dropped == (0, 1)


def test_pictures_last_shown_stay_in_a_per_turn_prompt() -> None:
    picture: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    told = History(list(OPENING), [[{"role": "assistant", "content": "x"}, {"role": "user", "content": [picture]}]])

    async def main() -> Shown:
        async def ask(_: list[Message]) -> str:
            return ""

        return await make_context("per-turn").show(told, ask)

    got = anyio.run(main)
    assert picture in got.messages[-1]["content"]  # type: ignore[operator]
    assert OPENING[1] == {"role": "user", "content": "task"}


@pytest.mark.parametrize("spec", ["window:0", "window:x", "summary:kepe=2", "full:3"])
def test_wrong_settings_are_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="settings"):
        make_context(spec)


def test_an_unknown_policy_suggests_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'window'"):
        make_context("windows")
