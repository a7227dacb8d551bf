"""Settings of the environment."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.base import EnvConfig


class GuiConfig(EnvConfig):
    """How an agent acts on pages, and what of them it is shown."""

    interface: Literal["tools", "text"] = "tools"
    """``text``: the first message tells BrowserGym's actions, and messages are read for calls such as ``click('12')``.
    Written calls are understood in either case where a message calls no tool."""
    targets: Literal["id", "coordinates", "both"] = "id"
    """What actions aim at: elements by the ids shown, points of the screenshot, or both."""
    page: Literal["axtree", "dom", "none"] = "axtree"
    """The page as text: its accessibility tree, its HTML without what cannot be seen, or not at all."""
    screenshot: Literal["none", "plain", "marks"] = "none"
    """``marks``: with a box and the id on each element that can be acted on."""
    page_chars: int = Field(default=20_000, ge=500)
    """Characters of a page that are shown; what is beyond can be read with ``more``."""
    executable: str | None = None
    """The browser; None: the system's, else Playwright's own."""
    chromium_sandbox: bool = True
    """False runs the browser without its own sandbox, with a warning."""
    restart_after: int = Field(default=500, ge=1)
    """Episodes after which a browser is replaced, so that its memory stays bounded."""


class GuiData(BaseModel):
    """What every task tells: its kind of site, which says what else there is."""

    model_config = ConfigDict(frozen=True, extra="allow")

    site: Literal["miniwob", "shop", "folder"]
