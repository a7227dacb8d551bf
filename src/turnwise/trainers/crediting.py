"""A recipe's credit as the pipeline that runs at a step."""

from typing import Any

from turnwise.errors import ConfigError, CreditError
from turnwise.trainers.credit import Pipeline, get
from turnwise.trainers.credit.pipeline import single
from turnwise.trainers.recipe import CreditPart, RlPart
from turnwise.trainers.schedules import schedule


def params_at(rl: RlPart, step: int) -> dict[str, Any]:
    """Return the method's parameters at a step: those given, the statistics, and what is scheduled.

    Raises:
        ConfigError: The method takes no statistics, or has them twice.
    """
    part = rl.credit
    params: dict[str, Any] = dict(part.params)
    if part.statistics is not None:
        if "statistics" in params:
            raise ConfigError("rl.credit.statistics and rl.credit.params.statistics say the same; leave one out")
        params["statistics"] = dict(part.statistics)
    for name, config in rl.schedules.items():
        if name.startswith("credit."):
            params[name.removeprefix("credit.")] = schedule(config)(step)
    return params


def pipeline_at(rl: RlPart, step: int) -> Pipeline:
    """Return the credit pipeline of a step.

    Raises:
        CreditError: A method, a parameter or the order of stages is wrong.
    """
    part = rl.credit
    config = single(part.method, params_at(rl, step))
    config["modulate"] = [*config.get("modulate", []), *_stages(part, "modulate")]
    config |= {"purify": _stages(part, "purify"), "whiten": part.whiten, "clip": part.clip}
    return Pipeline.of(config | {"reward_weights": part.reward_weights})


def _stages(part: CreditPart, name: str) -> list[dict[str, Any]]:
    return [stage.model_dump() for stage in getattr(part, name)]


def stored_params(rl: RlPart, step: int) -> dict[str, Any]:
    """Return what is kept with a step's credit: the method's parameters, and the other stages where there are any."""
    given = rl.credit.model_dump(mode="json", exclude_defaults=True, exclude={"method", "params", "statistics"})
    return params_at(rl, step) | ({"pipeline": given} if given else {})


def needed_fields(rl: RlPart) -> tuple[str, ...]:
    """Return the fields of the records that the pipeline reads.

    Raises:
        CreditError: See ``pipeline_at``.
    """
    pipeline = pipeline_at(rl, 0)
    names = dict.fromkeys(["components"] if pipeline.reward_weights is not None else [])
    for stage in (pipeline.base, pipeline.turn, *pipeline.modulate):
        if stage is not None:
            method = get(stage.method)
            names |= dict.fromkeys(method.needs(method.params(stage.params)))
    return tuple(names)


def check_credit(rl: RlPart) -> None:
    """See that the pipeline can be built at the first and the last step.

    Raises:
        ConfigError: It cannot; the message says why.
    """
    try:
        for step in (1, rl.steps):
            pipeline_at(rl, step)
    except CreditError as error:
        raise ConfigError(f"rl.credit: {error}") from error
