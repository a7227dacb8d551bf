"""The report stands alone, escapes everything, and has something to say about odd runs."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from synthetic_runs import HOSTILE, make_run, make_training, panel, store_at
from turnwise.errors import StoreError
from turnwise.evals.report import Source, render, write_report
from turnwise.trajectories.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path / "s.sqlite") as opened:
        yield opened


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that what opens closes."""

    VOID = frozenset({"meta", "br", "circle", "line", "rect", "polyline", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID or (tag == "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in ("rect", "polyline"):
            self.open.pop()
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_shows_what_people_decide_by(store: Store) -> None:
    make_run(store, "small", tasks=60, samples=2, skill=0.8, failing=0.05)
    make_run(store, "large", tasks=60, samples=2, skill=1.0, seed=2)
    page = Page(render([Source(store, "small"), Source(store, "large")]))
    for said in (
        "Success by difficulty", "Dollars against success", "Turns", "How episodes ended", "Failures by kind",
        "Reward parts", "By tag", "pass@k", "small against large", "tokens a success", "Configuration, packages",
    ):  # fmt: skip
        assert said in page.text, said
    assert page.tags.count("svg") >= 6


def test_it_runs_no_script_and_fetches_nothing_whatever_the_model_wrote(store: Store) -> None:
    make_run(store, HOSTILE, tasks=20, text=HOSTILE, model=HOSTILE, failing=0.2, config={"x": HOSTILE})
    make_run(store, "other", tasks=20, text=HOSTILE, seed=3)
    html = render([Source(store, HOSTILE), Source(store, "other")])
    page = Page(html)
    assert {"script", "img", "link", "iframe", "object", "embed", "form"} & set(page.tags) == set()
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert "<script" not in html
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_training_runs_show_their_curves(store: Store) -> None:
    make_training(store, "train")
    page = Page(render([Source(store, "train")]))
    for said in ("Success while training", "loss/policy", "entropy", "score/mean"):
        assert said in page.text


def test_odd_runs_are_told_in_words(store: Store) -> None:
    make_run(store, "empty", tasks=0, panel=panel(5))
    make_run(store, "failed", tasks=5, failing=1.0)
    make_run(store, "one", tasks=1)
    assert "The run holds no episode." in Page(render([Source(store, "empty")])).text
    assert "Every one of the 5 episodes failed" in Page(render([Source(store, "failed")])).text
    assert "one task" in Page(render([Source(store, "one")])).text
    both = Page(render([Source(store, "failed"), Source(store, "one")])).text
    assert "cannot compare 'failed' and 'one'" in both


def test_the_file_is_written_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    make_run(store, "a", tasks=3)
    write_report([Source(store, "a")], tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report([Source(store, "a")], tmp_path / "nowhere" / "out.html")
    with pytest.raises(StoreError, match="has no run"):
        write_report([Source(store, "zzz")], tmp_path / "other.html")
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["out.html"]


def test_two_renderings_are_the_same_bytes(store: Store) -> None:
    make_run(store, "a", tasks=30, samples=2)
    assert render([Source(store, "a")]) == render([Source(store, "a")])
