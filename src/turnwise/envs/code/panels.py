"""The panels that ship with the package."""

from turnwise.envs.code.generate import CodeGenerator
from turnwise.tasks.base import TaskSet

SIZES = {"train": 300, "dev": 100, "test": 100}
SEED = 1


def programs() -> TaskSet:
    """Return 500 programs to write or repair, made on the spot from a fixed seed."""
    return CodeGenerator().panel(SIZES, seed=SEED, name="code/programs")
