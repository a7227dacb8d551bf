"""The contract of a method: what it reads, what it returns, and the registry that finds it by name."""

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from turnwise.errors import CreditError, UnknownNameError
from turnwise.trainers.credit import params as parameters
from turnwise.trainers.credit.batch import CreditBatch
from turnwise.trainers.credit.fields import FIELDS, Level
from turnwise.trainers.credit.segments import Bools, Floats

P = TypeVar("P")


@dataclass(frozen=True, kw_only=True, eq=False)
class Credit:
    """What a method says about a batch; float64 throughout."""

    advantages: Floats
    """Shape (M,): one number per turn; for a token-level method the mean over the turn's action tokens."""
    tokens: Floats | None = None
    """Shape (K,): one number per action token; None: the turn's number holds for all its tokens."""
    returns: Floats
    """Shape (M,): the return each turn's advantage was made from, before any baseline."""
    token_returns: Floats | None = None
    """Shape (K,): a critic's targets, or returns per token."""
    value_mask: Bools | None = None
    """Shape (K,): the action tokens whose target a critic is trained on; None: all that have one."""
    weights: Floats
    """Shape (M,): factor on each turn's loss; 0 drops the turn."""
    diagnostics: dict[str, Any] = field(default_factory=dict)

    def on_tokens(self, batch: CreditBatch) -> Floats:
        """Advantage of every action token, shape (K,)."""
        return self.advantages[batch.turn_of_token] if self.tokens is None else self.tokens

    def replace(self, **changes: Any) -> "Credit":
        """Copy with attributes replaced."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class NoParams:
    """A method without parameters."""


class Estimator(ABC, Generic[P]):
    """A method of credit assignment: a pure function of a batch and parameters.

    Subclasses set the class attributes and write ``credit``. Nothing in it may depend on the order of rows, on a clock
    or on a global random state; a group of one, zero variance, a single turn and an empty batch give defined numbers.
    """

    name: ClassVar[str] = ""
    level: ClassVar[Level] = "turn"
    """What one advantage belongs to."""
    required_fields: ClassVar[tuple[str, ...]] = ()
    """Fields beyond groups, rewards and turn boundaries, under default parameters."""
    stage: ClassVar[Literal["base", "turn", "modulate"]] = "turn"
    """Where it stands in a pipeline: a trajectory-level method is a base."""
    composes_after: ClassVar[tuple[str, ...]] = ("shaping",)
    """Pipeline stages that may precede it."""
    unbiased: ClassVar[bool] = False
    """Whether its expected policy gradient is the exact one, up to one positive constant; checked in the lab."""
    source: ClassVar[str] = ""
    """Where the definition comes from."""
    Params: ClassVar[type] = NoParams

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.level == "trajectory" and "stage" not in vars(cls):
            cls.stage = "base"

    def estimate(self, batch: CreditBatch, params: P | Mapping[str, Any] | None = None) -> Credit:
        """Assign credit.

        Args:
            batch: What happened.
            params: A ``Params`` object, plain data, or None for the defaults.

        Raises:
            CreditError: A required field is missing, or a parameter is wrong.
        """
        chosen = self.params(params)
        self.require(batch, self.needs(chosen))
        return self.credit(batch, chosen)

    def params(self, given: P | Mapping[str, Any] | None = None) -> P:
        """Check parameters and fill in defaults."""
        if given is not None and not isinstance(given, Mapping):
            if not isinstance(given, self.Params):
                raise CreditError(f"{self.name} takes {self.Params.__qualname__}, got {type(given).__name__}")
            return given
        built: P = parameters.build(self.Params, given, owner=self.name)
        return built

    def needs(self, params: P) -> tuple[str, ...]:
        """Fields needed under these parameters."""
        return self.required_fields

    def require(self, batch: CreditBatch, names: Iterable[str]) -> None:
        """Raise ``CreditError`` naming the first field that is missing, or missing on some turn."""
        for name in names:
            if not batch.has(name):
                raise CreditError(f"{self.name} needs the field {name!r} ({FIELDS[name].doc}), which the batch lacks")
            missing = _missing(batch.get(name))
            if missing is not None:
                place = _where(batch, name, missing)
                raise CreditError(f"{self.name} needs {name!r} everywhere; it is missing or not finite at {place}")

    @abstractmethod
    def credit(self, batch: CreditBatch, params: P) -> Credit:
        """Do the arithmetic; fields are present and parameters are valid."""


def _missing(values: Any) -> int | None:
    """Index of the first value that is not given."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        bad = ~np.isfinite(values)
    elif isinstance(values, np.ndarray) and values.dtype.kind == "i":
        bad = values < 0
    else:
        return next((i for i, value in enumerate(values) if value is None), None)
    return int(np.argmax(bad)) if bad.any() else None


def _where(batch: CreditBatch, name: str, index: int) -> str:
    level = FIELDS[name].level
    if level == "trajectory":
        return f"trajectory {batch.uid(index)!r}"
    turn = int(batch.turn_of_token[index]) if level == "token" else index
    place = f"trajectory {batch.uid(int(batch.traj_of_turn[turn]))!r}, turn {int(batch.turn_index[turn])}"
    return place if level == "turn" else f"{place}, one of its action tokens"


def per_trajectory(batch: CreditBatch, values: Floats, *, keep: Floats | None = None, **diagnostics: Any) -> Credit:
    """Credit every turn with its trajectory's number.

    Args:
        batch: The batch.
        values: Shape (N,).
        keep: Shape (N,): weights of the trajectories' losses; None: 1.
        diagnostics: What to report beside.
    """
    owner = batch.traj_of_turn
    return Credit(
        advantages=values[owner],
        returns=batch.outcome[owner],
        weights=np.ones(batch.turns) if keep is None else keep[owner],
        diagnostics=diagnostics,
    )


_REGISTRY: dict[str, type[Estimator[Any]]] = {}
E = TypeVar("E", bound=Estimator[Any])


def register(name: str) -> Callable[[type[E]], type[E]]:
    """Make an estimator class known under a name."""

    def add(cls: type[E]) -> type[E]:
        taken = _REGISTRY.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise CreditError(f"the name {name!r} already belongs to {taken.__module__}.{taken.__qualname__}")
        cls.name = name
        _REGISTRY[name] = cls
        return cls

    return add


def get(name: str) -> Estimator[Any]:
    """Return the method of that name, or of a dotted path ``module:Class``."""
    if ":" in name:
        return _import(name)
    if name not in _REGISTRY:
        raise UnknownNameError.of("credit method", name, _REGISTRY, hint="A class of your own is module:Class.")
    return _REGISTRY[name]()


def names() -> list[str]:
    """Names of all registered methods, sorted."""
    return sorted(_REGISTRY)


def _import(path: str) -> Estimator[Any]:
    module, _, attribute = path.partition(":")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownNameError(f"cannot import the credit method {path!r}: {error}") from error
    made = cls() if isinstance(cls, type) else cls
    if not isinstance(made, Estimator):
        raise CreditError(f"{path!r} is {made!r}, which is no turnwise.trainers.credit.Estimator")
    if not made.name:
        type(made).name = attribute
    return made
