"""How the browser is started and kept."""

import os
import shutil
from pathlib import Path

from pydantic import BaseModel, Field

from turnwise.errors import ConfigError, MissingExtraError

NAMES = ("chromium-headless-shell", "chrome-headless-shell", "headless_shell")


class EngineConfig(BaseModel, frozen=True, extra="forbid"):
    """What one shared browser is like. Engines are shared by equal configurations."""

    executable: str | None = None
    """A ``chromium-headless-shell``; by default the system's, else the one Playwright installed."""
    chromium_sandbox: bool = True
    """Chromium's own sandbox. Turning it off lets a page that breaks the renderer out of it, and warns."""
    uid: int = 65534
    """Whom Chromium runs as when root starts it."""
    restart_after: int = Field(default=500, ge=1)
    """Episodes after which a new browser takes over, so that memory stays bounded."""
    spares: int = Field(default=1, ge=0, le=8)
    """Fresh contexts made ahead of need."""
    loads: int = Field(default=max(2, os.cpu_count() or 1), ge=1)
    """Episodes whose first page loads at once. A load keeps a processor busy; more of them would hold up each other and
    the steps of all other episodes."""
    step_timeout_s: float = Field(default=15.0, gt=0)
    """Backstop of one command to a page, by the clock; its firing is a failure of the episode, never a score."""
    launch_timeout_s: float = Field(default=30.0, gt=0)
    tabs: int = Field(default=8, ge=1)
    """Most tabs of one episode; what a page opens beyond is closed."""
    dialogs: int = Field(default=100, ge=1)
    """Most alerts, prompts and confirmations of one episode; the next one fails it."""


def find_executable(config: EngineConfig) -> str:
    """Return the path of a headless Chromium.

    Raises:
        MissingExtraError: There is none; the message says how to get one.
        ConfigError: The one that the settings name is not there.
    """
    if config.executable is not None:
        if found := shutil.which(config.executable):
            return found
        raise ConfigError(f"the browser {config.executable!r} is not there or cannot be run.")
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if installed := _playwrights():
        return installed
    raise MissingExtraError(
        "no chromium-headless-shell was found: install the system's package of that name (Debian: apt install "
        "chromium-headless-shell), or run `playwright install --only-shell chromium`, or set its path."
    )


def _playwrights() -> str | None:
    base = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    if not os.access(base, os.R_OK | os.X_OK):
        return None
    found = [
        path for name in NAMES for path in base.glob(f"chromium_headless_shell-*/*/{name}") if os.access(path, os.X_OK)
    ]
    return str(max(found, key=lambda path: int(path.parts[-3].rpartition("-")[2] or 0))) if found else None
