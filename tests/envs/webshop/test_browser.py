"""The served shop in a real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from turnwise.envs.webshop.web import ShopSite
from turnwise.tasks import load_panel

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SHOTS = os.environ.get("TURNWISE_SHOTS")
"""Where to keep screenshots; None: nowhere."""
UNNAMED = """[...document.querySelectorAll("button, input:not([type=hidden])")]
  .filter(e => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).length"""
"""Counts the controls without a name for screen readers."""


@contextmanager
def served() -> Iterator[tuple[ShopSite, str]]:
    """A site on loopback, in a thread of its own."""
    import uvicorn

    site = ShopSite(load_panel("webshop/shop", "test"))
    server = uvicorn.Server(uvicorn.Config(site.app, port=0, log_level="warning", lifespan="off"))
    with anyio.from_thread.start_blocking_portal() as portal:
        running = portal.start_task_soon(server.serve)
        while not server.started:
            portal.call(anyio.sleep, 0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield site, f"http://127.0.0.1:{port}/"
        finally:
            server.should_exit = True
            running.result()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync = pytest.importorskip("playwright.sync_api", reason="needs the gui extra")
    with sync.sync_playwright() as playwright:
        # Chromium refuses its own sandbox to root; what it opens here is our own page on loopback.
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield launched
        launched.close()


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_a_person_can_buy_the_right_product(browser: Any) -> None:
    task = load_panel("webshop/shop", "test").tasks[0]
    with served() as (_site, url):
        page = browser.new_page(viewport={"width": 1200, "height": 860})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        shot(page, "start")
        page.get_by_role("button", name=task.instruction).click()
        shot(page, "search")
        page.get_by_role("searchbox", name="Search products").fill(str(task.gold["query"]))
        page.keyboard.press("Enter")
        page.wait_for_selector(".tile")
        shot(page, "results")
        goal: Any = task.gold["goal"]
        wanted = f"button[value='{goal['asin']}']"
        for number in range(2, 6):
            if page.locator(wanted).count():
                break
            page.get_by_role("button", name="Next >").click()
            page.get_by_role("heading", name=f"Page {number}").wait_for()
        page.locator(wanted).click()
        for value in goal["options"]:
            page.get_by_role("button", name=value, exact=True).click()
            page.wait_for_selector(f"button[value='{value}'][aria-pressed=true]")
        shot(page, "item")
        page.get_by_role("button", name="Features").click()
        shot(page, "features")
        page.get_by_role("button", name="< Prev").click()
        page.get_by_role("button", name="Buy Now").click()
        assert page.locator("#reward").inner_text() == "1.0"
        shot(page, "done")
        assert said == []
        page.close()


def test_it_works_by_keyboard_alone_and_on_a_telephone(browser: Any) -> None:
    with served() as (_site, url):
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.goto(url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.get_by_role("button", name="Give me a task").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#search_input:focus")
        page.keyboard.type("shoes")
        page.keyboard.press("Enter")
        page.wait_for_selector(".tile")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.locator(".tile").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".chip")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shot(page, "telephone")
        assert page.evaluate(UNNAMED) == 0
        page.close()
