"""The pages in a real browser: every page, hostile text, keys alone, accessibility."""

import os
import shutil
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import viewer_store
from turnwise.evals.viewer import create_app
from turnwise.trajectories import Store

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


heard_at = [0]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return viewer_store.make(tmp_path_factory.mktemp("viewer") / "v.sqlite")


@pytest.fixture(scope="module")
def url(path: Path) -> Iterator[str]:
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(path), log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[list[bytes]]:
    """What a server outside hears; ``outside.example`` leads to it."""
    heard = list[bytes]()

    class Listener(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            heard.append(b"a connection")
            heard.append(self.rfile.readline())
            self.wfile.write(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listener) as server:
        server.daemon_threads = True
        heard_at[0] = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield heard
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def browser(outside: list[bytes]) -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Root has no user namespace to put Chromium's sandbox in.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments.append(f"--host-resolver-rules=MAP outside.example 127.0.0.1:{heard_at[0]}")
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class Page:
    """A page and what went wrong in it."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url, self.wrong = page, url, list[str]()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        page.on("request", self._outside)

    def _outside(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.wrong.append(f"asked for {request.url}")


@pytest.fixture(params=["light", "dark"])
def page(browser: Any, url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    made = browser.new_page(color_scheme=request.param, viewport={"width": 1180, "height": 820})
    opened = Page(made, url)
    made.goto(url)
    yield opened
    made.close()
    assert [text for text in opened.wrong if "favicon" not in text] == []


def accessible(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page)
    told = [(v["id"], v["nodes"][0]["html"][:200]) for v in found.response["violations"]]
    assert told == []


def test_from_the_runs_to_a_turn_and_back_and_every_page_is_accessible(page: Page) -> None:
    p = page.page
    accessible(p)
    p.click("text=baseline")
    p.locator(".list tbody tr").nth(31).wait_for()
    assert p.locator(".list tbody tr").count() == 32
    accessible(p)
    p.locator("a.row").first.click()
    p.locator(".turn").first.wait_for()
    assert p.locator(".credit").count() >= 2
    accessible(p)
    p.click("text=its group")
    p.locator("svg .node").nth(1).wait_for()
    accessible(p)
    p.click("text=Compare from")
    assert "differ" in p.inner_text(".about")
    accessible(p)
    p.goto(f"{page.url}/run/baseline/training")
    assert p.locator("polyline").count() == 3
    accessible(p)


def test_why_an_episode_failed_is_two_clicks_away(page: Page) -> None:
    p = page.page
    p.click("text=broken")
    p.locator("a.row").first.click()
    assert "the counter jammed" in p.inner_text(".verdict")
    accessible(p)


def test_filters(page: Page) -> None:
    p = page.page
    p.goto(f"{page.url}/run/baseline")
    p.fill("#search", "count-3")
    p.press("#search", "Enter")
    # While the index is being filled, the page renews itself until all four are there.
    p.locator(".list tbody tr").nth(3).wait_for()
    assert p.locator(".list tbody tr").count() == 4
    p.select_option("select[name=outcome]", "solved")
    p.click("button:text-is('Show')")
    assert set(p.locator(".list .tag").all_inner_texts()) <= {"solved"}
    assert "outcome=solved" in p.url
    assert "q=count-3" in p.url


def test_stored_text_does_nothing(page: Page) -> None:
    p = page.page
    p.locator("a.row", has_text="evil").first.click()
    p.locator("a.row").first.click()
    assert "<script>" in p.inner_text("h1")
    for summary in p.locator("summary").all():
        summary.click()
    p.locator(".about a", has_text="tokens").click()
    assert p.locator(".token.trained").count() >= 20
    p.go_back()
    with p.expect_download() as download:
        p.click("text=save as HTML")
    p.goto(f"file://{download.value.path()}")
    assert "owned" not in (p.title().split("·")[-1], p.evaluate("document.title")[:5])
    assert p.evaluate("document.querySelectorAll('script').length") == 0
    page.wrong = [text for text in page.wrong if "file://" not in text]


def open_evil(page: Page) -> Any:
    page.page.locator("a.row", has_text="evil").first.click()
    page.page.locator("a.row").first.click()
    page.page.wait_for_selector("a.render")
    return page.page


def only_refused(page: Page) -> None:
    """Forget what the browser says of things it did not do: its tools tell of a request before it is refused."""
    refused = ("Content Security Policy", "sandboxed", "ERR_BLOCKED_BY_CSP", "asked for http://outside.example")
    page.wrong = [text for text in page.wrong if not any(words in text for words in refused)]


def test_html_is_shown_in_a_frame_that_can_do_nothing(page: Page, outside: list[bytes]) -> None:
    p = open_evil(page)
    title, heard = p.title(), len(outside)
    p.locator("a.render").first.click()
    frame = p.frame_locator("iframe[sandbox='']")
    assert frame.locator("h1").inner_text() == "Checkout"
    assert frame.locator("h1").evaluate("h => getComputedStyle(h).color") == "rgb(1, 2, 3)"
    accessible(p)
    frame.locator("button").click(force=True)
    frame.locator("a").click(force=True)
    p.wait_for_timeout(500)
    assert (p.title(), len(outside)) == (title, heard)
    assert p.url.startswith(page.url)
    p.click("text=Hide the page")
    assert p.locator("iframe").count() == 0
    only_refused(page)


def test_the_page_of_a_turn_opened_by_itself_can_do_nothing_either(page: Page, outside: list[bytes]) -> None:
    p, heard = open_evil(page), len(outside)
    p.goto(page.url + p.locator("a.render").first.get_attribute("href"))
    assert p.inner_text("h1") == "Checkout"
    p.wait_for_timeout(500)
    assert (p.title(), len(outside)) == ("", heard)
    assert p.url.startswith(page.url)
    only_refused(page)


def test_the_outside_would_have_been_heard(browser: Any, outside: list[bytes]) -> None:
    p, heard = browser.new_page(), len(outside)
    p.goto("http://outside.example/")
    assert len(outside) > heard
    p.close()


def test_keys_alone(page: Page) -> None:
    p = page.page
    p.keyboard.press("?")
    assert p.locator("#help").is_visible()
    p.keyboard.press("Escape")
    p.keyboard.press("j")
    p.keyboard.press("j")
    p.keyboard.press("j")
    p.keyboard.press("Enter")
    p.wait_for_url("**/run/baseline")
    p.keyboard.press("/")
    p.keyboard.type("count-1")
    p.keyboard.press("Enter")
    p.wait_for_url("**q=count-1**")
    p.locator("body").press("j")
    p.keyboard.press("Enter")
    p.wait_for_url("**/episode/**")
    p.keyboard.press("j")
    p.wait_for_url("**#turn-1")
    p.keyboard.press("n")
    p.wait_for_url(lambda url: "#" not in url)
    p.keyboard.press("u")
    p.wait_for_url("**/run/baseline")


def test_the_theme_is_switched_and_remembered(page: Page) -> None:
    p = page.page
    before = p.evaluate("getComputedStyle(document.body).backgroundColor")
    p.keyboard.press("t")
    after = p.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    p.reload()
    assert p.evaluate("getComputedStyle(document.body).backgroundColor") == after


def test_a_deep_link_leads_to_the_turn(page: Page, path: Path) -> None:
    with Store.open(path) as store:
        row = max(store.rows("baseline"), key=lambda row: row.n_turns)
    page.page.goto(f"{page.url}/run/baseline/episode/{row.episode_id}#turn-{row.n_turns}")
    assert page.page.locator(f"#turn-{row.n_turns}:target").count() == 1


def test_a_run_under_way_appears_by_itself(browser: Any, url: str, path: Path) -> None:
    from trajectory_samples import a_run

    p = browser.new_page()
    p.goto(url)
    with Store.open(path, "a") as store:
        store.add_run(a_run("just begun"))
    p.wait_for_selector("text=just begun", timeout=15_000)
    p.close()
