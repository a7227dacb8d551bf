"""Which fields a training run can give to a method of credit, and by which probe; what none can give is refused."""

from collections.abc import Sequence
from typing import Literal

from turnwise.errors import ConfigError
from turnwise.tasks import Task
from turnwise.trainers.credit.fields import FIELDS
from turnwise.trainers.crediting import check_credit, needed_fields
from turnwise.trainers.recipe import RlPart

ProbeName = Literal["gold_logprob", "fork_value", "shapley", "greedy", "critic"]

_BY_PROBE: dict[str, ProbeName] = {
    "gold_logprob": "gold_logprob",
    "fork_value": "fork_value",
    "coalitions": "shapley",
    "permutations": "shapley",
    "baseline_reward": "greedy",
    "values": "critic",
    "value_first": "critic",
    "value_last": "critic",
}

_RECORDED = frozenset({
    "action_tokens", "observation_tokens", "state_key", "next_state_key", "action_key", "history_key", "valid_action",
    "truncated", "components", "duration", "logprobs", "entropy", "turn_entropy",
})  # fmt: skip
"""Every training episode's record has these; log-probs and entropies are the trainer's, by the policy that sampled."""


def needed(rl: RlPart) -> tuple[str, ...]:
    """Return the fields that a recipe's method reads."""
    return needed_fields(rl)


def probes_for(rl: RlPart) -> frozenset[ProbeName]:
    """Return the probes that a recipe's method needs."""
    return frozenset(_BY_PROBE[name] for name in needed(rl) if name in _BY_PROBE)


def check_supply(rl: RlPart, tasks: Sequence[Task]) -> None:
    """Refuse a method whose fields nothing can give, and settings of a probe that does not run.

    Raises:
        ConfigError: It names the method and the field, or the setting.
    """
    check_credit(rl)
    method = rl.credit.method
    for name in needed(rl):
        if name not in _RECORDED and name not in _BY_PROBE:
            raise ConfigError(
                f"credit method {method!r} needs the field {name!r} ({FIELDS[name].doc}), which neither the records "
                "nor any probe of training gives; choose another method, or credit stored episodes by turnwise credit"
            )
    probes = probes_for(rl)
    if rl.critic is not None and "critic" not in probes:
        raise ConfigError(f"rl.critic: credit method {method!r} reads no values, so no critic is trained; leave it out")
    if rl.probe is not None and not probes & {"fork_value", "shapley"}:
        raise ConfigError(f"rl.probe: credit method {method!r} plays nothing again; leave it out")
    if "gold_logprob" in probes and any(not isinstance(task.gold.get("answers"), list) for task in tasks):
        raise ConfigError(
            f"credit method {method!r} asks the policy for the gold answer, and some tasks have none "
            "(gold has no list 'answers'); choose another environment or method"
        )
