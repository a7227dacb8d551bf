"""An episode as people read it."""

import random

import pytest

from synthetic_runs import episode
from turnwise.cli.transcript import print_transcript
from turnwise.envs import ToolCall


def test_a_program_stands_below_its_call_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    code = "def f(x):\n    return '[b]' + x\n"
    call = ToolCall(id="c", name="write_file", arguments={"path": "a.py", "content": code, "note": "one line"})
    made = episode("r", 0, 0, random.Random(0))
    made = made.model_copy(update={"turns": (made.turns[0].model_copy(update={"calls": (call,)}),)})
    print_transcript(made)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index('    write_file(path="a.py", content=…, note="one line")')
    assert lines[at + 1 : at + 4] == ["      content:", "        def f(x):", "            return '[b]' + x"]
