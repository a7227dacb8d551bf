"""The shipped panel: its size, its digest, and gold that solves."""

import pytest

from turnwise.envs.code import CodeEnv
from turnwise.envs.code.generate import CodeGenerator, CodeKnobs
from turnwise.envs.prove import prove
from turnwise.tasks import load_panel

DIGEST = "a3ad32397d2271294b343c6168f05a4e553c1b2a15c80e4de8140b339797b8f6"


def test_the_panel_is_the_same_everywhere() -> None:
    panel = load_panel("code/programs")
    assert {split: len(panel.split(split)) for split in panel.splits} == {"train": 300, "dev": 100, "test": 100}
    assert panel.digest == DIGEST
    kinds = {task.tags[0] for task in panel}
    assert kinds == {"parsing", "simulation", "wrangling", "optimisation", "repair"}


def test_no_program_is_in_two_splits() -> None:
    panel = load_panel("code/programs")
    references = [str(task.gold["reference"]) for task in panel]
    assert len(set(references)) == len(references)


@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_gold_solves_a_sample() -> None:
    report = await prove(CodeEnv, load_panel("code/programs").split("dev").sample(12, seed=1))
    assert report.ok, str(report)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.usefixtures("local")
async def test_gold_solves_all() -> None:
    report = await prove(CodeEnv, load_panel("code/programs"))
    assert report.ok, str(report)


def test_knobs_choose_kinds() -> None:
    tasks = CodeGenerator(CodeKnobs(kinds=("repair",), examples=0)).generate(5, seed=3, split="dev")
    assert all(task.tags[0] == "repair" and "Examples" not in task.instruction for task in tasks)
