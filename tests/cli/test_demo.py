"""The first command a newcomer runs."""

from pathlib import Path

import pytest

from turnwise.cli.demo import demo
from turnwise.trajectories import Store


def test_demo_scores_and_stores_gold_random_and_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo(["sql"], n=3, store=tmp_path / "demo.sqlite")
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("oracle", "random", "null", "turnwise show"))
    assert shown.index("turnwise view") < shown.index("turnwise show")
    with Store.open(tmp_path / "demo.sqlite") as store:
        assert sorted(run.agent for run in store.runs()) == ["null", "oracle", "random"]
        assert all(episode.success for episode in store.episodes() if episode.agent == "oracle")
