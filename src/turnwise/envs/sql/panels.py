"""The panels that ship with the package."""

from turnwise.envs.sql.databases import DATA
from turnwise.tasks.base import TaskSet
from turnwise.tasks.files import load_tasks

SIZES = {"train": 300, "dev": 100, "test": 100}
WRITE_SIZES = {"train": 60, "dev": 20, "test": 20}
SEED = 1
"""``SqlGenerator().panel(SIZES, seed=SEED, name="sql/chinook")`` makes the panel; the file only loads faster.
So it is with ``SqlGenerator(SqlKnobs(mode="write"))`` and ``WRITE_SIZES``."""


def chinook() -> TaskSet:
    """Return 500 questions about the Chinook database."""
    return load_tasks(DATA / "chinook@1.jsonl", name="sql/chinook", version="1")


def chinook_write() -> TaskSet:
    """Return 100 changes to the Chinook database."""
    return load_tasks(DATA / "chinook-write@1.jsonl", name="sql/chinook-write", version="1")
