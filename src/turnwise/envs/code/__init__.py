"""The code environment: write a program, graded by hidden tests that run where the program cannot reach them."""

from turnwise.envs.code.env import CodeEnv
from turnwise.envs.code.settings import CodeConfig, CodeData

__all__ = ["CodeConfig", "CodeData", "CodeEnv"]
