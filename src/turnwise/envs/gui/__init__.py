"""Pages in a real browser: an environment for agents that click, type and look."""
