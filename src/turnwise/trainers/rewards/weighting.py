"""How several reward components become one: fixed, hypervolume-guided and gradient-based weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from turnwise.errors import ConfigError
from turnwise.trainers.rewards.expression import Expression

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FixedWeights:
    """``R = Σ w_k r_k``."""

    weights: Mapping[str, float]

    def __call__(self, components: Mapping[str, npt.ArrayLike]) -> Floats:
        """Combine components: numbers, or arrays of one shape.

        Raises:
            ConfigError: A component with a weight is missing.
        """
        missing = sorted(set(self.weights) - set(components))
        if missing:
            raise ConfigError(f"no component is named {missing[0]!r}; there are {sorted(components)}")
        parts = [
            weight * np.asarray(components[name], dtype=np.float64) for name, weight in sorted(self.weights.items())
        ]
        return np.sum(parts, axis=0) if parts else np.zeros(())

    def dominates(self, name: str, limits: Mapping[str, float]) -> bool:
        """Whether one component outweighs all others together, given the most each other can be when it is 0.

        For Reasoning-SQL's rewards: an answer that executes right must score above any that does not.
        """
        others = sum(
            max(weight * limits.get(other, 1.0), 0.0) for other, weight in self.weights.items() if other != name
        )
        return self.weights[name] > others


@dataclass(kw_only=True)
class Hypervolume:
    """Meta-reward ``0.5 + 1.5 tanh(ΔHV)``, a factor on all rewards: how much validation adds to the Pareto front.

    ``front`` begins with the reference point; validation points that add volume are appended.
    """

    front: list[tuple[float, ...]]
    maximize: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not self.front:
            raise ConfigError("hypervolume weighting needs a reference point")
        if any(len(point) != len(self.maximize) for point in self.front):
            raise ConfigError(f"every point needs {len(self.maximize)} numbers, one per objective")

    def update(self, point: Sequence[float]) -> float:
        """Take in a validation point; returns the meta-reward."""
        gain = self.gain(point)
        if gain > 0:
            self.front.append(tuple(float(value) for value in point))
        return 0.5 + 1.5 * math.tanh(gain)

    def gain(self, point: Sequence[float]) -> float:
        """Volume the point adds to what the front dominates above the reference; never negative."""
        signs = [1.0 if up else -1.0 for up in self.maximize]
        if len(point) != len(signs):
            raise ConfigError(f"the point {tuple(point)} needs {len(signs)} numbers, one per objective")
        reference, *rest = [tuple(s * v for s, v in zip(signs, p, strict=True)) for p in [*self.front, tuple(point)]]
        return max(hypervolume(rest, reference) - hypervolume(rest[:-1], reference), 0.0)


def hypervolume(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """Volume dominated by points above a reference, all objectives to be maximised.

    Slices along the first objective; a point that is not above the reference everywhere dominates nothing.
    """
    above = sorted({p for p in points if all(a > b for a, b in zip(p, reference, strict=True))})
    if not above:
        return 0.0
    if len(reference) == 1:
        return above[-1][0] - reference[0]
    volume, position = 0.0, reference[0]
    for k, point in enumerate(above):
        if point[0] > position:
            volume += (point[0] - position) * hypervolume([p[1:] for p in above[k:]], reference[1:])
            position = point[0]
    return volume


@dataclass(kw_only=True)
class GradientWeights:
    """``w ← softmax(log w + lr · Σ_j ⟨g_i, g_j⟩ / reg)``: components whose gradients agree with the others gain."""

    weights: dict[str, float]
    regularisation: float = 1.0
    every: int = 1
    """Inner products are averaged over this many updates before the weights move."""
    _sums: dict[str, float] = field(default_factory=dict)
    _seen: int = 0

    def __post_init__(self) -> None:
        if not self.weights or min(self.weights.values()) <= 0:
            raise ConfigError("gradient weighting needs positive initial weights")
        if self.regularisation <= 0 or self.every < 1:
            raise ConfigError("gradient weighting needs a positive regularisation and every >= 1")

    def update(self, gradients: Mapping[str, npt.ArrayLike], lr: float) -> dict[str, float]:
        """Take in the flat gradient of each component's loss; returns the weights in force afterwards.

        Raises:
            ConfigError: The gradients do not belong to the components.
        """
        if set(gradients) != set(self.weights):
            raise ConfigError(f"gradients of {sorted(gradients)}, but weights of {sorted(self.weights)}")
        rows = np.stack([np.asarray(gradients[name], dtype=np.float64).ravel() for name in self.weights])
        for name, score in zip(self.weights, (rows @ rows.T).sum(axis=1), strict=True):
            self._sums[name] = self._sums.get(name, 0.0) + float(score)
        self._seen += 1
        if self._seen == self.every:
            self._move(lr)
        return dict(self.weights)

    def _move(self, lr: float) -> None:
        names = list(self.weights)
        logs = np.array(
            [math.log(self.weights[n]) + lr * self._sums[n] / self._seen / self.regularisation for n in names]
        )
        new = np.exp(logs - logs.max())
        # a weight of exactly 0 could never come back
        floored = np.maximum(new / new.sum(), 1e-12)
        self.weights = dict(zip(names, (floored / floored.sum()).tolist(), strict=True))
        self._sums, self._seen = {}, 0


def combiner(config: "str | Mapping[str, Any]") -> "FixedWeights | Expression":
    """Build a combination from plain data: ``{"correct": 1, "format": 0.1}``, or an expression's text.

    Raises:
        ConfigError: A weight is no number, or the expression does not parse.
    """
    if isinstance(config, str):
        return Expression(config)
    bad = [name for name, value in config.items() if isinstance(value, bool) or not isinstance(value, int | float)]
    if bad:
        raise ConfigError(f"the weight of {bad[0]!r} must be a number, got {config[bad[0]]!r}")
    return FixedWeights(weights={name: float(value) for name, value in config.items()})
