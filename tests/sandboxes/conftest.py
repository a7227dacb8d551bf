import os
from collections.abc import AsyncIterator

import pytest

from turnwise import sandboxes
from turnwise.errors import SandboxUnavailableError, UnknownNameError
from turnwise.sandboxes import SandboxProvider


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def open_provider(name: str, **options: object) -> SandboxProvider:
    try:
        return sandboxes.provider(name, **options)
    except (SandboxUnavailableError, UnknownNameError) as error:
        pytest.skip(f"{name}: {error}")


@pytest.fixture
async def local() -> AsyncIterator[SandboxProvider]:
    async with open_provider("local") as provider:
        yield provider


def running_as_root() -> bool:
    return os.geteuid() == 0
