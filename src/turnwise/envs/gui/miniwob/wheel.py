"""Where the pages come from: the files of the installed ``miniwob`` distribution, read and never copied.

The package itself is not imported: it would bring in Selenium and register environments elsewhere.
"""

import importlib.util
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from turnwise.errors import EnvError, MissingExtraError

Fields = Sequence[tuple[str, str]]
_PAGE = re.compile(r"[a-z0-9-]+")


@cache
def folder() -> Path:
    """Return the distribution's folder of pages, ``miniwob/html``.

    Raises:
        MissingExtraError: The distribution is not installed.
    """
    return _package() / "html"


@cache
def pages() -> tuple[str, ...]:
    """Return the names of all task pages, sorted: ``click-test`` and the like."""
    return tuple(sorted(path.stem for path in (folder() / "miniwob").glob("*.html")))


def page_file(page: str) -> Path:
    """Return the file of a page.

    Raises:
        EnvError: The distribution has no such page.
    """
    path = folder() / "miniwob" / f"{page}.html"
    if not _PAGE.fullmatch(page) or not path.is_file():
        raise EnvError(f"the installed miniwob distribution has no page {page!r}; it has {', '.join(pages())}")
    return path


def extractor(page: str) -> Callable[[str], Fields] | None:
    """Return the distribution's own parser of a page's instructions into fields; None where it has none."""
    found: Callable[[str], Fields] | None = _extractors().get(page)
    return found


@cache
def _extractors() -> dict[str, Callable[[str], Fields]]:
    spec = importlib.util.spec_from_file_location("_turnwise_miniwob_fields", _package() / "fields.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known: dict[str, Callable[[str], Fields]] = module.FIELD_EXTRACTORS
    return known


@cache
def _package() -> Path:
    spec = importlib.util.find_spec("miniwob")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError.of("gui", "miniwob")
    return Path(next(iter(spec.submodule_search_locations)))
