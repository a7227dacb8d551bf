"""What can go wrong with a page or browser: each is a failure of the episode, never a score."""

from turnwise.errors import EnvError


class BrowserDied(EnvError):  # noqa: N818 - a state, as ReplayDiverged
    """The whole browser is gone; the next episode gets a new one."""


class PageCrashed(EnvError):  # noqa: N818
    """The page's renderer process is gone."""


class PageHung(EnvError):  # noqa: N818
    """The page did not answer within the backstop: an endless script, or endless dialogs."""


class PageTooLarge(EnvError):  # noqa: N818
    """The page has grown beyond what can be shown."""


class PageGone(EnvError):  # noqa: N818
    """The tab was closed while it was being used."""


class NavigationRefused(Exception):  # noqa: N818
    """An address that the episode may not open; the message says why. Told to the agent, never a failure."""


class ProtocolError(EnvError):
    """Chromium refused a command of its DevTools protocol."""
