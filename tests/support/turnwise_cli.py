"""Running the ``turnwise`` command inside a test."""

import sys
from typing import NamedTuple

import pytest


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def turnwise(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """Run the command in this process."""
    from turnwise.cli.main import run

    before, sys.argv = sys.argv, ["turnwise", *map(str, arguments)]
    capsys.readouterr()
    try:
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    captured = capsys.readouterr()
    return Ran(code, captured.out, captured.err)


def assert_one_clear_line(ran: Ran, *words: str) -> None:
    """An expected error: exit code not 0, one line on stderr, nothing on stdout."""
    assert ran.code != 0
    assert ran.out == ""
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    for word in words:
        assert word in ran.err
