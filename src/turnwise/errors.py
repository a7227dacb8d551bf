"""The exceptions Turnwise raises: one class per boundary that was crossed.

Each also inherits the standard class it stands for, so that ``except ValueError`` works as a caller would expect, and
each survives a round trip through another process.

    TurnwiseError
    ├── TaskError (ValueError)              a task, panel or task file is wrong
    ├── EnvError (RuntimeError)             an environment broke, or was used against its contract
    │   └── ReplayDiverged                  a replayed snapshot gave another observation or state
    ├── SandboxError (RuntimeError)         the place where untrusted code runs broke
    │   ├── SandboxCreateError
    │   ├── SandboxUnavailableError         the backend is missing on this machine
    │   ├── SandboxTimeoutError (TimeoutError)   creating or transferring took too long
    │   ├── SandboxClosedError
    │   ├── SandboxFileError (OSError)      a path inside was refused, or its file cannot be read or written
    │   └── OutputLimitExceededError        a file is larger than the caller accepts
    ├── ModelError (RuntimeError)           a model endpoint gave no usable answer
    │   ├── ModelUnavailableError (ConnectionError)   nothing answers at the address
    │   ├── ModelAuthError (PermissionError)          the key was refused
    │   └── ModelResponseError              the request was refused or the answer was malformed
    │       └── ModelContextError           the chat is longer than the model's context
    ├── AgentError (RuntimeError)           an agent broke
    ├── StoreError (OSError)                a trajectory store cannot be read or written
    ├── CreditError (ValueError)            an estimator lacks a field or was given bad parameters
    ├── TrainerError (RuntimeError)         a training run cannot start or go on
    ├── ConfigError (ValueError)            a setting is wrong
    ├── UnknownNameError (LookupError)      no environment, agent, panel … of that name
    └── MissingExtraError (ImportError)     an optional dependency is not installed
"""

import difflib
from collections.abc import Iterable


class TurnwiseError(Exception):
    """Base of everything Turnwise raises on purpose."""


class TaskError(TurnwiseError, ValueError):
    """A task, a panel or a task file is wrong."""


class EnvError(TurnwiseError, RuntimeError):
    """An environment broke or was used against its contract; never raised for what an agent did."""


class ReplayDiverged(EnvError):  # noqa: N818 - named in the contract
    """A replayed snapshot gave another observation or another state than the recorded episode."""


class SandboxError(TurnwiseError, RuntimeError):
    """The place where untrusted code runs broke; a program's own failure is a result, not this."""


class SandboxCreateError(SandboxError):
    """A sandbox could not be created."""


class SandboxUnavailableError(SandboxError):
    """The sandbox backend is missing on this machine; the message says what to install."""


class SandboxTimeoutError(SandboxError, TimeoutError):
    """Creating a sandbox or moving a file took too long."""


class SandboxClosedError(SandboxError):
    """The sandbox was used after it had been closed."""


class SandboxFileError(SandboxError, OSError):
    """A path inside a sandbox was refused (link, ``..``, not a regular file), is missing, or cannot be written."""


class OutputLimitExceededError(SandboxError):
    """A file is larger than the caller accepts."""


class ModelError(TurnwiseError, RuntimeError):
    """A model endpoint gave no usable answer."""


class ModelUnavailableError(ModelError, ConnectionError):
    """Nothing answers at the model's address, or it stopped answering."""


class ModelAuthError(ModelError, PermissionError):
    """The model endpoint refused the key."""


class ModelResponseError(ModelError):
    """The model endpoint answered with something that is no completion."""


class ModelContextError(ModelResponseError):
    """The chat is longer than the model's context."""


class AgentError(TurnwiseError, RuntimeError):
    """An agent broke."""


class StoreError(TurnwiseError, OSError):
    """A trajectory store cannot be read or written."""


class CreditError(TurnwiseError, ValueError):
    """A credit estimator lacks a field it requires, or was given bad parameters."""


class TrainerError(TurnwiseError, RuntimeError):
    """A training run cannot start or cannot go on."""


class ConfigError(TurnwiseError, ValueError):
    """A setting is wrong."""


class UnknownNameError(TurnwiseError, LookupError):
    """There is nothing of that name; the message suggests the nearest one."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> "UnknownNameError":
        """Build the message: what was asked for, the nearest known name, and what else is known.

        Args:
            kind: What was looked up, as a noun ("environment").
            name: The name that was not found.
            known: The names that exist.
            hint: A last sentence, for example which package to install.
        """
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        listed = f" Known: {', '.join(names)}." if names else " None is installed."
        return cls(f"no {kind} is named {name!r}.{meant}{listed}" + (f" {hint}" if hint else ""))


class MissingExtraError(TurnwiseError, ImportError):
    """An optional dependency is not installed."""

    @classmethod
    def of(cls, extra: str, package: str) -> "MissingExtraError":
        """Build the message that names the extra which brings ``package``."""
        return cls(f"this needs the package {package!r}, which is not installed: pip install 'turnwise[{extra}]'")
