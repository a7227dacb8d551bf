"""The top level shows the rooms, and each room refuses to be imported under a bare name."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("agents", "envs", "sandboxes", "tasks", "trainers")


@pytest.mark.parametrize("room", ROOMS)
def test_link_leads_into_the_package(room: str) -> None:
    link = ROOT / room
    if link.is_file():
        pytest.skip("this checkout has no symbolic links")
    assert link.is_symlink()
    assert link.resolve() == ROOT / "src" / "turnwise" / room


@pytest.mark.parametrize("room", ROOMS)
def test_room_refuses_its_bare_name(room: str) -> None:
    path = ROOT / "src" / "turnwise" / room / "__init__.py"
    spec = importlib.util.spec_from_file_location(room, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.raises(ImportError, match=f"import turnwise.{room}, not {room}"):
        spec.loader.exec_module(module)
