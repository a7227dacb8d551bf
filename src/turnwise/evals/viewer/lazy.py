"""Pages whose top is sent before what stands below it is known."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from jinja2 import Template
from jinja2.runtime import Context
from markupsafe import escape

from turnwise.errors import TurnwiseError

T = TypeVar("T")
TOP = '<main id="main">'
"""What ends the part of a page that is sent at once."""


class Later(Generic[T]):
    """A value of a page that is made when the template first uses it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []

    def __call__(self) -> T:
        """Return the value."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]


def later(names: Iterable[str], make: Callable[[], dict[str, Any]]) -> dict[str, Later[Any]]:
    """Return one value for each name of a dictionary that is made once, when the first of them is used."""
    whole = Later(make)

    def one(name: str) -> Later[Any]:
        return Later(lambda: whole()[name])

    return {name: one(name) for name in names}


class LazyContext(Context):
    """Lets a template use a `Later` as if it were its value."""

    def resolve_or_missing(self, key: str) -> Any:
        """Look a name up, and make its value where that was left for later."""
        found = super().resolve_or_missing(key)
        return found() if isinstance(found, Later) else found


def parts(template: Template, values: dict[str, Any]) -> Iterator[str]:
    """Render a page in two parts: its top, then the rest, or in its place what went wrong with it."""
    pieces = template.generate(**values)
    top: list[str] = []
    for piece in pieces:
        top.append(piece)
        if TOP in piece:
            break
    yield "".join(top)
    try:
        yield "".join(pieces)
    except TurnwiseError as error:
        yield f'<h1>This does not work</h1><p class="empty bad">{escape(str(error))}</p></main></body></html>'
