"""Providers for tests, skipped with the reason where the machine has none."""

import pytest

from turnwise import sandboxes
from turnwise.errors import MissingExtraError, SandboxUnavailableError
from turnwise.sandboxes import SandboxProvider


def open_provider(name: str, **options: object) -> SandboxProvider:
    """Return a provider, or skip the test."""
    try:
        return sandboxes.provider(name, **options)
    except (SandboxUnavailableError, MissingExtraError) as error:
        pytest.skip(f"{name}: {error}")


def docker_or_skip(**options: object) -> SandboxProvider:
    """Return the Docker provider, or skip the test."""
    return open_provider("docker", **options)
