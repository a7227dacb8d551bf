"""The fake endpoint refuses what real ones refuse, and runs as a process too."""

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from turnwise.models.fake import ByTask, FakeServer, RandomTools, Script, call, say
from turnwise.models.fake.server import spawned

USER = {"role": "user", "content": "hi"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
ANSWER = {"role": "tool", "tool_call_id": "a", "content": "done"}


def post(url: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/chat/completions", json={"model": "m", **body}, headers=headers)


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([USER], 200),
        ([USER, CALLED, ANSWER], 200),
        ([USER, CALLED], 400),
        ([USER, CALLED, USER], 400),
        ([USER, ANSWER], 400),
        ([{"role": "wizard", "content": ""}], 400),
        ([{"role": "assistant", "content": None}], 400),
        ([], 400),
        ([image("data:image/png;base64,iVBORw0KGgo=")], 200),
        ([image("data:image/png;base64,AAAA")], 400),
        ([image("http://example.org/x.png")], 400),
        ([{**image("data:image/png;base64,iVBORw0KGgo="), "role": "assistant"}], 400),
    ],
)
def test_messages_are_checked(messages: list[Any], status: int) -> None:
    with FakeServer(Script([say("ok")])) as server:
        assert post(server.url, messages=messages).status_code == status


def test_other_hosts_and_origins_are_refused() -> None:
    with FakeServer(Script([say("ok")])) as server:
        assert post(server.url, {"host": "evil.example"}, messages=[USER]).status_code == 403
        assert post(server.url, {"origin": "http://evil.example"}, messages=[USER]).status_code == 403
        assert post(server.url, {"origin": "http://localhost:1"}, messages=[USER]).status_code == 200


def test_rules_answer_by_turn_task_and_schema() -> None:
    rule = ByTask({"apples": [call("pick", fruit="apple"), say("done")]}, otherwise=RandomTools(1))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "w": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    with FakeServer(rule) as server:
        first = post(server.url, messages=[{"role": "user", "content": "pick apples"}]).json()
        assert first["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "pick"
        random = [post(server.url, messages=[USER], tools=tools).json() for _ in range(2)]
        assert random[0] == random[1]
        arguments = json.loads(random[0]["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
        assert isinstance(arguments["n"], int)


@pytest.mark.slow
def test_an_idle_connection_stays_open() -> None:
    with FakeServer(Script([say("ok")])) as server:
        line = HTTPConnection(urlsplit(server.url).netloc)
        with closing(line):
            line.request("GET", "/v1/models")
            assert line.getresponse().read()
            line.sock.settimeout(6.5)
            with pytest.raises(TimeoutError):  # a closed connection would give its end, the empty bytes
                line.sock.recv(1)


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"calls": [["go", {"x": 1}]]}, {"content": "bye"}]')
    with spawned(["--script", str(script), "--seed", "4"]) as url:
        said = post(url, messages=[USER]).json()["choices"][0]["message"]
        assert said["tool_calls"][0]["function"] == {"name": "go", "arguments": '{"x": 1}'}
        assert httpx.get(url.replace("/v1", "/counts")).json() == {"requests": 1}
