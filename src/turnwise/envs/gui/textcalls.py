"""Actions written as calls, ``click('12')``: BrowserGym's vocabulary and our own tools' names, read and never run.

The names and parameters are those of BrowserGym's action sets (``browsergym.core`` 0.14), so that agents written for
them act here too. Arguments are Python literals, read with ``ast``; anything else is told as an error.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from turnwise.envs.types import ToolSpec

LONGEST = 20_000
"""Calls are looked for in this many characters at the message's end."""
MOST = 20
"""Calls of one message that are read."""


class Form(NamedTuple):
    """How a written call becomes a tool's arguments."""

    tool: str
    names: tuple[str, ...]
    """BrowserGym's parameters, in order."""
    ours: tuple[str, ...]
    """The tool's parameters, in the same order."""
    fixed: tuple[tuple[str, JsonValue], ...] = ()


class Written(NamedTuple):
    """One call found in a text."""

    tool: str
    arguments: dict[str, JsonValue]


class Reading(NamedTuple):
    """What a text says to do."""

    calls: tuple[Written, ...]
    error: str = ""
    """Why nothing of it is run; empty where all calls could be read."""


def _form(tool: str, names: str, ours: str = "", **fixed: JsonValue) -> Form:
    return Form(tool, tuple(names.split()), tuple((ours or names).split()), tuple(fixed.items()))


FORMS: Mapping[str, Form] = {
    "click": _form("click", "bid button modifiers", "id button modifiers"),
    "dblclick": _form("click", "bid button modifiers", "id button modifiers", clicks=2),
    "fill": _form("fill", "bid value", "id text"),
    "clear": _form("fill", "bid", "id", text=""),
    "select_option": _form("select", "bid options", "id options"),
    "hover": _form("hover", "bid", "id"),
    "focus": _form("focus", "bid", "id"),
    "press": _form("press", "bid key_comb", "id keys"),
    "drag_and_drop": _form("drag", "from_bid to_bid", "from_id to_id"),
    "upload_file": _form("upload", "bid file", "id files"),
    "scroll": _form("scroll", "delta_x delta_y", "dx dy"),
    "mouse_move": _form("hover_at", "x y"),
    "mouse_down": _form("mouse_down", "x y button"),
    "mouse_up": _form("mouse_up", "x y button"),
    "mouse_click": _form("click_at", "x y button"),
    "mouse_dblclick": _form("click_at", "x y button", clicks=2),
    "mouse_drag_and_drop": _form("drag_at", "from_x from_y to_x to_y"),
    "scroll_at": _form("scroll_at", "x y delta_x delta_y", "x y dx dy"),
    "keyboard_down": _form("key_down", "key"),
    "keyboard_up": _form("key_up", "key"),
    "keyboard_press": _form("press", "key", "keys"),
    "keyboard_type": _form("type_text", "text"),
    "keyboard_insert_text": _form("type_text", "text"),
    "goto": _form("goto", "url"),
    "go_back": _form("back", ""),
    "go_forward": _form("forward", ""),
    "new_tab": _form("tab_new", ""),
    "tab_close": _form("tab_close", ""),
    "tab_focus": _form("tab_focus", "index"),
    "send_msg_to_user": _form("answer", "text"),
    "report_infeasible": _form("infeasible", "reason"),
    "noop": _form("wait", "wait_ms", "ms"),
}
"""BrowserGym's actions by name. What a form renames may be given by either name."""
_FENCED = re.compile(r"```(?:python|py)?\s*\n?(.*?)```", re.DOTALL)
_TAGGED = re.compile(r"<action>(.*?)</action>", re.DOTALL)
_QUOTES = ("'", '"')


def read(text: str, tools: Sequence[ToolSpec]) -> Reading:
    """Find the calls of a text: those in its last ``<action>`` or code block, else those anywhere in it.

    Args:
        text: What the agent wrote.
        tools: The tools of the episode; what leads to another is an error.
    """
    forms = forms_of(tools)
    text = text[-LONGEST:]
    blocks = _TAGGED.findall(text) or _FENCED.findall(text)
    found: list[Written] = []
    try:
        for name, source in _sources(blocks[-1] if blocks else text, forms):
            found.append(_written(name, source, forms[name]))
    except _WrongError as error:
        return Reading((), str(error))
    if len(found) > MOST:
        return Reading((), f"{len(found)} actions in one message; write at most {MOST}.")
    return Reading(tuple(found))


def forms_of(tools: Sequence[ToolSpec]) -> dict[str, Form]:
    """Return every name that may be written for these tools; a name that both vocabularies have takes either's."""
    forms = {}
    for spec in tools:
        properties = spec.parameters.get("properties")
        names = tuple(properties) if isinstance(properties, dict) else ()
        forms[spec.name] = Form(spec.name, names, names)
    offered = set(forms)
    return forms | {name: form for name, form in FORMS.items() if form.tool in offered}


def vocabulary(tools: Sequence[ToolSpec]) -> str:
    """Describe how to write each of BrowserGym's actions that these tools can do, one a line."""
    told = {spec.name: " ".join(spec.description.split()) for spec in tools}
    lines = [
        f"{name}({', '.join(form.names)})  # {told[form.tool]}" for name, form in FORMS.items() if form.tool in told
    ]
    return "\n".join(lines)


class _WrongError(Exception):
    """A call that cannot be read; the message is for the agent."""


def _sources(text: str, forms: Mapping[str, Form]) -> list[tuple[str, str]]:
    """Return each call's name and source, in order; a name inside another call's strings is none."""
    names = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w.'\"])({names})\s*\(") if names else None
    found, place = [], 0
    while pattern and (match := pattern.search(text, place)):
        place = _end(text, match.end())
        found.append((match[1], text[match.start() : place]))
    return found


def _end(text: str, start: int) -> int:
    """Return where the bracket that opened before ``start`` closes, strings respected; the text's end if nowhere."""
    depth, quote, place = 1, "", start
    while place < len(text):
        char = text[place]
        if quote:
            if char == "\\":
                place += 1
            elif char == quote:
                quote = ""
        elif char in _QUOTES:
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
            if depth == 0:
                return place + 1
        place += 1
    return len(text)


def _written(name: str, source: str, form: Form) -> Written:
    try:
        with warnings.catch_warnings():
            # A text such as '\\d' is the agent's affair.
            warnings.simplefilter("ignore")
            parsed = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise _WrongError(f"{_short(source)} is no call: {said}. Write it like {_example(name, form)}.") from error
    if not isinstance(parsed, ast.Call):
        raise _WrongError(f"{_short(source)} is no call. Write it like {_example(name, form)}.")
    if len(parsed.args) > len(form.names):
        raise _WrongError(f"{name} takes {len(form.names)} arguments, not {len(parsed.args)}: {_example(name, form)}.")
    given = {form.names[index]: _literal(name, node) for index, node in enumerate(parsed.args)}
    for keyword in parsed.keywords:
        if keyword.arg is None:
            raise _WrongError(f"{name}: ** is not allowed; write {_example(name, form)}.")
        given[keyword.arg] = _literal(name, keyword.value)
    ours = dict(zip(form.names, form.ours, strict=True))
    known = {ours.get(key, key): value for key, value in given.items()}
    return Written(form.tool, known | dict(form.fixed))


def _literal(name: str, node: ast.expr) -> JsonValue:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise _WrongError(
            f"{name}: {_short(ast.unparse(node))} is no plain value; write texts in quotes, numbers and lists."
        ) from error
    return _plain(name, value)


def _plain(name: str, value: object) -> JsonValue:
    if isinstance(value, tuple | list | set):
        return [_plain(name, item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise _WrongError(f"{name}: {_short(repr(value))} cannot be an argument; use texts, numbers and lists.")


def _example(name: str, form: Form) -> str:
    return f"{name}({', '.join(form.names)})"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 80 else text[:77] + "...")
