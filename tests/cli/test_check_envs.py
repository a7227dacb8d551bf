"""``turnwise envs`` and ``turnwise check`` as a user meets them."""

import json
import subprocess
import sys
from pathlib import Path

ENV = '''
from turnwise.envs import Grade, StopReason, ToolEnv, tool

class Coin(ToolEnv):
    """Say which side the coin will show."""

    name = "coin"
    version = "1"

    async def begin(self):
        self.said = None
        return self.task.instruction

    def state(self):
        return self.said

    async def grade(self):
        right = self.said == self.task.gold["side"]
        return Grade(float(right), right)

    @tool
    def say(self, side: str) -> str:
        """Say a side."""
        self.said = side
        self.finish(StopReason.ENDED)
        return "Noted."
'''


def turnwise(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from turnwise.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def write(directory: Path) -> None:
    (directory / "coin.py").write_text(ENV)
    sides = [f"side-{n}" for n in range(5)]
    rows = [
        {"id": s, "env": "coin", "instruction": f"Say {n}.", "gold": {"side": s, "actions": [f"say[{s}]"]}}
        for n, s in enumerate(sides)
    ]
    (directory / "coins.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_check_an_environment_in_the_present_directory(tmp_path: Path) -> None:
    write(tmp_path)
    done = turnwise("check", "coin:Coin", "--panel", "coins.jsonl", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (0, True), done.stdout
    assert {result["outcome"] for result in report["results"]} == {"passed"}
    (tmp_path / "coin.py").write_text(ENV.replace('return "Noted."', 'return str(self.task.gold["actions"])'))
    (tmp_path / "coin.py").write_text(ENV.replace("return self.task.instruction", 'return str(self.task.gold["side"])'))
    broken = turnwise("check", "coin:Coin", "--panel", "coins.jsonl", cwd=tmp_path)
    assert broken.returncode == 1
    assert "gold_does_not_leak" in broken.stdout


def test_wrong_use_is_one_clear_line(tmp_path: Path) -> None:
    write(tmp_path)
    for arguments, said in (
        (["check", "nope"], "no environment is named 'nope'"),
        (["check", "coin:Coin"], "give the tasks"),
        (["check", "coin:Coin", "--panel", "none.jsonl"], "no such file"),
        (["check", "coin:Coin", "--panel", "coins.jsonl", "--only", "gold_solvs"], "Did you mean 'gold_solves'"),
        (["check", "coin:Coin", "--panel", "coins.jsonl", "--set", "rewards"], "key=value"),
        (["check", "coin:Coin", "--panel", "coins.jsonl", "--set", "surprise=1"], "setting 'surprise'"),
        (["envs", "coin:Coyn"], "has no 'Coyn'"),
    ):
        done = turnwise(*arguments, cwd=tmp_path)
        assert done.returncode == 1, arguments
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_envs_lists_and_shows(tmp_path: Path) -> None:
    write(tmp_path)
    listed = json.loads(turnwise("envs", "--json", cwd=tmp_path).stdout)
    assert listed["schema"] == 1
    shown = json.loads(turnwise("envs", "coin:Coin", "--json", cwd=tmp_path).stdout)
    assert [tool["name"] for tool in shown["tools"]] == ["say"]
    assert "say(side): Say a side." in turnwise("envs", "coin:Coin", cwd=tmp_path).stdout
