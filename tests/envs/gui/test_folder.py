"""An author's own pages: the contract, what it refuses, and a reward that the pages cannot fake."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from turnwise.envs import Action, ToolCall
from turnwise.envs.gui.env import GuiEnv
from turnwise.envs.gui.folder import PageState, folder_task, folders
from turnwise.errors import TaskError
from turnwise.tasks import Task, load_tasks
from turnwise.tasks.files import save_tasks

PAGE = "<!doctype html><title>Till</title><p id=total>0</p><button onclick='total.textContent = 3'>Add</button>"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path / "home"))


def folder(path: Path, page: str = PAGE, **contract: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "index.html").write_text(page)
    told = {"goal": "Add three.", "reward": "Number(document.querySelector('#total').textContent) === 3"}
    (path / "gui.json").write_text(json.dumps({**told, **contract}))
    return path


def fair(state: PageState) -> float:
    return 0.5 if "3" in state.text and state.answer == "three" else 0.0


def test_the_same_files_make_the_same_task(tmp_path: Path) -> None:
    one, other = folder_task(folder(tmp_path / "till")), folder_task(folder(tmp_path / "else" / "till"))
    assert one.key == other.key
    os.utime(tmp_path / "till" / "index.html", (0, 0))
    assert folder_task(tmp_path / "till").key == one.key
    assert folder_task(folder(tmp_path / "till", PAGE + " ")).key != one.key


def test_a_folder_of_folders_makes_a_panel_that_can_be_saved(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder(tmp_path / "site" / name, difficulty=2)
    tasks = folders(tmp_path / "site")
    save_tasks(tasks, tmp_path / "tasks.jsonl")
    assert load_tasks(tmp_path / "tasks.jsonl").digest == tasks.digest
    assert [task.id for task in tasks] == ["a", "b"]


@pytest.mark.parametrize(
    ("contract", "why"),
    [
        ({"reward": None}, "give either reward or verifier"),
        ({"verifier": "a:b"}, "give either reward or verifier"),
        ({"start": "gone.html"}, "holds no 'gone.html'"),
        ({"uploads": ["../secret"]}, "holds no '../secret'"),
        ({"goals": "x"}, "goals"),
        ({"goal": ""}, "goal"),
    ],
)
def test_a_wrong_contract_is_refused(tmp_path: Path, contract: dict[str, Any], why: str) -> None:
    with pytest.raises(TaskError, match=why):
        folder_task(folder(tmp_path / "till", **contract))


def test_links_and_missing_contracts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no gui\.json is there"):
        folders(tmp_path)
    (folder(tmp_path / "till") / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(TaskError, match="a link cannot be packed"):
        folder_task(tmp_path / "till")


def call(name: str, **arguments: Any) -> Action:
    return Action(calls=(ToolCall(id="a", name=name, arguments=arguments),))


async def ended(task: Task, *actions: Action) -> float | None:
    async with GuiEnv() as env:
        await env.reset(task, seed=0)
        for action in actions:
            result = await env.step(action)
        return result.info.score


THREE = call("answer", text="three")
ADD = call("click", id="3")


@pytest.mark.browser
@pytest.mark.anyio
@pytest.mark.usefixtures("browser")
class TestInTheBrowser:
    async def test_an_expression_rewards(self, tmp_path: Path) -> None:
        task = folder_task(folder(tmp_path / "till"))
        assert await ended(task, THREE) == 0.0
        assert await ended(task, ADD, THREE) == 1.0

    async def test_a_python_function_rewards(self, tmp_path: Path) -> None:
        (folder(tmp_path / "till") / "gui.json").write_text(
            json.dumps({"goal": "Add three.", "verifier": f"{fair.__module__}:fair"})
        )
        task = folder_task(tmp_path / "till")
        assert await ended(task, ADD, THREE) == 0.5
        assert await ended(task, THREE) == 0.0

    async def test_an_expression_that_throws_counts_nothing(self, tmp_path: Path) -> None:
        task = folder_task(folder(tmp_path / "till", reward="document.querySelector('#gone').value === 1"))
        assert await ended(task, THREE) == 0.0

    @pytest.mark.parametrize(("reward", "why"), [("1 +", "no JavaScript expression"), ("7", r"a number in \[0, 1\]")])
    async def test_an_expression_that_cannot_be_is_the_tasks_fault(self, tmp_path: Path, reward: str, why: str) -> None:
        with pytest.raises(TaskError, match=why):
            await ended(folder_task(folder(tmp_path / "till", reward=reward)), THREE)

    async def test_a_page_cannot_patch_what_the_reward_calls(self, tmp_path: Path) -> None:
        hostile = PAGE + (
            "<script>Document.prototype.querySelector = () => ({textContent: '3'}); document.querySelector = () => "
            "({textContent: '3'}); Number = () => 3; Object.defineProperty(Node.prototype, 'textContent', "
            "{get: () => '3'});</script>"
        )
        assert await ended(folder_task(folder(tmp_path / "till", hostile)), THREE) == 0.0

    async def test_what_may_be_uploaded_is_not_served(self, tmp_path: Path) -> None:
        (folder(tmp_path / "till", uploads=["secret.txt"]) / "secret.txt").write_text("the secret")
        async with GuiEnv() as env:
            await env.reset(folder_task(tmp_path / "till"), seed=0)
            shown = await env.step(call("goto", url="https://page.test/secret.txt"))
            assert "There is no such page." in shown.observation.text
