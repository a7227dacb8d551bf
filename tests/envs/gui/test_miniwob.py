"""MiniWoB++ without a browser: how pages are served, what is known of them, the panel and the generator."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("miniwob", reason="needs the gui extra")

from turnwise.envs.gui.miniwob import fields, pages, tasks, wheel
from turnwise.envs.gui.miniwob.catalogue import TAGS, catalogue, chosen, page
from turnwise.envs.gui.miniwob.pages import DATA, Seeds
from turnwise.envs.gui.miniwob.tasks import FIRST_SEED, MiniwobKnobs, MiniwobTasks, miniwob
from turnwise.errors import EnvError, TaskError, UnknownNameError
from turnwise.tasks import load_panel, make_generator

SEEDS = Seeds(problem=7, episode=3, mode="default")


# Pages.


@pytest.mark.parametrize("name", wheel.pages())
def test_a_page_brings_all_it_needs_in_one_response(name: str) -> None:
    body = pages.render(name, SEEDS).decode()
    assert json.dumps(SEEDS._asdict()) in body
    assert body.count("core.endEpisode = function") == 2, "the original and the harness's"
    assert not re.search(r"<script[^>]*\bsrc=|<link [^>]*href|<img[^>]*src=\"\.\.", body)
    loaded_by_scripts = re.findall(r"\.\./common/special/[\w/-]+", body)
    assert set(loaded_by_scripts) <= {"../common/special/order-food/"}


def test_every_page_of_the_distribution_is_in_the_catalogue() -> None:
    assert set(catalogue()) == set(wheel.pages())
    assert len(catalogue()) == 130


def test_pages_ask_for_files_of_their_own_folders_only() -> None:
    kind, data = pages.asset("/common/special/order-food/meat.png") or ("", b"")
    assert kind == "image/png"
    assert data.startswith(b"\x89PNG")
    for path in (
        "/fields.py",
        "/../fields.py",
        "/core/../../fields.py",
        "/miniwob/click-test.html",
        "/core",
        "//etc/passwd",
    ):
        assert pages.asset(path) is None


@given(st.text(max_size=80))
def test_no_path_leads_out_of_the_distribution(path: str) -> None:
    found = pages.asset("/core/../" + path.replace("\0", ""))
    assert found is None or isinstance(found[1], bytes)
    if found is not None:
        assert any(
            found[1] == file.read_bytes()
            for room in pages.ROOMS
            for file in (wheel.folder() / room).rglob("*")
            if file.is_file()
        )


@pytest.mark.parametrize("name", ["nothing", "../core/core", "", "click_test"])
def test_an_unknown_page_is_named_with_the_known(name: str) -> None:
    with pytest.raises(EnvError, match="has no page"):
        pages.render(name, SEEDS)


# Fields.


def test_an_instruction_is_cut_into_its_fields() -> None:
    said = 'Enter the username "myron" and the password "9f" into the text fields and press login.'
    found = fields.parse("login-user", said)
    assert found == {"username": "myron", "password": "9f"}
    assert fields.steps(found) == ('username: "myron"', 'password: "9f"')


def test_numbered_fields_count_from_one() -> None:
    found = fields.parse("click-checkboxes", "Select ab, c and click Submit.")
    assert fields.steps(found) == ('target 1: "ab"', 'target 2: "c"', 'button: "submit"')


def test_fields_that_the_page_tells_are_taken_as_they_are() -> None:
    said = {"utterance": "Ask Ann to …", "fields": {"by": "Ann", "to": None}}
    assert fields.read("email-inbox-nl-turk", said) == ("Ask Ann to …", {"by": "Ann"})


@given(st.sampled_from(sorted(catalogue())), st.text(max_size=200))
def test_any_text_can_be_read(name: str, text: str) -> None:
    utterance, found = fields.read(name, text)
    assert utterance == text
    assert all(isinstance(value, str) for value in found.values())


# Catalogue.


def test_scripts_cover_every_category() -> None:
    solved = Counter(one.category for one in catalogue().values() if one.gold)
    assert sum(solved.values()) >= 120
    assert set(solved) == {one.category for one in catalogue().values()}
    assert min(solved.values()) >= 4


def test_tags_are_explained() -> None:
    used = {tag for one in catalogue().values() for tag in one.tags}
    assert used == set(TAGS)


def test_difficulty_grows_with_steps_and_with_what_must_be_seen() -> None:
    assert page("click-test").difficulty == 1
    assert page("click-test").difficulty < page("login-user").difficulty < page("choose-date").difficulty
    assert page("click-color").difficulty == 2
    assert {one.difficulty for one in catalogue().values()} == {1, 2, 3, 4, 5}


def test_an_unknown_page_suggests_a_near_one() -> None:
    with pytest.raises(UnknownNameError, match="click-test"):
        page("click-tesst")


def test_pages_are_chosen_by_name_category_and_tag() -> None:
    assert [one.name for one in chosen(names=("login-user",))] == ["login-user"]
    assert {one.category for one in chosen(categories=("form",))} == {"form"}
    assert not [one for one in chosen(without=("vision", "pointer")) if {"vision", "pointer"} & set(one.tags)]
    with pytest.raises(TaskError, match="no MiniWoB"):
        chosen(names=("hover-shape",))


# The panel.


def test_the_panel_holds_ten_problems_of_every_page_with_a_script() -> None:
    count = Counter(str(task.data["page"]) for task in miniwob())
    assert set(count) == {one.name for one in catalogue().values() if one.gold}
    assert set(count.values()) == {10}


def test_the_splits_share_no_problem() -> None:
    panel = load_panel("gui/miniwob@1")
    assert panel.splits == ("test", "train", "validation")
    sets = [{(task.data["page"], task.data["seed"]) for task in panel.split(name)} for name in panel.splits]
    assert sum(map(len, sets)) == len(set().union(*sets)) == len(panel)
    assert max(int(str(task.data["seed"])) for task in panel) < FIRST_SEED


def test_a_task_says_what_its_page_asks_and_hints_at_the_parts() -> None:
    task = next(task for task in miniwob() if task.data["page"] == "login-user")
    assert task.instruction.startswith("Enter the username")
    assert task.hints[0].startswith('username: "')
    assert task.tags == ("form", "fields")
    assert "utterance" not in task.public().model_dump_json()


def test_transfer_pages_are_tested_in_their_test_mode() -> None:
    modes = {(task.split, task.data.get("mode", "default")) for task in miniwob() if "transfer" in task.tags}
    assert modes == {("train", "default"), ("validation", "default"), ("test", "test")}


def test_doing_nothing_pays_nothing() -> None:
    floor = _floor()
    assert set(floor) == {one.name for one in catalogue().values() if one.gold}
    assert all(row["null"] == 0 for row in floor.values())


def test_the_guide_states_the_floor_of_every_page() -> None:
    guide = Path(__file__).parents[3] / "docs" / "gui.md"
    table = (
        guide.read_text(encoding="utf-8").partition("| random wins | pages |\n| --- | --- |\n")[2].partition("\n\n")[0]
    )
    lines = dict(re.findall(r"^\| ([\d.]+) \| (.+) \|$", table, re.MULTILINE))
    floor = _floor()
    others = lines.pop("0")
    told = {name: float(share) for share, names in lines.items() for name in re.findall(r"`([^`]+)`", names)}
    assert told == {name: row["random"] for name, row in floor.items() if row["random"]}
    assert others == f"the other {len(floor) - len(told)}"


def _floor() -> dict[str, dict[str, float]]:
    pages: dict[str, dict[str, float]] = json.loads((DATA / "floor.json").read_text(encoding="utf-8"))["pages"]
    return pages


# The generator.


def test_generated_problems_are_new_and_follow_the_seed() -> None:
    generator = make_generator("turnwise.envs.gui.miniwob.tasks:MiniwobTasks")
    first, again = generator.generate(20, seed=1), generator.generate(20, seed=1)
    assert [task.key for task in first] == [task.key for task in again]
    assert all(int(str(task.data["seed"])) >= FIRST_SEED for task in first)
    assert {task.key for task in first}.isdisjoint(task.key for task in generator.generate(20, seed=2))
    assert {task.key for task in first}.isdisjoint(task.key for task in generator.generate(20, seed=1, split="test"))


def test_knobs_choose_pages_and_how_near_the_goal_an_agent_begins() -> None:
    knobs = MiniwobKnobs(categories=("form",), hardest=3, solved=2, decomposed=True)
    drawn = MiniwobTasks(knobs).generate(20, seed=1)
    assert {task.tags[0] for task in drawn} == {"form"}
    assert all((page(str(task.data["page"])).turns or 0) > 2 for task in drawn)
    assert all(task.data["solved"] == 2 and task.data["decomposed"] is True for task in drawn)
    assert all((task.difficulty or 0) <= 3 for task in drawn)


def test_knobs_that_leave_no_page_are_refused() -> None:
    with pytest.raises(TaskError, match="found only 0"):
        MiniwobTasks(MiniwobKnobs(pages=("click-test",), solved=5)).generate(1, seed=1)


def test_the_panel_is_built_once() -> None:
    assert tasks.miniwob() is tasks.miniwob()
