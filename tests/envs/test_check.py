"""The contract suite passes a sound environment and names what an unsound one breaks."""

import itertools
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from turnwise.envs import Action, Env, Grade, Observation, Snapshot, StopReason, ToolEnv, tool
from turnwise.envs.check import CHECKS, CheckReport, check_env
from turnwise.errors import ConfigError, EnvError, UnknownNameError
from turnwise.tasks import Task


class Vault(BaseModel):
    digits: int


class VaultEnv(ToolEnv):
    """Read the note page by page, then open the vault with the code."""

    name = "vault"
    version = "1"
    Data = Vault
    PRESETS = {"default": {"outcome": 1.0, "page": 0.01}}

    async def begin(self) -> Observation | str:
        self.pages = 0
        self.tried: str | None = None
        return f"{self.task.instruction} The code has {self.data.digits} digits."

    def state(self) -> JsonValue:
        return {"pages": self.pages, "tried": self.tried}

    async def grade(self) -> Grade:
        right = self.tried == self.task.gold["code"]
        return Grade(float(right), right)

    @tool
    async def read(self) -> str:
        """Read the next page."""
        self.pages += 1
        self.pay("page", 1.0)
        return f"Page {self.pages}."

    @tool(name="open")
    def open_vault(self, code: str) -> str:
        """Open the vault; one try.

        Args:
            code: The code.
        """
        self.tried = code
        self.finish(StopReason.ENDED)
        return "You turned the wheel."


def code_task(index: int) -> Task:
    code = str(random.Random(index).randint(100000, 999999))
    actions: list[JsonValue] = ["read[]", f"open[{code}]"]
    gold: dict[str, JsonValue] = {"code": code, "actions": actions}
    return Task(id=f"v{index}", env="vault", instruction=f"Open vault {index}.", data={"digits": 6}, gold=gold)


TASKS = [code_task(index) for index in range(6)]


class LeaksInText(VaultEnv):
    async def begin(self) -> str:
        return f"{await super().begin()} (psst: {str(self.task.gold['code'])[0]})"


class LeaksInState(VaultEnv):
    def state(self) -> JsonValue:
        return {"pages": self.pages, "gold": self.task.gold["code"]}


class UsesHashOrder(VaultEnv):
    @tool
    async def read(self) -> str:
        """Read the next page."""
        return " ".join({"amber", "birch", "cedar", "dune", "elm", "fern"})


class UsesProcess(VaultEnv):
    @tool
    async def read(self) -> str:
        """Read the next page."""
        return f"Page of process {os.getpid()}."


_counter = itertools.count()


class UsesCounter(VaultEnv):
    @tool
    async def read(self) -> str:
        """Read the next page."""
        return f"Page {next(_counter)}."


class RaisesOnLong(VaultEnv):
    @tool(name="open")
    def open_vault(self, code: str) -> str:
        """Open the vault."""
        if len(code) > 1000:
            raise ValueError("too long")
        return super().open_vault(code)


class PaysNull(VaultEnv):
    async def grade(self) -> Grade:
        return Grade(1.0, self.tried is None)


class NeverSolves(VaultEnv):
    async def grade(self) -> Grade:
        return Grade(0.0, success=False)


class Blocks(VaultEnv):
    @tool
    async def read(self) -> str:
        """Read the next page."""
        time.sleep(0.15)
        return "Page."


class ForgetsToRestore(VaultEnv):
    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        self.check_snapshot(snapshot, task)
        await self.reset(task, seed=snapshot.seed)


class TakesAnySnapshot(VaultEnv):
    def check_snapshot(self, snapshot: Snapshot, task: Task) -> None:
        pass


class SharesState(VaultEnv):
    drawers: list[str] = []

    def state(self) -> JsonValue:
        return {"pages": self.pages, "drawers": list(self.drawers)}

    async def begin(self) -> str:
        self.drawers.clear()
        return await super().begin()

    @tool
    async def read(self) -> str:
        """Read the next page."""
        self.drawers.append("page")
        return "Page."


class ClosesOnce(VaultEnv):
    async def close(self) -> None:
        if getattr(self, "gone", False):
            raise EnvError("already closed")
        self.gone = True


class HidesInstruction(VaultEnv):
    async def begin(self) -> str:
        await super().begin()
        return "Go."


class StepsOn(VaultEnv):
    def _require_running(self) -> None:
        _ = self.task


class Inflates(VaultEnv):
    async def step(self, action: Action | str) -> Any:
        return (await super().step(action))._replace(reward=7.0)


BROKEN: list[tuple[type[Env], str, str]] = [
    (LeaksInText, "gold_does_not_leak", "observation depends on the gold"),
    (LeaksInState, "gold_does_not_leak", "state key depends on the gold"),
    (UsesCounter, "resets_alike", "played twice"),
    (RaisesOnLong, "invalid_never_raises", "too long"),
    (PaysNull, "null_stays_low", "success 1.000"),
    (NeverSolves, "gold_solves", "unsolved"),
    (Blocks, "loop_not_blocked", "blocking=True"),
    (ForgetsToRestore, "snapshot_continues", "restored after turn"),
    (TakesAnySnapshot, "foreign_snapshots_refused", "was restored"),
    (SharesState, "forks_independent", "fork"),
    (ClosesOnce, "closes_twice", "already closed"),
    (HidesInstruction, "instruction_shown", "does not contain"),
    (StepsOn, "step_after_end_raises", "did not raise"),
    (Inflates, "reward_is_sum_of_parts", "the reward is 7.0"),
]


def test_a_sound_environment_passes_every_check_that_applies() -> None:
    report = check_env(VaultEnv, TASKS, checks=[name for name in CHECKS if name != "deterministic_across_processes"])
    assert report.ok, report
    assert {result.outcome for result in report.results} == {"passed"}, report
    assert CheckReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(("env", "check", "why"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_broken_is_named(env: type[Env], check: str, why: str) -> None:
    report = check_env(env, TASKS, checks=[check])
    assert not report.ok
    assert why in report.failed[0].why


@pytest.mark.parametrize("broken", ["UsesHashOrder", "UsesProcess"])
def test_what_differs_between_processes_is_found(broken: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The classes must be importable by name in another process.
    (tmp_path / "vault_envs.py").write_bytes(Path(__file__).read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    report = check_env(f"vault_envs:{broken}", TASKS, checks=["deterministic_across_processes"])
    assert "PYTHONHASHSEED" in report.failed[0].why, report
    good = check_env("vault_envs:VaultEnv", TASKS, checks=["deterministic_across_processes"])
    assert good.ok, good


def test_a_class_no_other_process_can_import_is_skipped_with_a_reason() -> None:
    class Local(VaultEnv):
        pass

    report = check_env(Local, TASKS, checks=["deterministic_across_processes"])
    assert (report.results[0].outcome, report.ok) == ("skipped", False)
    assert "top level" in report.results[0].why


def test_without_tasks_or_environment_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="give the tasks"):
        check_env(VaultEnv)
    with pytest.raises(UnknownNameError, match="no environment is named 'vaullt'"):
        check_env("vaullt")
