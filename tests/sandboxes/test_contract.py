import pytest

from turnwise import sandboxes
from turnwise.errors import SandboxUnavailableError
from turnwise.sandboxes.contract import CHECKS, small_spec

pytestmark = pytest.mark.anyio

LOCAL = [pytest.param(name, id=f"local-{name}") for name in CHECKS]


@pytest.mark.parametrize("check", LOCAL)
async def test_local_keeps_the_contract(check: str) -> None:
    try:
        provider = sandboxes.provider("local")
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    async with provider:
        await CHECKS[check](provider, small_spec(provider))
