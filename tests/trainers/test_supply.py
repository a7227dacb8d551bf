"""Which methods training can feed; what it cannot is refused before it begins."""

import pytest

from turnwise.errors import ConfigError, CreditError
from turnwise.tasks import Task
from turnwise.trainers import credit
from turnwise.trainers.probes.supply import check_supply, probes_for
from turnwise.trainers.recipe import RlPart

ANSWERED = [Task(id="a", env="e", instruction="?", gold={"answers": ["yes"]})]


def rl(method: str, **parts: object) -> RlPart:
    return RlPart.model_validate({"steps": 1, "credit": {"method": method}, **parts})


@pytest.mark.parametrize("method", ["grpo", "rloo", "gigpo", "turn_rloo", "empg", "igpo", "turn_gae", "remax", "gae"])
def test_methods_with_what_they_need(method: str) -> None:
    check_supply(rl(method), ANSWERED)


@pytest.mark.parametrize(("method", "field"), [("archer", "q1"), ("spa", "progress"), ("thr", "thr")])
def test_a_method_that_nothing_feeds_is_refused_by_name(method: str, field: str) -> None:
    with pytest.raises(ConfigError, match=f"'{method}' needs the field '{field}'"):
        check_supply(rl(method), ANSWERED)


def test_every_registered_method_is_either_fed_or_refused() -> None:
    for name in credit.names():
        try:
            check_supply(rl(name), ANSWERED)
        except (ConfigError, CreditError) as error:
            assert name in str(error)  # noqa: PT017


def test_gold_answers_must_be_there() -> None:
    with pytest.raises(ConfigError, match="'igpo' asks the policy for the gold answer"):
        check_supply(rl("igpo"), [Task(id="a", env="e", instruction="?")])


@pytest.mark.parametrize(("part", "method"), [("critic", "grpo"), ("probe", "turn_gae")])
def test_settings_of_what_does_not_run_are_refused(part: str, method: str) -> None:
    with pytest.raises(ConfigError, match=f"rl.{part}: credit method '{method}'"):
        check_supply(rl(method, **{part: {}}), ANSWERED)


def test_methods_name_their_probes() -> None:
    assert probes_for(rl("turn_gae")) == {"critic"}
    assert probes_for(rl("igpo")) == {"gold_logprob"}
    assert probes_for(rl("fork_value")) == {"fork_value"}
    assert probes_for(rl("grpo")) == frozenset()
