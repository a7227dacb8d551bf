"""The contract suite over the tag interfaces and the smuggled texts; the default is among all environments' tests."""

import pytest

from turnwise.envs.check import check_env
from turnwise.tasks.panels import load_panel

TASKS = load_panel("search/world", "dev").tasks[:40]


@pytest.mark.parametrize(
    "config",
    [
        {"interface": "tags", "judge": "drop"},
        {"interface": "search-r1"},
        {"interface": "tags", "engine": "self"},
    ],
)
def test_the_contract(config: dict[str, object]) -> None:
    report = check_env("search", TASKS, config=config, n=2, pool=40)
    assert report.ok, report


def test_the_contract_with_smuggled_texts() -> None:
    report = check_env("search", load_panel("search/injected").tasks[:20], n=2)
    assert report.ok, report
