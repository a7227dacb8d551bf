"""MiniWoB++ in a browser: every shipped solution, and what the harness changes of the pages."""

from collections.abc import Sequence

import anyio
import pytest

pytest.importorskip("miniwob", reason="needs the gui extra")

from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.miniwob.catalogue import catalogue
from turnwise.envs.gui.miniwob.tasks import miniwob
from turnwise.envs.prove import ProofReport, prove
from turnwise.envs.types import StopReason
from turnwise.errors import EnvError, TaskError
from turnwise.tasks import Task

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.usefixtures("browser")]

AT_ONCE = 8
CATEGORIES = sorted({page.category for page in catalogue().values()})


def problem(page: str, seed: int = 7, **more: object) -> Task:
    data = {"site": "miniwob", "page": page, "seed": seed, **more}
    return Task.model_validate({"id": f"{page}-{seed}", "env": "gui", "instruction": "Do it.", "data": data})


async def proofs(tasks: Sequence[Task]) -> list[ProofReport]:
    """Run solutions in several contexts at once."""
    reports: list[ProofReport] = []

    async def some(part: Sequence[Task]) -> None:
        reports.append(await prove(GuiEnv, part))

    async with anyio.create_task_group() as group:
        for first in range(AT_ONCE):
            group.start_soon(some, tasks[first::AT_ONCE])
    return reports


@pytest.mark.parametrize("category", CATEGORIES)
async def test_every_shipped_solution_solves_its_ten_problems(category: str) -> None:
    tasks = [task for task in miniwob() if task.tags[0] == category]
    unsolved = [one for report in await proofs(tasks) for one in report.unsolved]
    # A browser that broke says nothing of a solution: as in an evaluation, such an episode is tried again.
    broke = {one.task for one in unsolved if one.reason in ("error", "no_gold")}
    again = await proofs([task for task in tasks if task.id in broke])
    unsolved = [one for one in unsolved if one.task not in broke] + [one for each in again for one in each.unsolved]
    assert tasks
    assert not unsolved


async def test_the_score_board_the_cover_and_the_clock_are_not_there() -> None:
    async with GuiEnv() as env:
        shown, _ = await env.reset(problem("click-test"), seed=0)
        assert "Click Me!" in shown.text
        assert not any(word in shown.text for word in ("START", "Last reward", "Time left"))
        await env.session.active.settle(3_600_000)
        result = await env.step(await env.gold_action())
        assert (result.info.score, result.info.success, result.terminated) == (1.0, True, True)


async def test_the_same_seed_is_the_same_problem_and_another_is_another() -> None:
    async with GuiEnv() as env:
        texts = [(await env.reset(problem("login-user", seed), seed=0))[0].text for seed in (1, 1, 11)]
    assert texts[0] == texts[1] != texts[2]


async def test_loading_the_page_again_gives_the_same_problem_again() -> None:
    async with GuiEnv() as env:
        await env.reset(problem("login-user"), seed=0)
        before = await env.state_key()
        await env.step(await env.gold_action())
        assert await env.state_key() != before
        await env.session.active.goto("https://login-user.test/")
        assert await env.state_key() == before


async def test_only_the_first_end_counts() -> None:
    async with GuiEnv() as env:
        await env.reset(problem("click-test-2"), seed=0)
        await env.session.active.main("() => { core.endEpisode(-1); core.endEpisode(1); }")
        verdict = await env.site.verdict(env.session, final=False)
    assert (verdict.done, verdict.score, verdict.success) == (True, 0.0, False)


async def test_a_page_that_has_not_ended_scores_nothing() -> None:
    async with GuiEnv() as env:
        await env.reset(problem("use-colorwheel"), seed=0)
        result = await env.truncate(StopReason.TURN_LIMIT)
    assert (result.info.score, result.info.success) == (0.0, False)


async def test_what_a_page_draws_later_follows_the_episode() -> None:
    async def numbers(seed: int) -> list[str]:
        async with GuiEnv() as env:
            await env.reset(problem("generate-number"), seed=seed)
            drawn = "() => [1, 2, 3, 4].map(() => { $('#generate').click(); return $('#display-number').text(); })"
            return list(await env.session.active.main(drawn))

    assert await numbers(1) == await numbers(1) != await numbers(2)


async def test_an_agent_can_begin_nearer_to_the_goal() -> None:
    async with GuiEnv() as env:
        shown, _ = await env.reset(problem("login-user", solved=2, decomposed=True), seed=0)
        assert '- username: "' in shown.text
        result = await env.step(await env.gold_action())
        assert result.info.success


async def test_beginning_at_the_goal_is_refused() -> None:
    async with GuiEnv() as env:
        with pytest.raises(TaskError, match="begin it with fewer"):
            await env.reset(problem("login-user", solved=3), seed=0)


async def test_another_distribution_than_the_panels_is_noticed() -> None:
    task = problem("login-user").model_copy(update={"gold": {"utterance": "Enter something else."}})
    async with GuiEnv() as env:
        with pytest.raises(EnvError, match="another than the panel was made with"):
            await env.reset(task, seed=0)


async def test_a_page_without_a_script_says_so() -> None:
    async with GuiEnv() as env:
        await env.reset(problem("hover-shape"), seed=0)
        with pytest.raises(EnvError, match="no scripted solution"):
            await env.gold_action()


@pytest.mark.parametrize("page", sorted(name for name, page in catalogue().items() if not page.gold))
async def test_pages_without_a_script_open_too(page: str) -> None:
    async with GuiEnv() as env:
        shown, _ = await env.reset(problem(page), seed=0)
    assert "RootWebArea" in shown.text


async def test_tools_by_coordinates_come_where_ids_do_not_reach() -> None:
    async with GuiEnv() as env:
        await env.reset(problem("drag-circle"), seed=0)
        assert "drag_at" in {tool.name for tool in env.tools}
        await env.reset(problem("click-test"), seed=0)
        names = {tool.name for tool in env.tools}
    assert "click" in names
    assert not {"drag_at", "goto", "tab_new"} & names


async def test_every_page_that_the_catalogue_counts_has_its_script_and_no_other() -> None:
    from turnwise.envs.gui.miniwob.gold import script

    counted = {name for name, page in catalogue().items() if page.gold}
    for name in counted:
        assert f'gold["{name}"] = ' in script(name)
    for name in catalogue().keys() - counted:
        with pytest.raises(EnvError, match=name):
            script(name)
