"""One asset directory for all tests of the search environment: a world is built once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = os.environ.get("TURNWISE_HOME")
    path = tmp_path_factory.mktemp("home")
    os.environ["TURNWISE_HOME"] = str(path)
    yield path
    if before is None:
        del os.environ["TURNWISE_HOME"]
    else:
        os.environ["TURNWISE_HOME"] = before
