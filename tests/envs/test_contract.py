"""Every registered environment keeps the contract."""

import pytest

from turnwise.envs import names
from turnwise.envs.check import check_env


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", names())
def test_environment_keeps_the_contract(name: str) -> None:
    report = check_env(name)
    if not report.failed and not report.ok:
        pytest.skip(next(result.why for result in report.results if result.outcome == "skipped"))
    assert report.ok, str(report)
