"""The settings of a model endpoint, checked once."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

from turnwise.errors import ModelAuthError
from turnwise.models.prices import Price, load
from turnwise.models.secrets import split_userinfo

NO_KEY = "none"
"""Sent to servers that need no key, since the client must send something."""


class Sampling(BaseModel):
    """How answers are drawn; None leaves it to the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    extra: dict[str, JsonValue] = {}
    """Further fields of the request body (``top_k``, ``reasoning_effort``, ``chat_template_kwargs`` …)."""


class ModelConfig(BaseModel):
    """Which model answers, where, and under which limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    base_url: str | None = Field(default=None, repr=False)
    """Any OpenAI-compatible endpoint; None: ``OPENAI_BASE_URL``, else OpenAI's own."""
    api_key: SecretStr | None = None
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key where none is given."""
    headers: dict[str, SecretStr] = {}
    sampling: Sampling = Sampling()
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How this server calls the limit on the answer's length."""
    token_ids: bool = False
    """Ask for token ids and log-probs (vLLM)."""
    logprobs: bool = False
    """Ask for the log-probs of the sampled tokens."""
    send_seed: bool = True
    """Send the agent's sampling seed."""
    timeout_s: float = Field(default=120.0, gt=0)
    """For one whole request, connection and body included."""
    retries: int = Field(default=4, ge=0)
    longest_wait_s: float = Field(default=60.0, ge=0)
    """The longest back-off, whatever ``Retry-After`` asks for."""
    concurrency: int = Field(default=256, gt=0)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    prices: dict[str, Price] = {}
    price_file: Path | None = None
    transport: Literal["auto", "aiohttp", "httpx"] = "auto"

    def url(self) -> tuple[str | None, str | None]:
        """Return the base URL without user and password, and those."""
        url = self.base_url or os.environ.get("OPENAI_BASE_URL") or None
        return split_userinfo(url) if url else (None, None)

    def key(self) -> str:
        """Return the key to send.

        Raises:
            ModelAuthError: None is given and the endpoint is OpenAI's own.
        """
        found = self.api_key.get_secret_value() if self.api_key else os.environ.get(self.api_key_env)
        if found:
            return found
        if self.url()[0] is None:
            raise ModelAuthError(
                f"no API key: set the environment variable {self.api_key_env}, or name another endpoint by base_url"
            )
        return NO_KEY

    def price_table(self) -> dict[str, Price]:
        """Return the user's own prices, the file's overridden by those given."""
        return {**(load(self.price_file) if self.price_file else {}), **self.prices}

    def asked(self) -> dict[str, JsonValue]:
        """Return what can change an answer, as it is stored with a run: no address, no key, no speed."""
        left_out = {"api_key", "api_key_env", "headers", "base_url", "price_file", *_RUNNING}
        dumped: dict[str, JsonValue] = self.model_dump(mode="json", exclude=left_out)
        return dumped

    def running(self) -> dict[str, JsonValue]:
        """Return how the endpoint is asked: limits, retries, prices."""
        dumped: dict[str, JsonValue] = self.model_dump(mode="json", include=set(_RUNNING))
        return dumped


_RUNNING = (
    "timeout_s",
    "retries",
    "longest_wait_s",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "prices",
    "transport",
)
