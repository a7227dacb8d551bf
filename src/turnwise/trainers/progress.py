"""Follows a trainer's metrics file while it grows: into the store, and as one line a step for people."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnwise.errors import TrainerError
from turnwise.trajectories import Store


@dataclass
class MetricsTail:
    """Reads the lines a trainer adds to its metrics file, each once.

    Attributes:
        path: The file; it may not exist yet.
        store: Where the numbers go.
        run: The run they belong to.
        steps: How many steps the run has in all.
        notice: Told one line a step.
        kept: A file that gets every line too, so that one file tells of all resumptions.
    """

    path: Path
    store: Store
    run: str
    steps: int
    notice: Callable[[str], None]
    kept: Path | None = None
    _read: int = 0
    _began: float = field(default_factory=time.monotonic)
    _first: int | None = None

    def __call__(self) -> int:
        """Take in what is new; an unfinished last line waits. Returns how many lines came."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as stream:
            stream.seek(self._read)
            new = stream.read()
        whole = new.rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        if self.kept is not None and whole:
            with self.kept.open("ab") as stream:
                stream.write(whole + b"\n")
        for line in whole.splitlines():
            entry = json.loads(line)
            self._take(int(entry["step"]), entry["data"])
        return whole.count(b"\n") + bool(whole)

    def _take(self, step: int, data: dict[str, Any]) -> None:
        numbers = {name: float(value) for name, value in data.items() if isinstance(value, int | float)}
        self.store.put_metrics(self.run, step, numbers)
        self._first = step if self._first is None else self._first
        self.notice(self._line(step, numbers))

    def _line(self, step: int, numbers: dict[str, float]) -> str:
        shown = [f"step {step}/{self.steps}"]
        for label, name in _SHOWN.items():
            found = next((value for key, value in numbers.items() if key == name or key.endswith(name)), None)
            if found is not None:
                shown.append(f"{label} {found:.3f}")
        done = step - (self._first or 0)
        if done > 0 and step < self.steps:
            left = (time.monotonic() - self._began) / done * (self.steps - step)
            shown.append(f"about {left / 60:.0f} min left")
        return " · ".join(shown)


_SHOWN = {
    "reward": "turnwise/outcome_mean",
    "success": "turnwise/success",
    "eval success": "val/success",
    "entropy": "actor/entropy",
    "tokens/s": "perf/throughput",
}


@dataclass
class Liveness:
    """Notices that a run has gone silent.

    Attributes:
        seconds: How long it may give no sign of life.
        clock: Tells seconds.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _last: float | None = None

    def saw(self, signs: int) -> None:
        """Take in how many signs of life came since the last call.

        Raises:
            TrainerError: None for too long.
        """
        now = self.clock()
        if signs or self._last is None:
            self._last = now
        elif now - self._last > self.seconds:
            raise TrainerError(f"no episode ended and no step was made for {self.seconds:g} s, so training was stopped")


def forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps after the last checkpoint's, which a resumed run does again; all where there is none."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines()
    kept = {entry["step"]: line for line in lines if (entry := _entry(line)) and entry["step"] <= step and step > 0}
    aside = path.with_suffix(".aside")
    aside.write_bytes(b"".join(line + b"\n" for line in kept.values()))
    aside.replace(path)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None  # cut short by a full disk or a kill
    return entry if isinstance(entry, dict) and "step" in entry else None
