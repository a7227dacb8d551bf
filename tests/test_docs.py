"""Every Python block of the README and the guides runs; blocks of one page share their names, as a reader would."""

import os
import re
from pathlib import Path

import pytest

from turnwise.errors import MissingExtraError

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start()) + 2, match.group(1)) for match in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # A page may point it elsewhere; this puts it back afterwards.
    monkeypatch.setenv("TURNWISE_HOME", os.environ.get("TURNWISE_HOME", str(Path.home() / ".cache" / "turnwise")))
    names: dict[str, object] = {"__name__": "__docs__"}
    for line, source in blocks(page):
        padded = "\n" * (line - 1) + source
        try:
            exec(compile(padded, str(page), "exec"), names)
        except MissingExtraError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []
