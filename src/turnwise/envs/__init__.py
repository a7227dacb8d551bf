"""The worlds: contract, registry, wrappers, proof of tasks, and the environments."""

if __name__ != "turnwise.envs":
    raise ImportError(f"import turnwise.envs, not {__name__}")

from turnwise.envs.base import Env, EnvConfig
from turnwise.envs.registry import env_class, make, names
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall, ToolFailed, ToolOutput, tool
from turnwise.envs.types import (
    Action,
    Grade,
    ImagePart,
    Observation,
    Part,
    RewardPart,
    Snapshot,
    Status,
    StepInfo,
    StepResult,
    StopReason,
    TextPart,
    ToolCall,
    ToolResult,
    ToolSpec,
    Trace,
)

__all__ = [
    "Action",
    "Env",
    "EnvConfig",
    "Grade",
    "ImagePart",
    "InvalidCall",
    "Observation",
    "Part",
    "RewardPart",
    "Snapshot",
    "Status",
    "StepInfo",
    "StepResult",
    "StopReason",
    "TextPart",
    "ToolCall",
    "ToolEnv",
    "ToolFailed",
    "ToolOutput",
    "ToolResult",
    "ToolSpec",
    "Trace",
    "env_class",
    "make",
    "names",
    "tool",
]
