"""The doctor tells of the browser what holds and what does not."""

import pytest

from turnwise.envs.gui.engine import EngineConfig

pytestmark = [pytest.mark.browser, pytest.mark.anyio, pytest.mark.usefixtures("browser")]


async def verdicts(config: EngineConfig) -> dict[str, str]:
    from turnwise.envs.gui.engine.examine import examine

    report = await examine(config)
    assert report.available, report.reason
    return {finding.protection: finding.verdict for finding in report.findings}


async def test_a_browser_as_it_is_started_keeps_pages_in() -> None:
    found = await verdicts(EngineConfig())
    # Where this machine makes no network namespace, that is told, and nothing else is missing.
    assert {name for name, verdict in found.items() if verdict != "holds"} <= {"own network namespace"}


async def test_a_browser_without_its_sandbox_is_told() -> None:
    with pytest.warns(UserWarning, match="without its sandbox"):
        found = await verdicts(EngineConfig(chromium_sandbox=False))
    assert found["Chromium's own sandbox"] == "broken"
    assert found["reaches its own sites only"] == "holds"


async def test_a_missing_browser_is_part_of_the_report() -> None:
    from turnwise.envs.gui.engine.examine import examine

    report = await examine(EngineConfig(executable="no-such-browser"))
    assert not report.available
    assert "no-such-browser" in report.reason
