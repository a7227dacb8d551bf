"""What several commands share: settings given as ``key=value``, and one JSON document on stdout."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from turnwise.errors import ConfigError

DEFAULT_STORE = Path("runs.sqlite")

EnvName = Annotated[str, typer.Argument(metavar="ENV", help="Environment: a registered name, or module:Class.")]
StorePath = Annotated[Path, typer.Option("--store", metavar="FILE", help="The trajectory store.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Panel = Annotated[
    str | None, typer.Option(metavar="NAME", help="Panel, or a .jsonl file of tasks; default: the environment's own.")
]
EnvSettings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Setting of the environment; may be repeated.")
]
Wrappers = Annotated[
    list[str] | None,
    typer.Option(metavar="WRAPPER", help="Wrapper, for example failing:p=0.1; repeatable, innermost first."),
]
Serve = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Serve this model (a folder or name) by a local vLLM while the run lasts."),
]
ServeSettings = Annotated[
    list[str] | None,
    typer.Option("--serve-set", metavar="KEY=VALUE", help="Flag of that server: max-model-len=4096; repeatable."),
]
ServePython = Annotated[
    str | None, typer.Option(metavar="PATH", help="Python that has vLLM; default: TURNWISE_VLLM_PYTHON, else this one.")
]
ServeWait = Annotated[float, typer.Option(help="Seconds within which that server must answer.")]


def settings(given: Iterable[str] | None) -> dict[str, Any]:
    """Parse ``key=value`` options; a value that is JSON is taken as such, anything else as text.

    Raises:
        ConfigError: An option holds no ``=``.
    """
    made: dict[str, Any] = {}
    for option in given or ():
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option!r}: a setting is written key=value")
        made[key.strip()] = _value(value)
    return made


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, and nothing else."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
