"""Demonstrations: which calls gold leaves out, and in which tasks."""

import anyio
import pytest

from turnwise.tasks import Task, make_generator
from turnwise.trainers.demonstrate import play
from turnwise.trainers.recipe import parse_recipe

KNOBS = {"db": "cornershop", "kinds": "count", "filters": 1, "joins": 0, "negation": False}
LOOKING = ("tables", "schema")
MADE = {
    "name": "t",
    "env": {"name": "sql"},
    "model": {"tiny": {}},
    "agent": {"format": "brackets"},
}


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return list(make_generator("sql", **KNOBS).panel({"train": 24}, seed=0))


def played(tasks: list[Task], seed: int = 0, **sft: object) -> list[tuple[str, ...]]:
    """Return the tools of each demonstration in their order; each demonstration is right."""
    recipe = parse_recipe({**MADE, "seed": seed, "sft": sft}, "test")
    episodes = anyio.run(play, recipe, tasks)
    assert [episode.score for episode in episodes] == [1.0] * len(tasks)
    return [tuple(call.name for turn in episode.turns for call in turn.calls) for episode in episodes]


def test_gold_looks_around_unless_told_otherwise(tasks: list[Task]) -> None:
    assert set(played(tasks)) == {("tables", "schema", "query", "submit")}
    assert set(played(tasks, skip_tools=LOOKING)) == {("query", "submit")}


def test_a_share_of_the_tasks_is_shown_without_looking_around(tasks: list[Task]) -> None:
    found = played(tasks, skip_tools=LOOKING, skip_share=0.5)
    assert set(found) == {("tables", "schema", "query", "submit"), ("query", "submit")}
    assert found == played(tasks, skip_tools=LOOKING, skip_share=0.5)
    assert found != played(tasks, seed=1, skip_tools=LOOKING, skip_share=0.5)
    alone = [played([task], skip_tools=LOOKING, skip_share=0.5)[0] for task in tasks[:4]]
    assert alone == found[:4], "whether a task's gold looks around does not hang on the other tasks"
