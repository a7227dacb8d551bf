"""``turnwise envs``: which environments there are."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from turnwise.cli.options import print_json
from turnwise.cli.worlddocs import EnvRow, Envs, EnvShown
from turnwise.envs import Env, ToolEnv, env_class, names
from turnwise.errors import TurnwiseError


def envs(
    name: Annotated[str | None, typer.Argument(help="Show one environment: a name or module:Class.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the environments, or show one with its tools, settings and reward presets.

    Examples:
        turnwise envs

        turnwise envs sql --json
    """
    if name is not None:
        found = describe(name, env_class(name))
        print_json(found.dump()) if json else _show(found.dump())
        return
    listed = [_row(registered) for registered in names()]
    print_json(Envs(envs=listed).dump()) if json else _list(listed)


def _row(name: str) -> EnvRow:
    try:
        cls = env_class(name)
    except (TurnwiseError, ImportError) as error:
        return EnvRow(name=name, available=False, why=str(error))
    about = {"version": cls.version, "replay": cls.replay, "default_panel": cls.default_panel}
    return EnvRow(name=name, available=True, summary=_summary(cls), **about)


def describe(name: str, cls: type[Env]) -> EnvShown:
    """Return what is known of an environment before an episode begins."""
    tools = cls.listed_tools() if issubclass(cls, ToolEnv) else ()
    settings = {key: field.get_default(call_default_factory=True) for key, field in cls.Config.model_fields.items()}
    return EnvShown(
        name=name,
        version=cls.version,
        replay=cls.replay,
        default_panel=cls.default_panel,
        summary=_summary(cls),
        tools=list(tools),
        settings={key: str(value) for key, value in settings.items()},
        rewards=cls.PRESETS if issubclass(cls, ToolEnv) else {},
    )


def _summary(cls: type[Env]) -> str:
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def _list(listed: list[EnvRow]) -> None:
    table = Table("environment", "version", "default panel", "what it is", box=None, header_style="bold")
    for row in listed:
        if row.available:
            table.add_row(*map(escape, (row.name, row.version, row.default_panel or "", row.summary)))
        else:
            table.add_row(escape(row.name), "", "", escape(f"not available: {row.why}"), style="dim")
    Console().print(table)


def _show(found: dict[str, Any]) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{found['name']} {found['version']}: {found['summary']}")
    console.print(f"default panel: {found['default_panel'] or 'none'}; replay: {found['replay']}")
    for tool in found["tools"]:
        console.print(f"tool {tool['name']}({', '.join(tool['parameters']['properties'])}): {tool['description']}")
    for preset, weights in found["rewards"].items():
        console.print(f"rewards {preset}: " + ", ".join(f"{part} {weight:g}" for part, weight in weights.items()))
    for setting, default in found["settings"].items():
        console.print(f"setting {setting} = {default}")
