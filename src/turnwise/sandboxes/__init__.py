"""Where untrusted code runs: sandboxes by name, each with the same contract."""

if __name__ != "turnwise.sandboxes":
    raise ImportError(f"import this as turnwise.sandboxes, not {__name__}")

from turnwise.sandboxes.base import (
    ExecResult,
    Sandbox,
    SandboxProvider,
    SandboxResources,
    SandboxSnapshot,
    SandboxSpec,
)
from turnwise.sandboxes.registry import provider

__all__ = [
    "ExecResult",
    "Sandbox",
    "SandboxProvider",
    "SandboxResources",
    "SandboxSnapshot",
    "SandboxSpec",
    "provider",
]
