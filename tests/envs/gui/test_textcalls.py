"""Actions written as BrowserGym writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.textcalls import MOST, read, vocabulary

TOOLS = GuiEnv.listed_tools()


def one(text: str) -> tuple[str, dict[str, object]]:
    reading = read(text, TOOLS)
    assert reading.error == ""
    (call,) = reading.calls
    return call.tool, dict(call.arguments)


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("click('12')", "click", {"id": "12"}),
        ('click("5", button="right", modifiers=[])', "click", {"id": "5", "button": "right", "modifiers": []}),
        ("click(bid=12)", "click", {"id": 12}),
        ("dblclick('3')", "click", {"id": "3", "clicks": 2}),
        ("fill('5', 'in (brackets) and \\'quotes\\'')", "fill", {"id": "5", "text": "in (brackets) and 'quotes'"}),
        ("clear('7')", "fill", {"id": "7", "text": ""}),
        ("select_option('c48', ['red', 'green'])", "select", {"id": "c48", "options": ["red", "green"]}),
        ("press('88', 'Control+a')", "press", {"id": "88", "keys": "Control+a"}),
        ("keyboard_press('Enter')", "press", {"keys": "Enter"}),
        ("scroll(0, -200.5)", "scroll", {"dx": 0, "dy": -200.5}),
        ("drag_and_drop('1', '2')", "drag", {"from_id": "1", "to_id": "2"}),
        ("mouse_click(10, 20)", "click_at", {"x": 10, "y": 20}),
        ("mouse_drag_and_drop(1, 2, 3, 4)", "drag_at", {"from_x": 1, "from_y": 2, "to_x": 3, "to_y": 4}),
        ("go_back()", "back", {}),
        ("tab_focus(1)", "tab_focus", {"index": 1}),
        ("send_msg_to_user('42')", "answer", {"text": "42"}),
        ("report_infeasible('no such thing')", "infeasible", {"reason": "no such thing"}),
        ("noop()", "wait", {}),
        ("noop(500)", "wait", {"ms": 500}),
        ("select('3', ['b'])", "select", {"id": "3", "options": ["b"]}),
        ("I think I should click the button.\n```python\nclick('4')\n```", "click", {"id": "4"}),
        ("I could click('3').\n<action>click('4')</action>", "click", {"id": "4"}),
        ("fill('1', \"click('2')\")", "fill", {"id": "1", "text": "click('2')"}),
        ("fill('1', 'a\nb')".replace("\n", "\\n"), "fill", {"id": "1", "text": "a\nb"}),
    ],
)  # fmt: skip
def test_reads_calls(text: str, tool: str, arguments: dict[str, object]) -> None:
    assert one(text) == (tool, arguments)


def test_reads_several_in_order() -> None:
    calls = read("fill('1', 'x')\nclick('2')", TOOLS).calls
    assert [call.tool for call in calls] == ["fill", "click"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("click('12'", "Write it like click(bid, button, modifiers)"),
        ("click(__import__('os').system('id'))", "no plain value"),
        ("click(open('/etc/passwd'))", "no plain value"),
        ("click(*['1'])", "no plain value"),
        ("click(**{'bid': '1'})", "** is not allowed"),
        ("click('1', 'left', [], 1, 2)", "takes 3 arguments, not 5"),
        ("fill('1', {'a': 1})", "cannot be an argument"),
        ("fill('1', 'it's')", "no call"),
        ("click('1')\n" * (MOST + 1), f"at most {MOST}"),
    ],
)
def test_tells_what_is_wrong_and_runs_nothing(text: str, why: str) -> None:
    reading = read(text, TOOLS)
    assert reading.calls == ()
    assert why in reading.error


@pytest.mark.parametrize("text", ["", "Let me think.", "myclick('1')", "page.click('1')", "click"])
def test_finds_nothing_where_nothing_is_called(text: str) -> None:
    assert read(text, TOOLS) == ((), "")


@given(st.text() | st.text(alphabet="click(fill'\"\\,)[]{}*=1. \n`", max_size=80))
def test_never_raises(text: str) -> None:
    reading = read(text, TOOLS)
    assert not (reading.calls and reading.error)


@given(st.text(), st.text())
def test_any_text_comes_through(bid: str, text: str) -> None:
    written = f"fill({bid!r}, {text!r})"
    assert one(written) == ("fill", {"id": bid, "text": text})


def test_describes_what_can_be_done() -> None:
    told = vocabulary(TOOLS)
    assert "fill(bid, value)  # " in told
    assert "mouse_click(x, y, button)" in told
    assert "mouse_click" not in vocabulary([spec for spec in TOOLS if spec.name != "click_at"])
