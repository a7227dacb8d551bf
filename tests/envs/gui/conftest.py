"""One browser for the tests of a file of the GUI environment."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from turnwise.tasks import Task

DATA = Path(__file__).parents[2] / "data" / "gui"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one event loop, and so one browser; skips where there is none.

    Not for the session: while a loop is kept, no other test can start one of its own.
    """
    pytest.importorskip("playwright", reason="needs the gui extra")
    from turnwise.envs.gui.engine import Engine, EngineConfig
    from turnwise.envs.gui.engine.config import find_executable
    from turnwise.errors import MissingExtraError

    try:
        find_executable(EngineConfig())
    except MissingExtraError as error:
        pytest.skip(f"needs a browser: {error}")
    yield
    await (await Engine.shared()).close()


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task]:
    """A page with one of every control; it notes what happens in its log."""
    from turnwise.envs.gui.folder import folder_task

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNWISE_HOME", str(tmp_path_factory.mktemp("home")))
        yield folder_task(DATA / "controls")
