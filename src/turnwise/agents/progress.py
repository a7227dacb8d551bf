"""What a collection says while it runs: success so far, turns a second, failures."""

import time
from types import TracebackType
from typing import Any, Protocol, Self

from turnwise.trajectories.records import Trajectory, Turn

SHOW_EVERY_S = 0.5


class Progress(Protocol):
    """Told of every episode once it is stored."""

    def begin(self, total: int, done: int) -> None:
        """The collection starts: ``done`` of ``total`` episodes are in the store already."""

    def turned(self, turn: Turn) -> None:
        """An episode under way has taken a turn."""

    def stored(self, episode: Trajectory, *, final: bool) -> None:
        """An attempt is durable; ``final`` unless it failed and is tried again."""

    def end(self) -> None:
        """The collection is over, however it ended."""


class Silent:
    """Says nothing."""

    def begin(self, total: int, done: int) -> None:
        """Do nothing."""

    def turned(self, turn: Turn) -> None:
        """Do nothing."""

    def stored(self, episode: Trajectory, *, final: bool) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Bar:
    """A progress bar on stderr; on anything but a terminal it stays silent until its last line."""

    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
        told = TextColumn("[green]{task.fields[success]}[/] success · {task.fields[rate]} turns/s{task.fields[failed]}")
        console = Console(stderr=True)
        self._bar = RichProgress(
            *columns, told, TimeRemainingColumn(), console=console, refresh_per_second=5, transient=True
        )
        self._label = label
        self._scored = self._solved = self._turns = self._failed = 0

    def begin(self, total: int, done: int) -> None:
        """Show the bar."""
        self._since = self._shown = time.perf_counter()
        self._bar.start()
        self._task = self._bar.add_task(self._label, total=total, completed=done, **self._told())

    def turned(self, turn: Turn) -> None:
        """Count a turn."""
        self._turns += 1
        if time.perf_counter() - self._shown > SHOW_EVERY_S:
            self._show(0)

    def stored(self, episode: Trajectory, *, final: bool) -> None:
        """Count an attempt."""
        self._failed += episode.failure is not None
        if episode.scored:
            self._scored += 1
            self._solved += bool(episode.success)
        self._show(int(final))

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _show(self, advance: int) -> None:
        self._shown = time.perf_counter()
        self._bar.update(self._task, advance=advance, **self._told())

    def _told(self) -> dict[str, Any]:
        success = f"{self._solved / self._scored:.1%}" if self._scored else "–"
        rate = f"{self._turns / max(time.perf_counter() - self._since, 1e-3):.1f}"
        failed = f" · [red]{self._failed} failed[/]" if self._failed else ""
        return {"success": success, "rate": rate, "failed": failed}


class Shown:
    """Begins and ends a progress as a ``with`` statement."""

    def __init__(self, progress: Progress, total: int, done: int) -> None:
        self._progress, self._total, self._done = progress, total, done

    def __enter__(self) -> Self:
        self._progress.begin(self._total, self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.end()
