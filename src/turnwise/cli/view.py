"""``turnwise view``: the store in a browser."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from turnwise.cli import options
from turnwise.errors import ConfigError


def view(
    file: Annotated[
        Path | None, typer.Argument(metavar="[STORE]", help="The trajectory store; the same as --store.")
    ] = None,
    *,
    store: options.StorePath = options.DEFAULT_STORE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8321,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback it asks for a token.")
    ] = "127.0.0.1",
    token: Annotated[str | None, typer.Option(help="What readers must know; default: made up where needed.")] = None,
) -> None:
    """Show runs, episodes and turns in the browser, with credit, groups and training curves.

    Examples:
        turnwise view

        turnwise view --store results.sqlite --port 0

        turnwise view --host 0.0.0.0
    """
    import socket

    import uvicorn

    from turnwise.evals.viewer.app import create_app
    from turnwise.evals.viewer.guard import LOOPBACK

    known = token or (None if host in LOOPBACK else secrets.token_urlsafe(24))
    app = create_app(file or store, token=known, hosts=frozenset({host, socket.gethostname()} - {"0.0.0.0", "::"}))  # noqa: S104
    try:
        listener = socket.create_server((host, port), backlog=64)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; try --port 0") from error
    # A listener's option goes over to its connections; without it head and body of an answer lie 40 ms apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    typer.echo(f"http://{shown}:{listener.getsockname()[1]}/" + (f"?token={known}" if known else ""))
    settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with listener:
        uvicorn.Server(settings).run(sockets=[listener])
