"""Where untrusted code runs: sandboxes by name, each with the same contract."""

if __name__ != "turnwise.sandboxes":
    raise ImportError(f"import turnwise.sandboxes, not {__name__}")

from turnwise.sandboxes.base import (
    ExecResult,
    Sandbox,
    SandboxProvider,
    SandboxResources,
    SandboxSnapshot,
    SandboxSpec,
)
from turnwise.sandboxes.branch import Branch, branches
from turnwise.sandboxes.contract import check_sandbox
from turnwise.sandboxes.diagnosis import DoctorReport, doctor
from turnwise.sandboxes.pool import PoolMetrics, SandboxPool
from turnwise.sandboxes.registry import provider

__all__ = [
    "Branch",
    "DoctorReport",
    "ExecResult",
    "PoolMetrics",
    "Sandbox",
    "SandboxPool",
    "SandboxProvider",
    "SandboxResources",
    "SandboxSnapshot",
    "SandboxSpec",
    "branches",
    "check_sandbox",
    "doctor",
    "provider",
]
