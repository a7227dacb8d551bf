"""``turnwise view``: a store in the browser, from the list of runs down to one token."""

from turnwise.evals.viewer.app import create_app

__all__ = ["create_app"]
