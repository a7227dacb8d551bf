"""The browser: one for many episodes, each in a fresh context that reaches nothing but its own sites."""

from turnwise.envs.gui.engine.config import EngineConfig
from turnwise.envs.gui.engine.engine import Engine
from turnwise.envs.gui.engine.errors import (
    BrowserDied,
    NavigationRefused,
    PageCrashed,
    PageGone,
    PageHung,
    PageTooLarge,
    ProtocolError,
)
from turnwise.envs.gui.engine.session import Session
from turnwise.envs.gui.engine.snapshot import PageSnapshot
from turnwise.envs.gui.engine.tab import Tab
from turnwise.envs.gui.engine.web import Site, SiteRequest, SiteResponse

__all__ = [
    "BrowserDied",
    "Engine",
    "EngineConfig",
    "NavigationRefused",
    "PageCrashed",
    "PageGone",
    "PageHung",
    "PageSnapshot",
    "PageTooLarge",
    "ProtocolError",
    "Session",
    "Site",
    "SiteRequest",
    "SiteResponse",
    "Tab",
]
