"""What ``import turnwise`` costs and offers."""

import subprocess
import sys

import turnwise

HEAVY = ("torch", "openai", "sqlite_utils", "playwright", "docker", "datasets", "pandas")


def test_import_is_light() -> None:
    code = f"import sys, turnwise; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_command_line_starts_light() -> None:
    code = (
        f"import sys; from turnwise.cli.main import build; build(); print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_export_exists() -> None:
    for name in turnwise.__all__:
        assert getattr(turnwise, name) is not None
