"""The chat client: one endpoint, asked politely, with answers read once and errors that say whose fault it was."""

import random
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import JsonValue

from turnwise.errors import (
    ConfigError,
    MissingExtraError,
    ModelAuthError,
    ModelContextError,
    ModelError,
    ModelResponseError,
    ModelUnavailableError,
)
from turnwise.models.completion import Completion, Message, read
from turnwise.models.config import NO_KEY, ModelConfig
from turnwise.models.limits import Gate, backoff
from turnwise.models.prices import price_of
from turnwise.models.secrets import Redactor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai import AsyncOpenAI


class _Retry(Exception):  # noqa: N818 - control flow, never leaves this file
    """A request failed in a way that may pass."""

    def __init__(self, error: ModelError, after: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.after = error, after


class ChatModel:
    """A model behind an OpenAI-compatible endpoint.

    One instance is shared by all episodes of a run; its limits hold for all of them together. It may be used again
    after ``aclose``, also in another event loop.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._price = price_of(config.model, config.price_table())
        self._rng = random.Random(0)
        url, self._userinfo = config.url()
        self._where = url or "api.openai.com"
        password = self._userinfo.partition(":")[2] if self._userinfo else None
        headers = [secret.get_secret_value() for secret in config.headers.values()]
        key = config.key()
        self._redact = Redactor([None if key == NO_KEY else key, self._userinfo, password, *headers])
        self._body = _fixed_body(config)
        self._client: AsyncOpenAI | None = None
        self._gate: Gate | None = None

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[dict[str, JsonValue]] = (),
        seed: int | None = None,
        extra: dict[str, JsonValue] | None = None,
    ) -> Completion:
        """Ask for one answer; what may pass (429, 5xx, time-outs, torn answers) is tried again.

        Args:
            messages: The chat, as endpoints shape it; not changed.
            tools: Tool schemas, as endpoints shape them.
            seed: Of the sampling.
            extra: Fields of the request body for this call alone.

        Raises:
            ModelUnavailableError: Nothing answers, or it kept failing.
            ModelAuthError: The key was refused.
            ModelContextError: The chat is longer than the model's context.
            ModelResponseError: The request was refused, or the answer is no completion.
        """
        body: dict[str, Any] = self._body | {"messages": messages}
        if tools:
            body["tools"] = tools
        if seed is not None and self.config.send_seed:
            body["seed"] = seed
        return await self._persist(body | extra if extra else body)

    async def aclose(self) -> None:
        """Close the connections; may be called twice."""
        client, self._client, self._gate = self._client, None, None
        if client is not None:
            with anyio.CancelScope(shield=True):
                await client.close()

    async def __aenter__(self) -> "ChatModel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ChatModel({self.config.model!r} at {self._where})"

    async def _persist(self, body: dict[str, Any]) -> Completion:
        started = time.perf_counter()
        for attempt in range(self.config.retries + 1):
            try:
                async with self._admitted():
                    sent = time.perf_counter()
                    completion = read(await self._post(body))
                    return self._priced(completion, sent, started, calls=attempt + 1)
            except _Retry as retry:
                error, after = retry.error, retry.after
            except ModelResponseError as broken:
                if isinstance(broken, ModelContextError | _RefusedError):
                    raise
                error, after = ModelResponseError(self._said(str(broken))), None
            if attempt < self.config.retries:
                await anyio.sleep(backoff(attempt, after, self._rng, longest=self.config.longest_wait_s))
        raise _counted(error, self.config.retries + 1) from None

    @asynccontextmanager
    async def _admitted(self) -> "AsyncIterator[None]":
        if self._gate is None:
            limits = self.config
            self._gate = Gate(limits.concurrency, limits.requests_per_minute, limits.tokens_per_minute)
        async with self._gate.admit():
            yield

    async def _post(self, body: dict[str, Any]) -> object:
        """Send one request; ``cast_to=object`` gives the JSON as it came, with the fields only some servers send."""
        import openai

        client = self._connected()
        try:
            with anyio.fail_after(self.config.timeout_s):
                return await client.post("/chat/completions", cast_to=object, body=body)
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self.config.timeout_s:g} s") from None
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        except openai.APIConnectionError as error:
            raise self._unavailable(f"cannot be reached: {_root(error)}") from None
        except (ValueError, RecursionError) as error:
            raise _Retry(ModelResponseError(self._said(f"answered with malformed JSON: {error}"))) from None
        except openai.OpenAIError as error:
            raise _RefusedError(self._said(f"cannot be asked: {error}")) from None

    def _refusal(self, error: Any) -> Exception:
        """Say what an HTTP status means: our key, our request, or their trouble."""
        status, text = error.status_code, _server_message(error)
        if status in (401, 403):
            return ModelAuthError(self._said(f"refused the key ({status}): {text}"))
        if status in (408, 409, 429) or status >= 500:
            if "insufficient_quota" in text or getattr(error, "code", None) == "insufficient_quota":
                return ModelUnavailableError(self._said(f"has no quota left for this key ({status}): {text}"))
            return self._unavailable(f"answered {status}: {text}", _retry_after(error.response.headers))
        if _too_long(error, text):
            return ModelContextError(self._said(f"cannot take so long a chat: {text}"))
        return _RefusedError(self._said(f"refused the request ({status}): {text}"))

    def _unavailable(self, what: str, after: float | None = None) -> _Retry:
        return _Retry(ModelUnavailableError(self._said(what)), after)

    def _said(self, what: str) -> str:
        return self._redact(f"model {self.config.model!r} at {self._where} {what}", limit=500)

    def _priced(self, completion: Completion, sent: float, started: float, *, calls: int) -> Completion:
        if self._gate:
            self._gate.spent(completion.prompt_tokens + completion.completion_tokens)
        cost = completion.cost
        if cost is None and self._price:
            cost = self._price.cost(completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens)
        seconds = time.perf_counter() - sent
        return replace(completion, cost=cost, calls=calls, seconds=seconds, waited=sent - started)

    def _connected(self) -> "AsyncOpenAI":
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> "AsyncOpenAI":
        from openai import AsyncOpenAI

        headers = {name: secret.get_secret_value() for name, secret in self.config.headers.items()}
        if self._userinfo and self.config.api_key is None:
            headers.setdefault("Authorization", _basic(self._userinfo))
        return AsyncOpenAI(
            api_key=self.config.key(),
            base_url=self.config.url()[0],
            default_headers=headers,
            max_retries=0,
            timeout=self.config.timeout_s + 1.0,
            http_client=_transport(self.config.transport, self.config.concurrency),
        )


class _RefusedError(ModelResponseError):
    """The request itself was refused: asking again would not help."""


def _fixed_body(config: ModelConfig) -> dict[str, JsonValue]:
    """Return the part of the request body that is the same in every call."""
    sampling = config.sampling.model_dump(mode="json", exclude_none=True, exclude={"extra", "max_tokens"})
    body: dict[str, JsonValue] = {"model": config.model, **sampling}
    if config.sampling.max_tokens is not None:
        body[config.token_limit_field] = config.sampling.max_tokens
    if config.token_ids:
        body["return_token_ids"] = True
    if config.logprobs or config.token_ids:
        body["logprobs"] = True
    return body | config.sampling.extra


def _transport(kind: str, concurrency: int) -> Any:
    """Return the HTTP client: aiohttp's costs about half of httpx's a request; None is the openai package's default."""
    import openai

    if kind == "httpx":
        return None
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        if kind == "auto":
            return None
        raise MissingExtraError.of("fast", "aiohttp") from None
    from httpx2 import Limits

    limits = Limits(max_connections=concurrency + 8, max_keepalive_connections=concurrency + 8)
    return openai.DefaultAioHttpClient(limits=limits, timeout=None)


def _basic(userinfo: str) -> str:
    import base64

    return "Basic " + base64.b64encode(userinfo.encode()).decode()


def _server_message(error: Any) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or error.message)


def _retry_after(headers: Any) -> float | None:
    """Read how long the server asks to wait, in seconds; a date is left to the back-off, which needs no clock."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    return None


def _too_long(error: Any, text: str) -> bool:
    if getattr(error, "code", None) == "context_length_exceeded":
        return True
    low = text.lower()
    return error.status_code in (400, 413, 422) and ("context length" in low or "maximum context" in low)


def _root(error: BaseException) -> str:
    """Return the innermost reason: the openai package only says "Connection error."."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _counted(error: ModelError, tries: int) -> ModelError:
    return type(error)(f"{error} (tried {tries} times)") if tries > 1 else error


def endpoint(model: str, base_url: str | None = None, **settings: Any) -> ChatModel:
    """Make a client from plain settings; unknown ones are refused.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    from pydantic import ValidationError

    try:
        return ChatModel(ModelConfig(model=model, base_url=base_url, **settings))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"model {model!r}: setting {'.'.join(map(str, first['loc']))!r}: {first['msg']}") from None
