"""The served shop: the same episodes, nobody else's addresses, nothing unescaped."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from html import unescape

import anyio
import httpx
import pytest

from turnwise.envs.webshop import html
from turnwise.envs.webshop.catalogue import ListCatalogue
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.rules import Shop
from turnwise.envs.webshop.web import MAX_EPISODES, ShopSite, serve
from turnwise.errors import ConfigError
from turnwise.tasks import load_panel

TEST = load_panel("webshop/shop", "test")
BASE = "http://127.0.0.1:8000"


def with_client(run: Callable[[ShopSite, httpx.AsyncClient], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        site = ShopSite(TEST, **settings)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=site.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, follow_redirects=True) as client:
            await run(site, client)

    anyio.run(main)


def test_a_whole_episode_by_forms_earns_what_the_environment_says() -> None:
    async def run(site: ShopSite, client: httpx.AsyncClient) -> None:
        path = await site.open(TEST.tasks[0])
        visit = site.visit(path)
        assert visit is not None
        while not visit.over:
            call = (await visit.env.gold_action()).calls[0]
            assert isinstance(call.arguments, dict)
            ((argument, value),) = call.arguments.items()
            page = await client.post(path, data={{"query": "search", "element": "click"}[argument]: value})
            assert page.status_code == 200
            assert TEST.tasks[0].instruction in unescape(page.text)
        assert visit.result is not None
        assert visit.result.info.score == 1.0
        assert '<b id="reward">1.0</b>' in page.text
        assert (await client.post(path, data={"click": "Back to Search"})).text == page.text

    with_client(run)


def test_the_start_page_begins_the_task_that_was_chosen() -> None:
    async def run(site: ShopSite, client: httpx.AsyncClient) -> None:
        assert TEST.tasks[3].instruction in unescape((await client.get("/")).text)
        page = await client.post("/start", data={"task": TEST.tasks[3].id})
        assert re.fullmatch(r"/e/[\w-]{32}", page.url.path)
        assert TEST.tasks[3].instruction in unescape(page.text)
        first, second = await client.post("/start"), await client.post("/start")
        assert first.url != second.url

    with_client(run)


def test_pages_allow_no_script_frame_or_foreign_content() -> None:
    async def run(site: ShopSite, client: httpx.AsyncClient) -> None:
        for page in (await client.get("/"), await client.get("/nowhere"), await client.post("/start")):
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script" not in policy
            assert "<script" not in page.text
            assert not re.search(r"(?:src|href)=\"https?:", page.text)

    with_client(run)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"host": "evil.example"}, 421),
        ("GET", "/", {"host": ""}, 421),
        ("GET", "/", {"host": "[::1]:9"}, 200),
        ("POST", "/start", {"origin": "http://evil.example"}, 403),
        ("POST", "/start", {"origin": "null"}, 403),
        ("POST", "/start", {"origin": BASE}, 200),
        ("GET", "/e/guess", {}, 404),
        ("POST", "/e/guess", {}, 404),
        ("GET", "/static/../env.py", {}, 404),
        ("PUT", "/start", {}, 405),
    ],
)
def test_foreign_requests_are_refused(method: str, path: str, headers: dict[str, str], status: int) -> None:
    async def run(site: ShopSite, client: httpx.AsyncClient) -> None:
        assert (await client.request(method, path, headers=headers)).status_code == status

    with_client(run)


@pytest.mark.parametrize(
    "body",
    [b"", b"click", b"click=nothing", b"search=", b"x=1", b"\xff\xfe=%ff", b"value=red&option=color", b"&" * 5000,
     b"search=" + b"a" * 20_000, b"click=" + b"%00" * 1000],
)  # fmt: skip
def test_any_form_is_answered(body: bytes) -> None:
    async def run(site: ShopSite, client: httpx.AsyncClient) -> None:
        path = await site.open(TEST.tasks[0])
        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert (await client.post(path, content=body, headers=kind)).status_code in (200, 413)
        assert (await client.get(path)).status_code == 200

    with_client(run)


def test_old_episodes_make_room() -> None:
    async def run(site: ShopSite, client: httpx.AsyncClient) -> None:
        first = await site.open(TEST.tasks[0])
        for _ in range(MAX_EPISODES):
            await site.open(TEST.tasks[0])
        assert len(site.visits) == MAX_EPISODES
        assert (await client.get(first)).status_code == 404

    with_client(run)


def test_hostile_products_and_instructions_are_escaped() -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"
    product = Product(
        evil[:10], f"shoe {evil}", evil, evil, evil, 1.0, evil, (evil,), evil, {f"n{evil}": (f"v{evil}",)}, (evil,)
    )
    shop = Shop(ListCatalogue([product]))
    pages = [html.page(shop, evil, draw=html.drawn, notice=evil)]
    shop.search("shoe")
    shop.state.query = evil
    shop.catalogue.search = lambda _query: (0,)  # type: ignore[method-assign]
    pages.append(html.page(shop, evil, draw=html.drawn))
    shop.open(0)
    pages.append(html.page(shop, evil, draw=html.drawn))
    shop.choose(f"n{evil}", f"v{evil}")
    pages.append(html.page(shop, evil, draw=html.drawn))
    shop.click("features")
    pages.append(html.page(shop, evil, draw=html.drawn))
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert "49" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_a_port_in_use_is_one_clear_line() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            anyio.run(lambda: serve(TEST, port=port))


def test_the_command_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-c", "from turnwise.cli.main import run; run()", "play", "webshop", "--web"]
    environ = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        try:
            assert address is not None
            assert "Go shopping" in httpx.get(address[0]).text
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 130
        assert server.stderr.read() == ""
