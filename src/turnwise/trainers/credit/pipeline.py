"""The order of credit: purify, shape the reward, base, turn credit, modulate, whiten, clip."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from turnwise.errors import CreditError
from turnwise.trainers.credit import filters, params, segments
from turnwise.trainers.credit.base import Credit, Estimator, get
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.graph import trajectory_advantage
from turnwise.trainers.credit.modulate import Modulator
from turnwise.trainers.credit.segments import Bools, Floats
from turnwise.trainers.credit.statistics import whiten


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One method and its parameters."""

    method: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What happens to a batch, in the only order there is.

    ``Pipeline.of({"turn": {"method": "gigpo"}, "modulate": [{"method": "empg"}]}).run(batch)``
    """

    purify: tuple[Stage, ...] = ()
    """Filters; what they drop keeps its rows, with credit 0 and weight 0."""
    reward_weights: dict[str, float] | None = None
    """Outcome made anew as the weighted sum of named components; what it changes is paid on the last turn."""
    base: Stage | None = None
    turn: Stage | None = None
    modulate: tuple[Stage, ...] = ()
    whiten: Literal["none", "token", "turn"] = "none"
    clip: float | None = None
    """Largest magnitude of an advantage."""

    def __post_init__(self) -> None:
        if self.base is None and self.turn is None:
            raise CreditError("a pipeline needs a base or a turn stage: nothing would assign credit")
        if self.clip is not None and self.clip <= 0:
            raise CreditError(f"clip must be positive, got {self.clip!r}")
        before = ["shaping"]
        for name, stage in self._stages():
            _check_place(name, stage, before)
            before.append(name)

    @classmethod
    def of(cls, config: "Mapping[str, Any] | str | Pipeline") -> "Pipeline":
        """Build a pipeline from plain data, or from a method's name alone; ``CreditError`` where it is wrong."""
        if isinstance(config, Pipeline):
            return config
        if isinstance(config, str):
            config = single(config)
        return params.build(cls, config, owner="pipeline")

    def run(self, batch: CreditBatch) -> Credit:
        """Assign credit to every turn of the batch."""
        shaped = reweight(batch, self.reward_weights) if self.reward_weights is not None else batch
        if not self.purify:
            return self._finish(shaped, self._assign(shaped))
        keep = self._kept(shaped)
        part = shaped.take(keep)
        return _spread(shaped, keep, self._finish(part, self._assign(part)))

    def require(self, batch: CreditBatch) -> None:
        """Raise ``CreditError`` naming the first field a stage lacks."""
        for _, stage in self._stages():
            found = get(stage.method)
            chosen = found.params(stage.params)
            found.require(batch, found.needs(chosen))

    def _stages(self) -> list[tuple[str, Stage]]:
        pairs = [("base", self.base), ("turn", self.turn), *(("modulate", stage) for stage in self.modulate)]
        return [(name, stage) for name, stage in pairs if stage is not None]

    def _kept(self, batch: CreditBatch) -> Bools:
        keep = np.ones(len(batch), dtype=np.bool_)
        for stage in self.purify:
            try:
                keep &= filters.find(stage.method)(batch, **stage.params)
            except TypeError as error:
                raise CreditError(f"the filter {stage.method!r} does not take {stage.params}: {error}") from error
        return keep

    def _assign(self, batch: CreditBatch) -> Credit:
        if self.turn is None:
            assert self.base is not None
            credit = get(self.base.method).estimate(batch, self.base.params)
        else:
            if self.base is not None:
                batch = batch.replace(base_advantage=trajectory_advantage(batch, self.base.method, self.base.params))
            credit = get(self.turn.method).estimate(batch, self.turn.params)
        for stage in self.modulate:
            modulator = get(stage.method)
            assert isinstance(modulator, Modulator)
            chosen = modulator.params(stage.params)
            modulator.require(batch, modulator.needs(chosen))
            credit = modulator.modulate(batch, credit, chosen)
        return credit

    def _finish(self, batch: CreditBatch, credit: Credit) -> Credit:
        if self.whiten != "none":
            credit = whitened(batch, credit, over=self.whiten)
        if self.clip is None:
            return credit
        tokens = None if credit.tokens is None else np.clip(credit.tokens, -self.clip, self.clip)
        return credit.replace(advantages=np.clip(credit.advantages, -self.clip, self.clip), tokens=tokens)


def single(method: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Pipeline of one method, put where it belongs; a modulator brings its base with it."""
    found = get(method)
    stage = {"method": method, "params": dict(given or {})}
    if found.stage != "modulate":
        return {found.stage: stage}
    chosen = found.params(given)
    base = {"method": chosen.base, "params": chosen.base_params}
    return {get(chosen.base).stage: base, "modulate": [stage]}


def _check_place(name: str, stage: Stage, before: list[str]) -> None:
    found: Estimator[Any] = get(stage.method)
    found.params(stage.params)
    if found.stage != name:
        raise CreditError(f"{stage.method!r} belongs to the stage {found.stage!r}, not to {name!r}")
    wrong = [earlier for earlier in before if earlier not in found.composes_after]
    if wrong:
        raise CreditError(
            f"{stage.method!r} does not compose after the stage {wrong[0]!r}: it makes its own; "
            f"it may follow {', '.join(found.composes_after)}"
        )


def reweight(batch: CreditBatch, weights: Mapping[str, float]) -> CreditBatch:
    """Make outcomes anew from named components; the difference to the old outcome is paid on the last turn."""
    components = batch.get("components")
    unknown = sorted(set(weights) - set(components))
    if unknown:
        raise CreditError(f"no component is named {unknown[0]!r}; every trajectory has {sorted(components)}")
    outcome = np.zeros(len(batch))
    for name in sorted(weights):
        outcome += weights[name] * components[name]
    change = np.where(batch.is_last, (outcome - batch.outcome)[batch.traj_of_turn], 0.0)
    return batch.replace(outcome=outcome, reward=batch.reward + change)


def whitened(batch: CreditBatch, credit: Credit, *, over: str) -> Credit:
    """Whiten over the action tokens, or over the turns, of each update."""
    if over == "turn":
        if credit.tokens is not None:
            raise CreditError("whiten 'turn' does not fit a token-level method: use 'token'")
        return credit.replace(advantages=whiten(credit.advantages, batch.shard_of_turn))
    if credit.tokens is None:
        weights = batch.action_tokens.astype(np.float64)
        return credit.replace(advantages=whiten(credit.advantages, batch.shard_of_turn, weights=weights))
    tokens = whiten(credit.tokens, batch.shard_of_turn[batch.turn_of_token])
    means = segments.divide(segments.total(tokens, batch.turn_of_token, batch.turns), batch.action_tokens)
    return credit.replace(tokens=tokens, advantages=means)


def _spread(batch: CreditBatch, keep: Bools, credit: Credit) -> Credit:
    """Put the credit of the kept trajectories back in place; the others get 0 and weight 0."""
    turns = filters.turn_mask(batch, keep)
    tokens = filters.token_mask(batch, keep) if batch.token_offsets is not None else np.zeros(0, dtype=np.bool_)
    return Credit(
        advantages=_put(turns, credit.advantages),
        tokens=None if credit.tokens is None else _put(tokens, credit.tokens),
        returns=_put(turns, credit.returns),
        token_returns=None if credit.token_returns is None else _put(tokens, credit.token_returns),
        value_mask=None if credit.value_mask is None else _put(tokens, credit.value_mask).astype(np.bool_),
        weights=_put(turns, credit.weights),
        diagnostics={**credit.diagnostics, "purified": int((~keep).sum())},
    )


def _put(mask: Bools, values: Any) -> Floats:
    out = np.zeros(mask.size)
    out[mask] = values
    return out
