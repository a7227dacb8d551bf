"""``turnwise doctor`` tells of the browser beside the sandboxes."""

import json

import pytest

from turnwise_cli import turnwise

pytestmark = pytest.mark.browser


def test_the_command_examines_the_browser_alone(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("orjson", reason="needs the gui extra")
    ran = turnwise(capsys, "doctor", "--backend", "browser", "--json")
    said = json.loads(ran.out)
    if not said["browser"]["available"]:
        pytest.skip(said["browser"]["reason"])
    assert said["backends"] == []
    assert ran.code == (0 if said["browser"]["sound"] else 1)
    assert {finding["protection"] for finding in said["browser"]["findings"]} >= {"no root", "Chromium's own sandbox"}
    shown = turnwise(capsys, "doctor", "--backend", "browser").out
    assert "Chromium's own sandbox" in shown
    assert "gVisor" not in shown
