"""The fake endpoint itself: Starlette on uvicorn, in a thread of this process or in a process of its own."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from turnwise.models.fake.checks import complaint, foreign
from turnwise.models.fake.faults import Faults, spoil
from turnwise.models.fake.rules import ChatRequest, Reply, Rule
from turnwise.models.fake.tokens import logprob, render, spoken

IDLE_S = 3600
"""Seconds for which an idle connection is kept open."""


class FakeServer:
    """An OpenAI-compatible endpoint on loopback.

    Use it as a context manager; ``url`` is the base URL for clients. ``counts`` tells what came: ``requests``, and
    each fault and refusal by name. ``bodies`` keeps the last requests.
    """

    def __init__(
        self,
        rule: Rule,
        *,
        latency_s: float = 0.0,
        faults: Faults | None = None,
        api_key: str | None = None,
        port: int = 0,
        model: str = "fake",
        keep: int = 1000,
    ) -> None:
        self._rule, self._latency, self._faults = rule, latency_s, faults or Faults()
        self._api_key, self._port, self._model = api_key, port, model
        self.counts: Counter[str] = Counter()
        self.bodies: deque[dict[str, Any]] = deque(maxlen=keep)
        self._closing = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/counts", self._told),
            ]
        )

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> "FakeServer":
        import uvicorn

        listener = self.listen()
        self._server = uvicorn.Server(self.settings())
        self._thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout=10)

    def listen(self) -> socket.socket:
        """Bind the port, a free one where it is 0."""
        listener = socket.create_server(("127.0.0.1", self._port), backlog=1024)
        self._port = listener.getsockname()[1]
        return listener

    def settings(self) -> Any:
        """Return uvicorn's settings: no log, no lifespan, idle connections kept, an end that waits for nobody."""
        import uvicorn

        return uvicorn.Config(
            self.app,
            log_level="critical",
            lifespan="off",
            access_log=False,
            timeout_graceful_shutdown=1,
            # Closing an idle connection while a busy client writes to it is a fault that nobody asked for: uvicorn's
            # five seconds cost such clients a retry, or the episode.
            timeout_keep_alive=IDLE_S,
        )

    def _serve(self, listener: socket.socket) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[listener])

        with contextlib.closing(listener):
            asyncio.run(main())

    async def _models(self, request: Request) -> Response:
        listed = {"object": "list", "data": [{"id": self._model, "object": "model"}]}
        return self._refused(request) or JSONResponse(listed)

    async def _told(self, request: Request) -> Response:
        return JSONResponse(dict(self.counts))

    async def _chat(self, request: Request) -> Response:
        self.counts["requests"] += 1
        refused = self._refused(request)
        if refused:
            return refused
        body = await _json(request)
        wrong = complaint(body)
        if wrong:
            return self._error(400, wrong)
        self.bodies.append(body)
        return await self._answer(ChatRequest(body))

    def _refused(self, request: Request) -> Response | None:
        if foreign(request.headers):
            return self._error(403, "this server answers only its own machine")
        if self._api_key and request.headers.get("authorization") != f"Bearer {self._api_key}":
            # Real servers repeat the key they were sent; so does this one, to see that clients hide it.
            return self._error(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
        return None

    async def _answer(self, request: ChatRequest) -> Response:
        if self._latency:
            await asyncio.sleep(self._latency)
        reply = self._rule(request)
        fault = reply.fault or self._faults.choose(request)
        if fault:
            self.counts[fault] += 1
        if fault in ("wrong_tool", "bad_arguments"):
            reply, fault = spoil(reply, fault), None
        if fault:
            return await self._broken(fault, request, reply)
        if reply.status:
            return self._error(reply.status, reply.content)
        return JSONResponse(_completion(request, reply))

    async def _broken(self, fault: str, request: ChatRequest, reply: Reply) -> Response:
        if fault == "rate_limit":
            return self._error(429, "too many requests", {"retry-after": "0.02"})
        if fault == "server_error":
            return self._error(500, "the server stumbled")
        if fault == "hang":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), 600)
            return self._error(503, "closing")
        if fault == "empty_choices":
            return JSONResponse(_completion(request, reply) | {"choices": []})
        text = json.dumps(_completion(request, reply))
        if fault == "malformed":
            return Response(text[: len(text) // 2] + "}}", media_type="application/json")
        return _Cut(text)

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        self.counts[f"status_{status}"] += 1
        body = {"error": {"message": message, "type": "fake", "code": None}}
        return JSONResponse(body, status_code=status, headers=headers)


class _Cut(Response):
    """Promises a whole body and sends half of it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise ConnectionAbortedError("cut on purpose")


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError, ClientDisconnect):
        return None


def _completion(request: ChatRequest, reply: Reply) -> dict[str, Any]:
    message = _message(request, reply)
    prompt, spoken_ids = render(request.messages), spoken(message)
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "finish_reason": reply.finish_reason or ("tool_calls" if reply.calls else "stop"),
    }
    body: dict[str, Any] = {
        "id": f"chatcmpl-{request.turn}",
        "object": "chat.completion",
        "created": 0,
        "model": request.body["model"],
        "choices": [choice],
        "usage": {
            "prompt_tokens": len(prompt),
            "completion_tokens": len(spoken_ids),
            "total_tokens": len(prompt) + len(spoken_ids),
        },
    }
    if request.body.get("return_token_ids"):
        body["prompt_token_ids"], choice["token_ids"] = prompt, spoken_ids
    if request.body.get("logprobs"):
        content = [{"token": str(token), "logprob": logprob(spoken_ids, i)} for i, token in enumerate(spoken_ids)]
        choice["logprobs"] = {"content": content}
    return body | dict(reply.extra)


def _message(request: ChatRequest, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content or (None if reply.calls else "")}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [
            {"id": f"call_{request.turn}_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(reply.calls)
        ]
    return message


@contextlib.contextmanager
def spawned(arguments: Sequence[str] = ()) -> Iterator[str]:
    """Run ``python -m turnwise.models.fake`` with the arguments in a process of its own; give its base URL."""
    command = [sys.executable, "-m", "turnwise.models.fake", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
