"""The /retrieve protocol from both sides, with an unmodified HTTP client and a real server."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import uvicorn

from turnwise.envs import Status, make
from turnwise.envs.search.corpora import WorldCorpus, open_index
from turnwise.envs.search.remote import RemoteRetriever
from turnwise.envs.search.retriever import LexicalRetriever, Retriever
from turnwise.envs.search.serve import make_app
from turnwise.errors import ConfigError, EnvError
from turnwise.tasks.panels import load_panel

TASKS = load_panel("search/world", "dev")


@contextmanager
def served(**options: Any) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(make_app(LexicalRetriever(open_index(WorldCorpus())), **options), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as address:
        yield address


def post(url: str, body: object, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/retrieve", data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_the_shape_is_search_r1s(url: str) -> None:
    queries = ["River", TASKS.tasks[0].instruction]
    scored = post(url, {"queries": queries, "topk": 2, "return_scores": True})
    assert list(scored) == ["result"]
    assert [len(found) for found in scored["result"]] == [2, 2]
    item = scored["result"][0][0]
    assert set(item) == {"document", "score"}
    assert isinstance(item["score"], float)
    title, _, text = item["document"]["contents"].partition("\n")
    assert title[0] == title[-1] == '"'
    assert text
    bare = post(url, {"queries": ["River"]})
    assert len(bare["result"][0]) == 3
    assert set(bare["result"][0][0]) == {"id", "contents"}
    assert post(url, {"queries": ["River"], "topk": None, "extra": 1}) == bare
    assert post(url, {"queries": []}) == {"result": []}
    assert post(url, {"queries": ["", "zzzzqqq \x00 AND ("]})["result"][0] == []


@pytest.mark.parametrize(
    "body", [{}, {"queries": "x"}, {"queries": [1]}, {"queries": ["x"], "topk": "y"}, b"{", b"\xff"]
)
def test_bad_requests_are_told_so(url: str, body: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(url, body)
    with caught.value:
        assert caught.value.code == 422
        assert json.load(caught.value)["detail"]


def test_other_sites_pages_and_hosts_are_refused(url: str) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(url, {"queries": ["x"]}, **headers)
        with caught.value:
            assert caught.value.code == 403
    assert post(url, {"queries": ["x"]}, Origin="http://localhost:3000")


def test_beyond_loopback_a_token_is_needed() -> None:
    retriever = LexicalRetriever(open_index(WorldCorpus()))
    with pytest.raises(ConfigError, match="token"):
        make_app(retriever, host="0.0.0.0")
    with served(host="192.0.2.1", token="s3cret") as url:

        async def main() -> None:
            with pytest.raises(EnvError, match="no answer"):
                await RemoteRetriever(url).search("River", 1)
            assert len(await RemoteRetriever(url, token="s3cret").search("River", 1)) == 1

        anyio.run(main)


@pytest.mark.parametrize("config", [{}, {"interface": "search-r1"}, {"judge": "label"}])
def test_a_served_engine_shows_the_same_as_a_local_one(url: str, config: dict[str, Any]) -> None:
    async def main() -> None:
        local, remote = make("search", **config), make("search", retriever=url, **config)
        for task in TASKS.tasks[:5]:
            await local.reset(task, seed=0)
            await remote.reset(task, seed=0)
            over = False
            while not over:
                action = await local.gold_action()
                mine, theirs = await local.step(action), await remote.step(action)
                assert mine.observation == theirs.observation
                if not mine.terminated:
                    copy = make("search", retriever=url, **config)
                    await copy.restore(await remote.snapshot(), task)
                    assert await copy.state_key() == await remote.state_key()
                over = mine.terminated

    anyio.run(main)


def test_documents_of_a_remote_engine_are_known_once_they_were_listed(url: str) -> None:
    async def main() -> None:
        env = make("search", retriever=url)
        task = next(task for task in TASKS if task.tags == ("chain2",))
        await env.reset(task, seed=0)
        unseen = await env.step(f'open[{{"doc_id": "{task.gold["evidence"][0]}"}}]')  # type: ignore[index]
        assert unseen.info.status is Status.INVALID

    anyio.run(main)


@pytest.mark.parametrize("answer", ["{}", '{"result": []}', '{"result": [[3]]}', '{"result": [[{"a": 1}]]}', "[", "3"])
def test_servers_that_answer_in_another_shape(answer: str) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def wrong(_request: Request) -> Response:
        return Response(answer, media_type="application/json")

    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[Route("/retrieve", wrong, methods=["POST"])]), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

        async def main() -> None:
            with pytest.raises(EnvError, match="another shape"):
                await RemoteRetriever(url).search("x", 1)

        anyio.run(main)
    finally:
        server.should_exit = True
        thread.join()


def test_nobody_there_names_no_password() -> None:
    async def main() -> None:
        with pytest.raises(EnvError) as caught:
            await RemoteRetriever("http://user:hunter2@127.0.0.1:9/").search("x", 1)
        assert "hunter2" not in str(caught.value)

    anyio.run(main)


def test_both_are_retrievers() -> None:
    assert isinstance(RemoteRetriever("http://127.0.0.1:9"), Retriever)
    assert isinstance(LexicalRetriever(open_index(WorldCorpus())), Retriever)
