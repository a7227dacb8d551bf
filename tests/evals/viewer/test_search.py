"""The search index: what it finds, that it follows a run under way, and that it writes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import viewer_store
from trajectory_samples import a_run
from turnwise.envs import Observation
from turnwise.evals.viewer import search
from turnwise.evals.viewer.queries import PAGE, Filters, episodes
from turnwise.evals.viewer.search import SearchIndex, expression
from turnwise.trajectories import Store

SAID = 'Caf\u00e9 "Zwei"\nline\\two of 日本語の文 and snake_case x-17'


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = viewer_store.make(tmp_path_factory.mktemp("search") / "v.sqlite", n=3, samples=2)
    with Store.open(path, "a") as store:
        turns = [e.turns[0] for e in store.episodes("baseline")][:1]
        said = turns[0].model_copy(update={"text": SAID, "observation": Observation.of("the goblin waits")})
        like = next(store.episodes("baseline"))
        store.append(
            [a_run("other"), like.model_copy(update={"run": "other", "episode_id": "f" * 32, "turns": (said,)})]
        )
    return path


@pytest.fixture(scope="module")
def index(path: Path) -> Iterator[SearchIndex]:
    index = SearchIndex(path)
    assert index.wait(60)
    yield index
    index.close()


def found(path: Path, index: SearchIndex, q: str, run: str = "other") -> int:
    with Store.open(path) as store:
        return episodes(store, index, run, Filters(q=q)).total


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("cafe", 1), ("CAFÉ zwei", 1), ("line", 1), ("two", 1), ("gobl", 1), ("obli", 0), ("goblin café", 1),
        ('"the goblin waits"', 1), ('"goblin the"', 0), ("goblin the", 1), ('"gobl"', 0), ("日本", 1), ("語の", 1),
        ("%", 0), ('" OR 1', 0), ("x-17", 1), ("x-1", 1), ("f" * 32, 1), ("AND", 1), ("NEAR(", 0),
    ],
)  # fmt: skip
def test_words_said_are_found(path: Path, index: SearchIndex, q: str, expected: int) -> None:
    assert found(path, index, q) == expected


def test_more_hits_than_are_counted_are_told_and_paged(tmp_path: Path) -> None:
    path = viewer_store.make(tmp_path / "v.sqlite", n=1, samples=1)
    with Store.open(path, "a") as store:
        like = next(store.episodes("baseline"))
        many = [
            like.model_copy(update={"run": "many", "episode_id": f"{number:032d}", "sample": number})
            for number in range(PAGE + 7)
        ]
        store.append([a_run("many"), *many])
    index = SearchIndex(path)
    assert index.wait(60)
    with Store.open(path) as store:
        pages = [
            episodes(store, index, "many", Filters(q="counter", page=page), counted=counted)
            for page, counted in ((1, 10), (2, 10), (1, PAGE + 7), (3, 10))
        ]
    index.close()
    assert [(page.total, page.more) for page in pages] == [(PAGE, True), *[(PAGE + 7, False)] * 3]
    assert [row["sample"] for page in pages[:2] for row in page.rows] == list(range(PAGE + 7))
    assert pages[3].rows == []


def test_a_search_keeps_to_its_run_and_filters(path: Path, index: SearchIndex) -> None:
    assert found(path, index, "counter", run="baseline") == 6
    with Store.open(path) as store:
        won = sum(bool(row.success) for row in store.rows("baseline"))
        assert episodes(store, index, "baseline", Filters(q="counter", outcome="solved")).total == won


@given(st.text(max_size=40))
def test_no_text_breaks_the_index(path: Path, index: SearchIndex, q: str) -> None:
    words = expression(q)
    if words is not None:
        index.query("SELECT count(*) FROM temp.said WHERE said MATCH ?", words)


def test_the_index_follows_a_run_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOK_S", 0.01)
    monkeypatch.setattr(search, "STRIDE", 2)
    path = viewer_store.make(tmp_path / "v.sqlite", n=3, samples=2)
    index = SearchIndex(path)
    assert index.wait(60)
    assert found(path, index, "counter", run="baseline") == 6
    with Store.open(path, "a") as store:
        like = next(store.episodes("baseline"))
        store.append([like.model_copy(update={"episode_id": "d" * 32, "sample": 9, "instruction": "a quagga"})])
    tries = 0
    while not found(path, index, "quagga", run="baseline") and tries < 2000:
        search.time.sleep(0.005)
        tries += 1
    assert found(path, index, "quagga", run="baseline") == 1
    index.close()
    assert index.query("SELECT 1") == []


def test_a_store_that_may_not_be_written_is_searched_and_left_as_it_is(tmp_path: Path) -> None:
    path = viewer_store.make(tmp_path / "v.sqlite", n=2, samples=1)
    before = path.read_bytes()
    path.chmod(0o444)
    index = SearchIndex(path)
    assert index.wait(60)
    assert found(path, index, "counter", run="baseline") == 2
    index.close()
    assert path.read_bytes() == before
