"""The shipped panel: its tasks are solved by their proofs, by nothing and by chance hardly ever."""

import random
import subprocess
import sys

import anyio
import pytest

from turnwise.envs import Env, make
from turnwise.envs.search.generate import SearchGenerator, make_world_panel
from turnwise.envs.types import StepResult, StopReason
from turnwise.tasks import Task, TaskSet
from turnwise.tasks.panels import load_panel

PANEL = load_panel("search/world")


async def play_gold(env: Env, task: Task) -> StepResult:
    await env.reset(task, seed=0)
    while True:
        result = await env.step(await env.gold_action())
        if result.terminated:
            return result


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"interface": "tags"},
        {"interface": "search-r1"},
        {"interface": "tags", "engine": "self", "rewards": "ssrl"},
        {"judge": "drop", "rewards": "search-r1"},
    ],
)
def test_the_oracle_solves_every_task_through_every_interface(config: dict[str, str]) -> None:
    async def main() -> None:
        env = make("search", **config)
        for task in PANEL:
            result = await play_gold(env, task)
            assert result.info.success, task.instruction
            assert result.info.score == 1.0
            assert result.info.stop_reason is StopReason.SOLVED

    anyio.run(main)


def test_the_solutions_see_all_their_evidence_and_earn_arenas_bonus() -> None:
    async def main() -> None:
        env = make("search", rewards="arena")
        for task in PANEL.split("test"):
            result = await play_gold(env, task)
            parts = {part.name: part.value for part in result.info.reward_parts}
            assert parts["evidence_recall"] in (1.0, None)
            assert result.reward == 13.0

    anyio.run(main)


def test_doing_nothing_scores_nothing_and_chance_hardly_anything() -> None:
    async def main() -> None:
        env, solved = make("search"), 0
        for task in PANEL:
            await env.reset(task, seed=0)
            assert (await env.truncate(StopReason.TURN_LIMIT)).info.score == 0.0
            rng = random.Random(task.id)
            await env.reset(task, seed=0)
            for _ in range(15):
                result = await env.step(await env.sample_action(rng))
                if result.terminated:
                    solved += bool(result.info.success)
                    break
        assert solved / len(PANEL) <= 0.05

    anyio.run(main)


def test_the_panel_is_what_its_generator_gives() -> None:
    assert {split: len(PANEL.split(split)) for split in PANEL.splits} == {"train": 300, "dev": 100, "test": 100}
    assert make_world_panel().digest == PANEL.digest
    assert {task.difficulty for task in PANEL} == {1, 2, 3, 4}
    assert len({task.tags[0] for task in PANEL}) == 9


def test_the_splits_ask_different_things() -> None:
    asked = [(task.split, task.gold["asks"]) for task in PANEL]
    assert len({asks for _, asks in asked}) == len(asked)


def test_the_generator_gives_the_same_whatever_the_hash_seed() -> None:
    program = (
        "from turnwise.envs.search.generate import SearchGenerator, SearchKnobs\n"
        "made = SearchGenerator(SearchKnobs(world=3, pages=400)).panel({'dev': 12}, seed=5)\n"
        "import sys; sys.stdout.write(made.digest)\n"
    )
    digests = set()
    for seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**_environment(), "PYTHONHASHSEED": seed},
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_knobs_shape_the_questions() -> None:
    from turnwise.envs.search.generate import SearchKnobs

    knobs = SearchKnobs(world=11, pages=600, forms={"chain4": 1, "unanswerable": 1}, aliases=1.0)
    tasks = TaskSet(name="x", tasks=SearchGenerator(knobs).generate(10, seed=2))
    assert {task.tags[0] for task in tasks} == {"chain4", "unanswerable"}
    assert all(task.data["corpus"]["recipe"]["pages"] == 600 for task in tasks)  # type: ignore[index, call-overload]
