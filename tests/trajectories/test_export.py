"""Exports come back in, and a wrong line is refused by file, line and field."""

from pathlib import Path

import pytest

from trajectory_samples import PNG, a_run, an_episode, plain
from turnwise.errors import ConfigError, StoreError
from turnwise.trajectories import CreditRow, Store
from turnwise.trajectories.export import export, import_file, to_dataset


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "s.sqlite", "a")
    store.append([a_run(), a_run("r2"), *(an_episode(sample=n) for n in range(3)), an_episode("r2")])
    store.append([CreditRow(run="r1", episode_id=an_episode().episode_id, method="m", advantages=[1.0, 2.0])])
    store.put_metrics("r1", 0, {"loss": 1.0})
    return store


def test_json_lines_come_back_in(filled: Store, tmp_path: Path) -> None:
    assert export(filled, "r1", tmp_path / "out.jsonl") == 3
    with Store.open(tmp_path / "new.sqlite", "a") as store:
        counts = import_file(store, tmp_path / "out.jsonl")
        assert counts == {"RunRecord": 1, "Trajectory": 3, "CreditRow": 1, "MetricRow": 1}
        import_file(store, tmp_path / "out.jsonl")
        assert [plain(e) for e in store.episodes()] == [plain(e) for e in filled.episodes("r1")]
        assert store.image(next(store.episodes()).turns[1].observation.results[0].parts[1].digest).data == PNG
        assert store.credit("r1") == filled.credit("r1")
        assert store.metrics("r1") == filled.metrics("r1")
    filled.close()


def test_a_wrong_line_adds_nothing(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    export(filled, None, path)
    lines = path.read_text().split("\n")
    spoilt = lines[3].replace('"seed":0', '"seed":"many"')
    path.write_text("\n".join([*lines[:3], spoilt, *lines[4:]]))
    with Store.open(tmp_path / "new.sqlite", "a") as store:
        with pytest.raises(StoreError, match=r"out\.jsonl:4: seed: .*integer"):
            import_file(store, path)
        assert store.count() == 0
        assert store.runs() == []
    filled.close()


@pytest.mark.parametrize(
    "text", ["{half", "[]", '{"kind":"other","record":{}}', '{"kind":"run","record":{}}', "\ufffe"]
)
def test_a_line_that_is_no_record_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with Store.open(tmp_path / "new.sqlite", "a") as store, pytest.raises(StoreError, match=r"bad\.jsonl:1: "):
        import_file(store, path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with Store.open(tmp_path / "new.sqlite", "a") as store, pytest.raises(StoreError, match="No such file"):
        import_file(store, tmp_path / "none.jsonl")


def test_parquet(filled: Store, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    assert export(filled, None, tmp_path / "out.parquet") == 4
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert sorted(row["run"] for row in table) == ["r1", "r1", "r1", "r2"]
    assert table[0]["tags"] == ["easy"]
    assert table[0]["success"] is True
    assert table[0]["turns"][1]["text"] == "näh\x00 \u2028"
    assert table[0]["turns"][1]["observation"].startswith("answer")
    filled.close()


def test_datasets(filled: Store) -> None:
    pytest.importorskip("datasets")
    dataset = to_dataset(filled.episodes("r1"))
    assert len(dataset) == 3
    assert dataset[0]["turns"][0]["reward"] == 0.5
    filled.close()


def test_an_export_that_fails_leaves_the_old_file(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(StoreError, match="no run 'nope'"):
        export(filled, "nope", path)
    with pytest.raises(ConfigError, match="cannot tell the format"):
        export(filled, "r1", tmp_path / "out.csv")
    with pytest.raises(StoreError, match="cannot write"):
        export(filled, "r1", tmp_path / "none" / "out.jsonl")
    assert path.read_text() == "old"
    filled.close()
