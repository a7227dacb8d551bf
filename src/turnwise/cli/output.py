"""Printing: text from models and tasks is hostile."""

import math
import re

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def console() -> Console:
    """Return the console for stdout."""
    return Console(highlight=False, soft_wrap=False)


def safe(text: str, limit: int | None = None) -> str:
    """Make foreign text harmless for a terminal: no control characters, no markup; cut to ``limit`` characters."""
    plain = _CONTROL.sub("�", text)
    if limit is not None and len(plain) > limit:
        plain = f"{plain[: limit - 1]}…"
    return escape(plain)


def number(value: float | None, digits: int = 3) -> str:
    """Show a number; a missing one as a dash."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"


def percent(value: float | None) -> str:
    """Show a share of one."""
    return "–" if value is None else f"{value:.1%}"


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the house's look; a column whose name starts with ``>`` is aligned right."""
    from rich import box

    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", no_wrap=False)
    return made
