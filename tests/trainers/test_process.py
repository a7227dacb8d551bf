"""A trainer's process ends with all that it started."""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from turnwise.errors import TrainerError
from turnwise.process import TOKEN, carriers, end_left_behind
from turnwise.trainers.process import run_process

ORPHAN = """
import subprocess, sys, os
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open("child", "w").write(str(child.pid))
sys.exit(int(os.environ["CODE"]))
"""


def run(tmp_path: Path, code: str, *, status: int = 0, timeout_s: float | None = None) -> None:
    run_process(
        [sys.executable, "-c", code],
        environment={"CODE": str(status)},
        log=tmp_path / "log",
        cwd=tmp_path,
        timeout_s=timeout_s,
    )


def test_what_a_finished_process_left_running_is_ended(tmp_path: Path) -> None:
    run(tmp_path, ORPHAN)
    pid = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_failure_names_the_error_and_the_log(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"exit code 1: ValueError: no such thing; its log: .*log"):
        run(tmp_path, "raise ValueError('no such thing')")


def test_a_hung_process_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="did not end within"):
        run(tmp_path, "import time; time.sleep(600)", timeout_s=1)


def test_an_interrupt_ends_it_too(tmp_path: Path) -> None:
    def interrupt() -> None:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_process(
            [sys.executable, "-c", "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"],
            environment={},
            log=tmp_path / "log",
            cwd=tmp_path,
            watch=interrupt,
        )
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    assert carriers("no such token") == []


CHILD = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
PARENT = f"""
import sys
from pathlib import Path
from turnwise.trainers.process import run_process
run_process(
    [sys.executable, "-c", {CHILD!r}], environment={{}}, log=Path("log"), cwd=Path("."), trace=Path("trace"),
)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel by prctl")
def test_a_killed_launcher_takes_its_trainer_with_it(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path)
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    pid = int((tmp_path / "pid").read_text())
    while not gone(pid):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (tmp_path / "trace").exists()


def test_the_next_run_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    token = secrets.token_hex(16)
    orphan = subprocess.Popen([sys.executable, "-c", CHILD], cwd=tmp_path, env={**os.environ, TOKEN: token})
    (tmp_path / "trace").write_text(token)
    end_left_behind(tmp_path / "trace")
    assert orphan.wait(timeout=60) != 0
    assert not (tmp_path / "trace").exists()
