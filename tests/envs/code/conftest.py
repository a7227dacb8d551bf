import pytest

from turnwise import sandboxes
from turnwise.errors import SandboxUnavailableError


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def local() -> None:
    """Skip where no local sandbox can be made."""
    try:
        sandboxes.provider("local")
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
