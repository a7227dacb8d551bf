"""What an agent does on a page and what it is told, in a real browser."""

import re
from typing import Any

import pytest

from turnwise.envs import Action, Status, StepResult, StopReason, ToolCall
from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.settings import GuiConfig
from turnwise.tasks import Task

pytestmark = [pytest.mark.browser, pytest.mark.anyio, pytest.mark.usefixtures("browser")]


def call(name: str, **arguments: Any) -> Action:
    return Action(calls=(ToolCall(id="a", name=name, arguments=arguments),))


def find(text: str, label: str) -> str:
    """Return the id of the line that ends so, or says so."""
    match = re.search(rf"\[(\d+)\] {re.escape(label)}", text)
    assert match, f"{label!r} is not in\n{text}"
    return match[1]


def log(text: str) -> str:
    match = re.search(r"StaticText '((?:[^']*;)+)'", text)
    return match[1] if match else ""


class Page:
    """An episode on the page of controls."""

    def __init__(self, env: GuiEnv) -> None:
        self.env, self.text = env, ""

    @classmethod
    async def open(cls, env: GuiEnv, task: Task) -> "Page":
        page = cls(env)
        # What ends the episode would get in the way.
        gold = {name: value for name, value in task.gold.items() if name != "done"}
        observation, _ = await env.reset(task.model_copy(update={"gold": gold}), seed=0)
        page.text = observation.text
        return page

    async def do(self, tool: str, label: str | None = None, **arguments: Any) -> StepResult:
        if label is not None:
            arguments["id"] = find(self.text, label)
        result = await self.env.step(call(tool, **arguments))
        self.text = result.observation.text
        return result


async def test_a_page_is_shown_as_a_tree(controls: Task) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        assert page.text.startswith(controls.instruction)
        assert "Files you may upload: notes.txt" in page.text
        assert "URL: https://page.test/index.html\n[1] RootWebArea 'Controls', focused" in page.text
        for line in (
            "button 'Press me'",
            "button 'Not now', disabled",
            "textbox 'Fixed', value='stays', readonly",
            "checkbox 'I agree', checked=false",
            "combobox 'Colour', value='Red'",
            "option 'Green'",
            "link 'Second page'",
            "button 'Inside'",
            "button 'In the shadow'",
            "StaticText 'Only a word'",
        ):
            assert re.search(rf"\[\d+\] {re.escape(line)}", page.text), (line, page.text)
        assert "Unseen" not in page.text


@pytest.mark.parametrize(
    ("tool", "label", "arguments", "noted"),
    [
        ("click", "button 'Press me'", {}, "plain;"),
        ("click", "button 'Press me'", {"button": "right"}, "menu;"),
        ("click", "StaticText 'Only a word'", {"clicks": 2}, "spoken;spoken;twice;"),
        ("click", "button 'Inside'", {}, "inside;"),
        ("click", "button 'In the shadow'", {}, "shadow;"),
        ("click", "button 'Later'", {}, "later;"),
        ("select", "combobox 'Colour'", {"options": "green"}, "colour Green;"),
        ("press", "textbox 'Keys'", {"keys": "x"}, "x;"),
        ("press", "textbox 'Keys'", {"keys": "ctrl+a"}, "ctrl-Control;ctrl-a;"),
        ("upload", "button 'File", {"files": "notes.txt"}, "file remember the milk;"),
    ],
)
async def test_actions_by_id(controls: Task, tool: str, label: str, arguments: dict[str, Any], noted: str) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        result = await page.do(tool, label, **arguments)
        assert result.info.status is Status.OK, page.text
        assert log(page.text) == noted


@pytest.mark.parametrize(
    ("label", "text", "shown"),
    [
        ("textbox 'Name'", "Ada Lovelace", "textbox 'Name', value='Ada Lovelace'"),
        ("Date 'Day'", "2024-02-29", "2024"),
        ("spinbutton 'Count'", "12", "spinbutton 'Count', value='12'"),
        ("slider 'Volume'", "7", "slider 'Volume', value='7'"),
        ("textbox 'Secret'", "abc", "textbox 'Secret', value='•••'"),
        ("textbox 'Story'", "two\nlines", "value='two lines'"),
        ("textbox 'Rich text'", "new", "textbox 'Rich text', value='new'"),
        ("textbox 'Inner field'", "in a frame", "textbox 'Inner field', value='in a frame'"),
    ],
)
async def test_fields_are_filled(controls: Task, label: str, text: str, shown: str) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        result = await page.do("fill", label, text=text)
        assert result.info.status is Status.OK, page.text
        assert shown in page.text
        if label != "slider 'Volume'":
            await page.do("fill", label, text="")
            assert shown not in page.text


@pytest.mark.parametrize(
    ("tool", "label", "arguments", "why"),
    [
        ("click", "button 'Not now'", {}, "is disabled"),
        ("click", "button 'Underneath'", {}, "is covered by <div id=\"cover\"> \"Cookies?\""),
        ("click", "option 'Green'", {}, "Choose it with select"),
        ("fill", "textbox 'Fixed'", {"text": "x"}, "is read-only"),
        ("fill", "button 'Press me'", {"text": "x"}, "is not editable: it is <button id=\"plain\"> \"Press me\""),
        ("fill", "Date 'Day'", {"text": "tomorrow"}, "Write it as YYYY-MM-DD"),
        ("fill", "spinbutton 'Count'", {"text": "many"}, "Write a number"),
        ("select", "combobox 'Colour'", {"options": "Pink"}, "It has: Red | Green | Blue"),
        ("select", "combobox 'Colour'", {"options": "Blue"}, "is disabled"),
        ("select", "combobox 'Colour'", {"options": ["Red", "Green"]}, "takes one only"),
        ("select", "button 'Press me'", {"options": "Red"}, "is no list of options"),
        ("upload", "button 'Press me'", {"files": "notes.txt"}, "takes no files"),
        ("upload", "button 'File", {"files": "/etc/passwd"}, "There are: notes.txt"),
        ("press", "textbox 'Keys'", {"keys": "Entr"}, "Did you mean Enter?"),
        ("click", None, {"id": "999"}, "There is no element [999]"),
        ("click", None, {"id": "1", "clicks": 7}, "it can be 1, 2 or 3"),
        ("goto", None, {"url": "https://example.com/"}, "page.test"),
        ("goto", None, {"url": "file:///etc/passwd"}, "page.test"),
        ("tab_focus", None, {"index": 3}, "There is no tab 3"),
        ("more", None, {"part": 2}, "The page has 1 parts"),
    ],
)  # fmt: skip
async def test_errors_say_why(
    controls: Task, tool: str, label: str | None, arguments: dict[str, Any], why: str
) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        result = await page.do(tool, label, **arguments)
        assert result.info.status is Status.INVALID
        assert why in page.text
        assert log(page.text) == ""


async def test_an_element_that_went_is_told(controls: Task) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        gone = find(page.text, "button 'Vanish'")
        twice = Action(calls=tuple(ToolCall(id=f"c{n}", name="click", arguments={"id": gone}) for n in range(2)))
        result = await env.step(twice)
        assert [answer.status for answer in result.observation.results] == [Status.OK, Status.INVALID]
        assert "is gone: the page has changed" in result.observation.results[1].text


async def test_ids_stay_while_the_page_lives(controls: Task) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        before = find(page.text, "textbox 'Keys'")
        await page.do("click", "button 'Vanish'")
        await page.do("click", "StaticText 'Cookies?'")
        assert find(page.text, "textbox 'Keys'") == before
        await page.do("click", "button 'Underneath'")
        assert log(page.text) == "uncovered;covered;"


async def test_hover_drag_scroll_and_focus(controls: Task) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        assert "The menu is open" not in page.text
        await page.do("hover", "StaticText 'Hover me'")
        assert "The menu is open" in page.text
        ids = {"from_id": find(page.text, "group 'Box'"), "to_id": find(page.text, "StaticText 'Bin'")}
        await page.do("drag", **ids)
        assert "dropped box;" in log(page.text)
        await page.do("focus", "textbox 'Keys'")
        assert "textbox 'Keys', focused" in page.text
        await page.do("press", keys="y")
        assert log(page.text).endswith("y;")
        await page.do("scroll", "region 'Scroller'", dx=0, dy=200)
        assert await env.session.active.isolated("() => document.querySelector('#scroller').scrollTop") == 200


async def test_pages_tabs_and_history(controls: Task) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        await page.do("click", "link 'Second page'")
        assert "URL: https://page.test/two.html\n[1] RootWebArea 'Second page'" in page.text
        await page.do("back")
        assert "RootWebArea 'Controls'" in page.text
        await page.do("forward")
        assert "RootWebArea 'Second page'" in page.text
        assert (await page.do("forward")).info.status is Status.FAILED
        await page.do("goto", url="https://page.test/index.html")
        await page.do("click", "link 'In a new tab'")
        assert "Tab 0: https://page.test/index.html\nTab 1 (this one): https://page.test/two.html" in page.text
        await page.do("tab_focus", index=0)
        assert "RootWebArea 'Controls'" in page.text
        await page.do("tab_close", index=1)
        assert "Tab 0" not in page.text
        assert (await page.do("tab_close")).info.status is Status.FAILED
        await page.do("click", "link 'Away'")
        assert "Refused: 'https://example.com/'" in page.text


async def test_dialogs_are_closed_and_told(controls: Task) -> None:
    async with GuiEnv() as env:
        page = await Page.open(env, controls)
        result = await page.do("click", "button 'Say hello'")
        assert "The page said: 'Hello there' (closed)" in page.text
        assert log(page.text) == "alerted;"
        assert result.info.metrics["dialogs"] == 1
        await page.do("wait", ms=100)
        assert "Hello there" not in page.text


async def test_written_calls_act(controls: Task) -> None:
    async with GuiEnv(GuiConfig(interface="text")) as env:
        page = await Page.open(env, controls)
        assert "fill(bid, value)" in page.text
        name, button = find(page.text, "textbox 'Name'"), find(page.text, "button 'Press me'")
        result = await env.step(f"I fill it in first.\n```\nfill('{name}', 'Ada')\nclick('{button}')\n```")
        assert log(result.observation.text) == "changed;plain;"
        assert [answer.call_id for answer in result.observation.results] == ["t1_1", "t1_2"]
        shown = await env.step(Action(text=f"click('{button}')"))
        assert log(shown.observation.text) == "changed;plain;plain;"
        wrong = await env.step(f"click('{button}'")
        assert wrong.info.status is Status.INVALID
        assert "is no call" in wrong.observation.text
        nothing = await env.step("What now?")
        assert "Write one such as click('12')" in nothing.observation.text


async def test_points_of_the_screenshot(controls: Task) -> None:
    async with GuiEnv(GuiConfig(targets="coordinates", screenshot="plain", page="none")) as env:
        page = await Page.open(env, controls)
        assert "RootWebArea" not in page.text
        where = "id => { const b = document.getElementById(id).getBoundingClientRect(); return [b.x + 5, b.y + 5]; }"
        x, y = await env.session.active.isolated(where, "name")
        await page.do("click_at", x=x, y=y)
        await page.do("type_text", text="Ada")
        x, y = await env.session.active.isolated(where, "plain")
        await page.do("click_at", x=x, y=y)
        assert await env.session.active.isolated("() => document.querySelector('#log').textContent") == "changed;plain;"
        assert (await page.do("click_at", x=640, y=0)).info.status is Status.INVALID
        assert (await page.do("click", id="1")).info.status is Status.INVALID


async def test_html_instead_of_the_tree(controls: Task) -> None:
    async with GuiEnv(GuiConfig(page="dom")) as env:
        page = await Page.open(env, controls)
        button = re.search(r'<button bid="(\d+)" id="plain">', page.text)
        assert button, page.text
        assert "<script" not in page.text
        assert "Unseen" not in page.text
        await page.do("click", id=button[1])
        assert "plain;" in page.text


async def test_a_long_page_comes_in_parts(controls: Task) -> None:
    async with GuiEnv(GuiConfig(page_chars=600)) as env:
        page = await Page.open(env, controls)
        first = page.text
        assert "(Part 1 of " in first
        assert "Only a word" not in first
        parts = int(re.search(r"Part 1 of (\d+)", first)[1])  # type: ignore[index]
        told = [(await page.do("more", part=part)).observation.text for part in range(2, parts + 1)]
        assert any("Only a word" in text for text in told)
        assert all(len(text) < 900 for text in told)


async def test_gold_solves_and_the_reward_is_the_expression(controls: Task) -> None:
    async with GuiEnv() as env:
        await env.reset(controls, seed=0)
        await env.step(await env.gold_action())
        assert await env.progress() == 0.0
        result = await env.step(await env.gold_action())
        assert (result.terminated, result.info.score, result.info.success) == (True, 1.0, True)
        assert result.info.stop_reason is StopReason.SOLVED


async def test_the_agent_may_end_it(controls: Task) -> None:
    async with GuiEnv() as env:
        await env.reset(controls, seed=0)
        result = await env.step(call("infeasible", reason="no such page"))
        assert (result.terminated, result.info.score) == (True, 0.0)
        assert result.info.stop_reason is StopReason.GAVE_UP
        await env.reset(controls, seed=0)
        result = await env.step(call("answer", text="42"))
        assert (result.info.stop_reason, result.info.success) == (StopReason.ENDED, False)
