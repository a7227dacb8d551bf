"""The client against the fake endpoint: answers, faults, errors that say whose fault it was, and no key anywhere."""

import logging
import traceback
from typing import Any

import anyio
import pytest

from turnwise.errors import (
    ModelAuthError,
    ModelContextError,
    ModelError,
    ModelResponseError,
    ModelUnavailableError,
)
from turnwise.models import ChatModel, Completion, ModelConfig, endpoint
from turnwise.models.fake import FakeServer, Faults, Reply, Rule, Script, call, say

CANARY = "sk-canary-0123456789abcdef"
ASK: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]


def ask(server: FakeServer | str, times: int = 1, messages: Any = None, **settings: Any) -> list[Completion]:
    url = server if isinstance(server, str) else server.url

    async def main() -> list[Completion]:
        config = {"retries": 2, "longest_wait_s": 0.05, "timeout_s": 5.0} | settings
        async with endpoint("fake", url, **config) as model:
            return [await model.complete(messages or ASK) for _ in range(times)]

    return anyio.run(main)


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_an_answer_carries_text_usage_and_cost(transport: str) -> None:
    with FakeServer(Script([say("hi", reasoning="greet back")])) as server:
        prices = {"fake": {"input": 1.0, "output": 2.0}}
        [got] = ask(server, prices=prices, transport=transport)
    assert (got.text, got.reasoning, got.finish_reason, got.calls) == ("hi", "greet back", "stop", 1)
    assert (got.prompt_tokens, got.completion_tokens) == (8, 3)
    assert got.cost == pytest.approx((8 * 1.0 + 3 * 2.0) / 1e6)
    assert got.message == {"role": "assistant", "content": "hi"}


def test_cost_is_unknown_where_no_price_is_and_the_servers_own_figure_wins() -> None:
    with FakeServer(Script([say("hi")])) as server:
        assert ask(server)[0].cost is None
    with FakeServer(Script([say("hi", extra={"usage": {"prompt_tokens": 5, "cost": 0.25}})])) as server:
        assert ask(server)[0].cost == 0.25


def test_token_ids_and_logprobs_come_where_asked_for() -> None:
    with FakeServer(Script([say("hi")])) as server:
        [got], [plain] = ask(server, token_ids=True), ask(server)
    assert got.prompt_ids == [257, *b"hello", 260, 258]
    assert got.completion_ids == [*b"hi", 260]
    assert got.logprobs is not None
    assert len(got.logprobs) == 3
    assert plain.prompt_ids is plain.completion_ids is plain.logprobs is None


def test_settings_reach_the_request() -> None:
    with FakeServer(Script([say("hi")])) as server:
        sampling = {"temperature": 0.5, "max_tokens": 7, "stop": ("\n",), "extra": {"top_k": 3}}
        ask(server, sampling=sampling, token_limit_field="max_completion_tokens")
        body = server.bodies[-1]
    assert body["temperature"] == 0.5
    assert body["max_completion_tokens"] == 7
    assert body["stop"] == ["\n"]
    assert body["top_k"] == 3
    assert "max_tokens" not in body
    assert "seed" not in body


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "cut", "malformed", "empty_choices"])
@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_what_may_pass_is_tried_again(fault: str, transport: str) -> None:
    with FakeServer(_failing_at_first(Reply(content="no", fault=fault))) as server:
        [got] = ask(server, transport=transport)
        assert server.counts["requests"] == 2
    assert (got.text, got.calls) == ("at last", 2)


def test_a_hanging_server_is_left_after_the_time_out() -> None:
    with FakeServer(Script([Reply(fault="hang")])) as server:
        with pytest.raises(ModelUnavailableError, match=r"did not answer within 0.1 s \(tried 2 times\)"):
            ask(server, timeout_s=0.1, retries=1)
        assert server.counts["requests"] == 2


@pytest.mark.parametrize(
    ("reply", "error", "says", "requests"),
    [
        (Reply(fault="server_error"), ModelUnavailableError, "answered 500", 3),
        (Reply(fault="rate_limit"), ModelUnavailableError, "answered 429", 3),
        (Reply(fault="cut"), ModelUnavailableError, "cannot be reached", 3),
        (Reply(fault="malformed"), ModelResponseError, "malformed JSON", 3),
        (Reply(fault="empty_choices"), ModelResponseError, "no choices", 3),
        (Reply(status=400, content="bad field"), ModelResponseError, "refused the request \\(400\\): bad field", 1),
        (Reply(status=404, content="no model"), ModelResponseError, "404", 1),
        (Reply(status=403, content="not yours"), ModelAuthError, "refused the key", 1),
        (Reply(status=429, content="insufficient_quota"), ModelUnavailableError, "no quota left", 1),
        (Reply(status=400, content="maximum context length is 8"), ModelContextError, "so long a chat", 1),
    ],
)
def test_errors_say_whose_fault_it_was(reply: Reply, error: type[Exception], says: str, requests: int) -> None:
    with FakeServer(Script([reply])) as server:
        with pytest.raises(error, match=says):
            ask(server)
        assert server.counts["requests"] == requests


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_nothing_listens(transport: str) -> None:
    with pytest.raises(ModelUnavailableError, match=r"127\.0\.0\.1:9.* cannot be reached"):
        ask("http://127.0.0.1:9/v1", retries=0, transport=transport)


@pytest.mark.parametrize("body", [[], "text", 3, None, {"choices": [{}]}, {"choices": [{"message": {"content": 5}}]}])
def test_a_strange_body_is_a_model_error(body: Any) -> None:
    from turnwise.models.completion import read

    with pytest.raises(ModelResponseError):
        read(body)


def test_many_at_once_respect_the_concurrency() -> None:
    seen, most = 0, 0

    async def main(url: str) -> None:
        nonlocal seen, most
        async with endpoint("fake", url, concurrency=4) as model, anyio.create_task_group() as group:

            async def one() -> None:
                nonlocal seen
                await model.complete(ASK)
                seen += 1

            for _ in range(30):
                group.start_soon(one)

    with FakeServer(Script([say("hi")]), latency_s=0.01) as server:
        anyio.run(main, server.url)
    assert seen == 30


def test_a_client_serves_one_event_loop_after_another() -> None:
    with FakeServer(Script([say("hi")])) as server:
        model = endpoint("fake", server.url)

        async def main() -> str:
            async with model:
                return (await model.complete(ASK)).text

        assert [anyio.run(main), anyio.run(main)] == ["hi", "hi"]


def test_the_key_reaches_the_server_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeServer(Script([say("hi")]), api_key=CANARY) as server:
        assert ask(server, api_key=CANARY)[0].text == "hi"
        wrong = "canary-wrong-key-77"
        for settings in ({"api_key": wrong}, {"headers": {"Authorization": f"Bearer {wrong}"}}):
            with pytest.raises(ModelAuthError) as caught:
                ask(server, **settings)
            told = "".join(traceback.format_exception(caught.value)) + str(caught.value.args)
            assert wrong not in told
            assert "Incorrect API key" in told
    config = ModelConfig(model="m", base_url=f"http://user:{CANARY}@127.0.0.1:9/v1", api_key=CANARY)
    with pytest.raises(ModelUnavailableError) as unreachable:
        ask(f"http://user:{CANARY}@127.0.0.1:9/v1", retries=0)
    shown = [
        repr(config),
        str(config),
        str(config.asked()),
        str(config.running()),
        repr(ChatModel(config)),
        str(unreachable.value),
    ]
    assert not any(CANARY in text for text in [*shown, caplog.text])


def test_without_a_key_no_word_is_masked() -> None:
    rule = Script([Reply(status=400, content="none of the models fits")])
    with FakeServer(rule) as server, pytest.raises(ModelResponseError, match="none of the models fits"):
        ask(server)


def test_user_and_password_of_a_url_travel_as_a_header() -> None:
    seen: list[Any] = []
    with FakeServer(Script([say("hi")]), api_key="unused-key") as server:
        url = server.url.replace("http://", "http://me:pass-word@")
        with pytest.raises(ModelAuthError) as caught:
            ask(url)
        seen.append(str(caught.value))
    assert "Basic [secret]" in seen[0]


def test_no_key_for_openai_itself_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelAuthError, match="OPENAI_API_KEY"):
        endpoint("gpt-4o")


def test_an_unknown_setting_is_refused() -> None:
    from turnwise.errors import ConfigError

    with pytest.raises(ConfigError, match="'tempratur'"):
        endpoint("m", "http://127.0.0.1:9/v1", tempratur=1)


def test_faults_by_seed_are_the_same_whatever_the_order() -> None:
    def outcome(order: list[int]) -> dict[int, str]:
        faults = Faults(0.5, seed=3, kinds=("server_error", "empty_choices"))
        told: dict[int, str] = {}
        with FakeServer(Script([call("go")]), faults=faults) as server:
            for number in order:
                try:
                    ask(server, messages=[{"role": "user", "content": str(number)}], retries=0)
                    told[number] = "ok"
                except ModelError as error:
                    told[number] = type(error).__name__
        return told

    forward, backward = outcome(list(range(8))), outcome(list(reversed(range(8))))
    assert forward == backward
    assert len(set(forward.values())) > 1


def _failing_at_first(first: Reply) -> Rule:
    asked: list[int] = []

    def rule(_: Any) -> Reply:
        asked.append(1)
        return first if len(asked) == 1 else say("at last")

    return rule


def test_surrogates_from_a_server_do_not_reach_a_record() -> None:
    from turnwise.models.completion import read

    function = {"name": "f\ud800", "arguments": '{"x": "\ud800"}'}
    got = read({"choices": [{"message": {"content": "a\ud800b", "tool_calls": [{"id": "1", "function": function}]}}]})
    assert got.text == "a\N{REPLACEMENT CHARACTER}b"
    str(got.message).encode()
