"""Importers: HumanEval, MBPP, stdin/stdout problem sets, and folders with a repository and hidden tests."""

from turnwise.envs.code.importers.functions import humaneval, mbpp
from turnwise.envs.code.importers.problems import problems
from turnwise.envs.code.importers.repositories import repositories

__all__ = ["humaneval", "mbpp", "problems", "repositories"]
