import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnwise.envs.sql import pool


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep assets and variants away from the user's cache."""
    before = os.environ.get("TURNWISE_HOME")
    path = tmp_path_factory.mktemp("home")
    os.environ["TURNWISE_HOME"] = str(path)
    yield path
    pool.shut_down()
    if before is None:
        del os.environ["TURNWISE_HOME"]
    else:
        os.environ["TURNWISE_HOME"] = before
