"""New rewards and scores for stored episodes, as a new run: nothing is run again, and the source stays as it is."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from turnwise.envs.registry import env_class
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.types import Grade, RewardPart
from turnwise.errors import ConfigError, UnknownNameError
from turnwise.trajectories.lines import Item
from turnwise.trajectories.records import Trajectory, episode_id, group_uid
from turnwise.trajectories.runs import RunRecord
from turnwise.trajectories.store import Store

BATCH = 200

Judge = Callable[[Trajectory], float | Grade]


@dataclass(frozen=True)
class Rescoring:
    """How episodes are scored anew: by other weights of the parts they recorded, or by a function of the record."""

    spec: str
    weights: dict[str, float] | None = None
    """A part that is not named weighs 0."""
    judge: Judge | None = None
    """Returns the episode's reward, or a ``Grade`` for its score and success."""

    @classmethod
    def parse(cls, spec: str, env: str) -> "Rescoring":
        """Read ``part=weight,…``, the name of one of the environment's presets, or ``module:function``.

        Raises:
            ConfigError: A weight is no number, or the function cannot be called.
            UnknownNameError: There is no such preset or function.
        """
        if "=" in spec:
            return cls(spec, weights=_weights(spec))
        if ":" in spec:
            return cls(spec, judge=_judge(spec))
        kind = env_class(env)
        presets = kind.PRESETS if issubclass(kind, ToolEnv) else {}
        if spec not in presets:
            raise UnknownNameError.of(f"reward preset of {env}", spec, presets)
        return cls(spec, weights=dict(presets[spec]))

    def apply(self, episode: Trajectory) -> Trajectory:
        """Return the episode with its new reward; one that failed stays a failure."""
        if not episode.scored:
            return episode
        if self.judge is not None:
            return _judged(episode, self.judge(episode), self.spec)
        assert self.weights is not None
        return _weighted(episode, self.weights)


def rescore(source: Store, run: str, how: Rescoring, into: Store, name: str) -> RunRecord:
    """Write a run's episodes with new rewards as a run of another name.

    Raises:
        ConfigError: A run of that name exists, or the episodes recorded none of the parts that are weighed.
        StoreError: There is no such run, or the target cannot be written.
    """
    record = source.run(run)
    if any(known.run == name for known in into.runs()):
        raise ConfigError(f"{into.path} has a run {name!r} already: name another by --run")
    if how.weights is not None:
        _require_parts(source, run, how.weights, strict="=" in how.spec)
    told = {"rescored_from": run, "reward": how.spec}
    made = record.model_copy(update={"run": name, "kind": "other", "config": {**record.config, **told}})
    batch: list[Item] = [made]
    for episode in _renamed(source, run, name, how):
        batch.append(episode)
        if len(batch) >= BATCH:
            into.append(batch)
            batch = []
    into.append(batch)
    return made


def _renamed(source: Store, run: str, name: str, how: Rescoring) -> Iterator[Trajectory]:
    for episode in source.episodes(run, images=True):
        ids = {"run": name, "step": episode.step, "task_key": episode.task_key, "seed": episode.seed}
        hint = episode.hint.ratio if episode.hint else None
        yield how.apply(episode).model_copy(
            update={
                "run": name,
                "episode_id": episode_id(**ids, sample=episode.sample),  # type: ignore[arg-type]
                "group_uid": group_uid(**ids, hint=hint, horizon=episode.horizon_in_force),  # type: ignore[arg-type]
                "extra": {**episode.extra, "rescored_from": episode.episode_id},
            }
        )


def _weighted(episode: Trajectory, weights: dict[str, float]) -> Trajectory:
    turns = tuple(
        turn.model_copy(update={"reward_parts": parts, "reward": _paid(parts)})
        for turn in episode.turns
        for parts in (_reweighed(turn.reward_parts, weights),)
    )
    final = _reweighed(episode.final_reward_parts, weights)
    return episode.model_copy(
        update={
            "turns": turns,
            "final_reward_parts": final,
            "final_reward": _paid(final),
            "reward": sum(turn.reward for turn in turns) + _paid(final),
            "component_weights": {part: weights.get(part, 0.0) for part in episode.components},
        }
    )


def _judged(episode: Trajectory, word: float | Grade, spec: str) -> Trajectory:
    if isinstance(word, Grade):
        if not 0.0 <= word.score <= 1.0:
            raise ConfigError(f"{spec} gave episode {episode.episode_id} a score of {word.score!r}; it lies in [0, 1]")
        return episode.model_copy(update={"score": float(word.score), "success": bool(word.success)})
    part = RewardPart(name="rescored", value=float(word), provenance=spec)
    silent = dict.fromkeys(episode.components, 0.0)
    paid = _weighted(episode, silent)
    return paid.model_copy(
        update={
            "final_reward_parts": (*paid.final_reward_parts, part),
            "final_reward": part.amount,
            "reward": part.amount,
            "components": {**paid.components, "rescored": part.value},
            "component_weights": {**silent, "rescored": 1.0},
        }
    )


def _reweighed(parts: tuple[RewardPart, ...], weights: dict[str, float]) -> tuple[RewardPart, ...]:
    return tuple(part.model_copy(update={"weight": weights.get(part.name, 0.0)}) for part in parts)


def _paid(parts: tuple[RewardPart, ...]) -> float:
    return float(sum(part.amount for part in parts))


def _require_parts(source: Store, run: str, weights: dict[str, float], *, strict: bool) -> None:
    """Refuse a part that nobody recorded; a preset may name parts that this run's tasks never paid."""
    sql = (
        "SELECT DISTINCT part.key AS name FROM episodes, json_each(episodes.record, '$.components') AS part "
        "WHERE run = ? AND latest = 1 ORDER BY name"
    )
    known = [row["name"] for row in source.query(sql, run)]
    unknown = sorted(name for name, weight in weights.items() if weight and name not in known)
    if unknown and (strict or not set(weights) & set(known)):
        raise ConfigError(f"run {run!r} recorded no reward part {unknown[0]!r}; it has: {', '.join(known) or 'none'}")


def _weights(spec: str) -> dict[str, float]:
    weights = {}
    for item in spec.split(","):
        name, _, value = item.partition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(f"--reward {spec!r}: {item!r} is not part=weight") from None
    return weights


def _judge(spec: str) -> Judge:
    module, _, attribute = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownNameError(f"--reward {spec!r}: {error}") from error
    if not callable(found):
        raise ConfigError(f"--reward {spec!r} is no function")
    judge: Judge = found
    return judge
