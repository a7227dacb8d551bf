"""Runs a trainer to its end in a process of its own: verl starts Ray, and Ray's workers outlive a killed driver."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from turnwise.errors import TrainerError
from turnwise.process import last_error, started

FULL = 1 << 20
"""Bytes of free disk below which a failure is put down to their lack."""


def run_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    cwd: Path,
    watch: Callable[[], None] | None = None,
    timeout_s: float | None = None,
    trace: Path | None = None,
) -> None:
    """Run a command to its end, its output in a file; it leaves no process behind.

    Args:
        command: The command.
        environment: Added to our own.
        log: Gets all output.
        cwd: Where it runs.
        watch: Called about twice a second while it runs; what it raises ends the process.
        timeout_s: Seconds after which it counts as hung.
        trace: Remembers the process while it runs, for ``end_left_behind`` after we were killed.

    Raises:
        TrainerError: It failed or hung; the message holds the last error line and names the log.
    """
    with started(command, environment=environment, log=log, cwd=cwd, trace=trace) as process:
        code = _wait(process, watch, timeout_s)
    if code is None:
        raise TrainerError(f"the trainer did not end within {timeout_s:g} s and was stopped; its log: {log}")
    if code != 0:
        raise TrainerError(f"the trainer ended with exit code {code}: {_reason(log)}; its log: {log}")


def _reason(log: Path) -> str:
    # The log of a process that ran out of disk breaks off before it can say so.
    if shutil.disk_usage(log.parent).free < FULL:
        return f"the disk is full; make room around {log.parent}, then go on with --resume"
    return last_error(log)


def _wait(process: "subprocess.Popen[bytes]", watch: Callable[[], None] | None, timeout_s: float | None) -> int | None:
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while until is None or time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.5)
        if watch is not None:
            watch()
    return None
