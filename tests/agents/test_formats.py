"""Formats read back what they write, survive what anybody writes, and show observations as endpoints take them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.agents.formats import FORMATS, ActionFormat, Parsed, Unparsable, make_format
from turnwise.envs import Action, ImagePart, Observation, Status, TextPart, ToolCall, ToolResult, ToolSpec
from turnwise.errors import UnknownNameError
from turnwise.models.fake.checks import complaint

ONE = {"type": "object", "properties": {"query": {"type": "string", "description": "What to look for."}}}
TWO = {"type": "object", "properties": {"id": {"type": "string"}, "page": {"type": "integer"}}}
TOOLS = (
    ToolSpec(name="search", description="Search.", parameters=ONE),
    ToolSpec(name="open", description="Open a page.", parameters=TWO),
    ToolSpec(name="back", description="Go back.", parameters={"type": "object", "properties": {}}),
)
PNG = ImagePart.of(b"\x89PNG\r\n\x1a\n rest")

formats = st.sampled_from([make_format(name) for name in FORMATS])
keys = st.text(st.characters(codec="utf-8"), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(keys, plain, max_size=4)
noise = st.text(max_size=60) | st.text('<>/[]{}":search openback', max_size=80)


@given(formats, st.sampled_from([spec.name for spec in TOOLS]), arguments, st.sampled_from(["", "I shall look."]))
def test_what_is_written_is_read_back(spoken: ActionFormat, name: str, given_: dict[str, Any], text: str) -> None:
    action = Action(text=text, calls=(ToolCall(id="call_0_0", name=name, arguments=given_),))
    read = spoken.parse(spoken.write(action), TOOLS, 0)
    assert isinstance(read, Parsed)
    assert read.action.calls == action.calls


@settings(max_examples=300)
@given(formats, noise, noise)
def test_no_message_makes_a_format_raise(spoken: ActionFormat, text: str, raw: str) -> None:
    function: Any = {"name": raw, "arguments": text}
    for message in (
        {"role": "assistant", "content": text},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "", "type": "function", "function": function}]},
        {"role": "assistant", "content": text, "tool_calls": [{"id": raw}, 3, {"function": None}]},
        {"role": "assistant", "content": f"<search>{text}</search> search[{raw}] {{{text}"},
        {"role": "assistant"},
    ):
        read = spoken.parse(message, TOOLS, 2)  # type: ignore[arg-type]
        assert isinstance(read, Parsed | Unparsable)
        if isinstance(read, Parsed):
            opening: Any = [{"role": "user", "content": "x"}]
            answers = spoken.answers(read.action, Observation.of("seen"))
            assert complaint({"model": "m", "messages": [*opening, read.message, *answers]}) is None


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_size_and_depth_are_read_quickly_or_refused(name: str) -> None:
    for text in ("<search>" * 20_000, "search[" * 20_000, '{"tool":' * 20_000, "[" * 50_000, "<think>" * 20_000):
        make_format(name).parse({"role": "assistant", "content": text}, TOOLS, 0)
    deep: Any = "[" * 500 + "]" * 500
    function: Any = {"name": "search", "arguments": f'{{"query": {deep}}}'}
    message: Any = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": function}]}
    read = make_format("native").parse(message, TOOLS, 0)
    assert isinstance(read, Parsed)
    assert isinstance(read.action.calls[0].arguments, str)


@pytest.mark.parametrize(
    ("name", "text", "called"),
    [
        ("tags", "I look. <search>red shoes</search>", ("search", {"query": "red shoes"})),
        ("tags", '<open>{"id": "B1", "page": 2}</open>', ("open", {"id": "B1", "page": 2})),
        ("tags", "<back></back>", ("back", {})),
        ("tags", "<search>a</search> then <search>b</search>", ("search", {"query": "b"})),
        ("tags", "<think><search>a</search></think><back></back>", ("back", {})),
        ("tags", "if <search>a</search> helps</think> <back></back>", ("back", {})),
        ("brackets", "Action: search[red [wide] shoes]", ("search", {"query": "red [wide] shoes"})),
        ("json", 'so: ```json\n{"tool": "search", "arguments": {"query": "x"}}\n```', ("search", {"query": "x"})),
        ("json", '{"name": "nope", "arguments": {}}', ("nope", {})),
        ("json", '{"tool": "open", "arguments": "B1"}', ("open", "B1")),
    ],
)
def test_calls_as_models_write_them(name: str, text: str, called: tuple[str, Any]) -> None:
    read = make_format(name).parse({"role": "assistant", "content": text}, TOOLS, 0)
    assert isinstance(read, Parsed)
    assert [(call.name, call.arguments) for call in read.action.calls] == [called]
    assert read.action.text == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tags", "I think <search>red"),
        ("tags", "<think><search>a</search>"),
        ("tags", "<fly>home</fly>"),
        ("brackets", "let me search for it"),
        ("json", '{"query": "x"}'),
        ("json", '{"tool": "search", "arguments": {"query": NaN}}'),
        ("native", "  "),
    ],
)
def test_messages_without_a_call_are_unparsable(name: str, text: str) -> None:
    assert isinstance(make_format(name).parse({"role": "assistant", "content": text}, TOOLS, 0), Unparsable)


def _native(*calls: tuple[str, str, str]) -> Any:
    shaped = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    return {"role": "assistant", "content": None, "tool_calls": shaped}


def test_native_keeps_what_is_right_and_mends_what_endpoints_refuse() -> None:
    fine = _native(("a", "search", '{"query":  "x"}'), ("b", "back", "{}"))
    read = make_format("native").parse(fine, TOOLS, 0)
    assert isinstance(read, Parsed)
    assert read.message is fine

    broken = _native(("a", "search", '{"query": '), ("a", "back", ""))
    mended = make_format("native").parse(broken, TOOLS, 3)
    assert isinstance(mended, Parsed)
    assert [(call.id, call.arguments) for call in mended.action.calls] == [
        ("call_3_0", '{"query": '),
        ("call_3_1", {}),
    ]
    sent: Any = mended.message["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in sent] == [{"unparsed": '{"query": '}, {}]
    assert [call["id"] for call in sent] == ["call_3_0", "call_3_1"]


def test_native_answers_every_call_and_shows_images_as_a_user() -> None:
    action = Action(calls=(ToolCall(id="a", name="search"), ToolCall(id="b", name="back")))
    result = ToolResult(call_id="a", parts=(TextPart(text="found"), PNG), status=Status.OK)
    messages = make_format("native").answers(action, Observation(results=(result,)))
    assert [message["role"] for message in messages] == ["tool", "tool", "user"]
    assert messages[0]["content"] == "found"
    assert messages[1]["tool_call_id"] == "b"
    chat = [{"role": "user", "content": "x"}, make_format("native").write(action), *messages]
    assert complaint({"model": "m", "messages": chat}) is None


@pytest.mark.parametrize("name", FORMATS)
def test_images_travel_as_data_urls_and_a_record_without_bytes_as_text(name: str) -> None:
    spoken = make_format(name)
    [message] = spoken.opening(Observation(parts=(TextPart(text="look"), PNG)))
    assert complaint({"model": "m", "messages": [message]}) is None
    assert isinstance(message["content"], list)
    assert message["content"][1]["type"] == "image_url"  # type: ignore[index, call-overload]
    bare = ImagePart(digest=PNG.digest)
    [told] = spoken.opening(Observation(parts=(bare,)))
    assert told["content"] == [{"type": "text", "text": f"[image {PNG.digest[:8]}]"}]


def test_written_formats_tell_the_tools_and_native_sends_schemas() -> None:
    for name in ("tags", "brackets", "json"):
        told = make_format(name).instructions(TOOLS) or ""
        assert "- open(id, page): Open a page." in told
        assert "query (string): What to look for." in told
        assert make_format(name).schemas(TOOLS) == []
    native = make_format("native")
    assert native.instructions(TOOLS) is None
    assert len(native.schemas(TOOLS)) == 3


def test_an_unknown_format_suggests_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tags'"):
        make_format("tag")
