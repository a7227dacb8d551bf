"""Agents that see: screenshots and marks, and the chat agent that sends them to a vision endpoint."""

import base64
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest

from turnwise.agents import make_agent
from turnwise.agents.limits import Limits
from turnwise.agents.rollout import rollout
from turnwise.envs import ImagePart
from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.marks import Box, draw
from turnwise.envs.gui.settings import GuiConfig
from turnwise.models.fake import ChatRequest, FakeServer, Reply, call, say
from turnwise.tasks import Task

Image = pytest.importorskip("PIL.Image", reason="needs the gui extra")
SHOTS = os.environ.get("TURNWISE_SHOTS")
"""Where to keep screenshots; None: nowhere."""


def white(width: int = 60, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


def opened(png: bytes) -> Any:
    return Image.open(io.BytesIO(png))


def test_marks_are_drawn_around_elements_and_nowhere_else() -> None:
    marked = opened(draw(white(), {"7": Box(20, 20, 30, 15), "8": Box(500, 20, 5, 5), "9": Box(5, 5, 0, 10)}))
    assert marked.size == (60, 40)
    assert marked.getpixel((20, 20)) != (255, 255, 255)
    assert marked.getpixel((49, 34)) != (255, 255, 255)
    assert marked.getpixel((35, 28)) == (255, 255, 255)
    assert marked.getpixel((5, 35)) == (255, 255, 255)


def test_no_box_changes_nothing() -> None:
    assert opened(draw(white(), {})).getcolors() == [(60 * 40, (255, 255, 255))]


@pytest.mark.browser
@pytest.mark.anyio
@pytest.mark.usefixtures("browser")
async def test_a_screenshot_carries_marks_with_the_ids_of_the_text(controls: Task) -> None:
    pictures = {}
    for kind in ("plain", "marks"):
        async with GuiEnv(GuiConfig(screenshot=kind)) as env:
            observation, _ = await env.reset(controls, seed=0)
            (picture,) = [part for part in observation.parts if isinstance(part, ImagePart)]
            pictures[kind] = opened(picture.data)
            if SHOTS:
                (Path(SHOTS) / f"gui-{kind}.png").write_bytes(picture.data)
                (Path(SHOTS) / "gui.txt").write_text(observation.text)
    assert pictures["plain"].size == pictures["marks"].size == (640, 480)
    assert pictures["plain"].convert("RGB").tobytes() != pictures["marks"].tobytes()


def looks_and_acts(request: ChatRequest) -> Reply:
    """A vision model's stand-in: refuses to go on unless the newest user message holds exactly one screenshot."""
    users = [message for message in request.messages if message["role"] == "user"]
    content = users[-1]["content"]
    images = [part for part in content if part["type"] == "image_url"] if isinstance(content, list) else []
    if len(images) != 1:
        return say("I see nothing.", status=400)
    png = base64.b64decode(images[0]["image_url"]["url"].partition(",")[2])
    assert opened(png).size == (640, 480)
    text = "\n".join(str(part.get("text", "")) for part in users[0]["content"])
    name, button = (re.search(rf"\[(\d+)\] {label}", text) for label in ("textbox 'Name'", "button 'Press me'"))
    assert name
    assert button
    return call("fill", id=name[1], text="Ada") if request.turn == 0 else call("click", id=button[1])


@pytest.mark.browser
@pytest.mark.anyio
@pytest.mark.usefixtures("browser")
async def test_the_chat_agent_sends_each_screenshot_to_a_vision_endpoint(controls: Task) -> None:
    with FakeServer(looks_and_acts) as server:
        agent = make_agent("chat", model="eyes", base_url=server.url)
        async with GuiEnv(GuiConfig(screenshot="marks")) as env:
            episode = await rollout(env, agent, controls, 0, Limits(turns=4))
        await agent.aclose()
        bodies = list(server.bodies)
    assert episode.failure is None
    assert (episode.success, len(episode.turns)) == (True, 2)
    sent = [str(body["messages"]).count("'image_url': {'url'") for body in bodies]
    assert sent == [1, 2]
    kept = [part for result in episode.turns[0].observation.results for part in result.parts]
    assert any(isinstance(part, ImagePart) and part.data for part in kept)
