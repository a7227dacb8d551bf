"""Which estimators the laboratory measures, and with which parameters."""

from turnwise.errors import UnknownNameError
from turnwise.trainers.credit import get, names
from turnwise.trainers.lab.measure import Case

_HERE = "turnwise.trainers.lab.constructions"

UNMEASURED = {
    "grpo_vectorized": "the same numbers as grpo",
    "rloo_vectorized": "the same numbers as rloo",
}
"""Registered methods that have no row of their own, and why."""

_VARIANTS = (
    Case(label="turn_gae, no whitening", method="turn_gae", params={"whiten": False}, unbiased=True),
    Case(label="gae, no whitening", method="gae", params={"whiten": False}, unbiased=True),
    Case(label="gigpo, deviation", method="gigpo", params={"mode": "mean_std_norm"}),
    Case(label="salt, full", method="salt", params={"full": True}),
    Case(label="shapley, sampled", method="shapley", params={"mode": "sampled"}, drawn=True),
    Case(label="thr, exploit", method="thr", params={"p": 0.25}),
    Case(label="thr, explore", method="thr", params={"p": 0.75}),
    Case(label="thr, negatives", method="thr", params={"mode": "nthr"}),
    Case(label="sign_reweight, half blame", method="sign_reweight", params={"negative": 0.5}),
    Case(label="grpo, centred only", method="grpo", params={"norm_adv_by_std_in_grpo": False}, unbiased=True),
    Case(label="per turn index", method=f"{_HERE}:PerTurnIndex"),
    Case(label="per turn index, centred", method=f"{_HERE}:PerTurnIndex", params={"std": False}),
    Case(label="per length", method=f"{_HERE}:PerLength"),
    Case(label="wrong critic, λ = 0", method=f"{_HERE}:WrongCritic", params={"lam": 0.0}),
    Case(label="wrong critic, λ = 1", method=f"{_HERE}:WrongCritic", params={"lam": 1.0}, unbiased=True),
    Case(label="true advantage", method=f"{_HERE}:TrueAdvantage"),
)
_PARAMS = {"xrpo_sharpen": {"lam": 0.1, "kappa": 0.5}}

FIRST = ("turn_rloo", "fork_value", "remax", "rloo", "dr_grpo")
"""What the tables begin with: the methods whose gradient is unbiased."""


def cases() -> list[Case]:
    """Return every registered method that can be measured, then variants and constructions."""
    known = [name for name in names() if name not in UNMEASURED]
    ordered = [*(name for name in FIRST if name in known), *(name for name in known if name not in FIRST)]
    return [*(Case(label=name, method=name, params=_PARAMS.get(name, {})) for name in ordered), *_VARIANTS]


def case(name: str) -> Case:
    """Return a case by its label, a registered method with its defaults, or a user's ``module:Class``.

    Raises:
        UnknownNameError: There is none of that name.
    """
    for known in cases():
        if known.label == name:
            return known
    if ":" not in name and name not in names():
        raise UnknownNameError.of("estimator", name, [known.label for known in cases()], hint="Or module:Class.")
    get(name)
    return Case(label=name, method=name)
