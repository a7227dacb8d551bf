"""``turnwise eval --serve``: a local server for the time of a run."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
from rich.console import Console

from turnwise.cli import options
from turnwise.cli.output import safe
from turnwise.errors import ConfigError, TurnwiseError
from turnwise.models.serve import LOOK_EVERY_S, Server, Serving, parser_of, served

T = TypeVar("T")


def serving_of(
    model: str | None,
    *,
    names: list[str],
    settings: list[str] | None,
    python: str | None,
    wait_s: float,
    store: Path,
    others: dict[str, str | None],
) -> Serving | None:
    """Return what to serve; None where nothing is to be served.

    Args:
        model: The folder or name given by ``--serve``.
        names: Given by ``--model``: at most one, what the model is to be called.
        settings: The server's flags.
        python: A Python that has vLLM.
        wait_s: Seconds within which the server must answer.
        store: The run's store; the server's log lies beside it.
        others: Options that another endpoint or agent would need, by name.

    Raises:
        ConfigError: The options contradict each other.
    """
    if model is None:
        if settings or python:
            raise ConfigError("--serve-set and --serve-python tell how to serve a model; name it by --serve")
        return None
    against = next((f"--{name} {value}" for name, value in others.items() if value is not None), None)
    if against:
        raise ConfigError(f"--serve brings its own endpoint and the chat agent; leave out {against}")
    if len(names) > 1:
        raise ConfigError("--serve serves one model: give --model once, as the name it is to have, or not at all")
    return Serving(
        model=model,
        name=names[0] if names else None,
        log=store.with_name(f"{store.name}.serve.log"),
        settings=options.settings(settings),
        python=python,
        wait_s=wait_s,
    )


def endpoint_of(serving: Serving) -> dict[str, Any]:
    """Return the chat agent's settings for it; what is sampled is kept as tokens."""
    return {
        "base_url": serving.url,
        "api_key": serving.key,
        "model": serving.served_name,
        "token_ids": True,
        "logprobs": True,
    }


@contextmanager
def shown(serving: Serving, *, quiet: bool) -> Iterator[Server]:
    """Serve while the block runs; what the server says until it answers is shown on stderr."""
    out = Console(stderr=True, quiet=quiet, highlight=False)
    name = safe(serving.served_name)
    out.print(f"serving {name} · tool calls: {_parser(serving)} · log: {safe(str(serving.log))}", soft_wrap=True)
    with ExitStack() as stack:
        with out.status(f"{name} starts") as status:
            server = stack.enter_context(served(serving, lambda said: status.update(f"{name} starts · {safe(said)}")))
        yield server


def _parser(serving: Serving) -> str:
    return safe(str(serving.settings.get("tool-call-parser", parser_of(serving.model))))


async def guarded(work: Callable[[], Awaitable[T]], server: Server | None) -> T:
    """Do some work as long as the server lives.

    Raises:
        ModelUnavailableError: The server ended first.
    """
    if server is None:
        return await work()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, server)
            done = await work()
            group.cancel_scope.cancel()
            return done
    except* TurnwiseError as errors:
        server.check()
        raise errors.exceptions[0] from None
    raise AssertionError("unreachable")


async def _watch(server: Server) -> None:
    while True:
        server.check()
        await anyio.sleep(LOOK_EVERY_S)
