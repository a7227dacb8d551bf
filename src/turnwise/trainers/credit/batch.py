"""The batch estimators read: plain arrays, ragged in turns and in action tokens, with explicit boundaries."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from turnwise.errors import CreditError
from turnwise.trainers.credit import segments
from turnwise.trainers.credit.fields import FIELDS
from turnwise.trainers.credit.segments import Floats, Ints

if TYPE_CHECKING:
    from turnwise.trajectories import Trajectory


@dataclass(frozen=True, kw_only=True, eq=False)
class CreditBatch:
    """N trajectories with M turns and, where tokens are known, K action tokens, concatenated in turn order.

    Observation tokens are not stored: they carry no credit. ``action_tokens`` and ``observation_tokens`` of a turn
    tell where its action lies among them.
    """

    group: Ints
    """Shape (N,): which prompt group each trajectory belongs to, numbered from 0."""
    outcome: Floats
    """Shape (N,): the trajectory's reward R."""
    turn_offsets: Ints
    """Shape (N + 1,): turns of trajectory i are ``turn_offsets[i]:turn_offsets[i + 1]``."""
    reward: Floats
    """Shape (M,): the turn's reward r, the outcome's part included."""
    token_offsets: Ints | None = None
    """Shape (M + 1,): action tokens of turn k; None: tokens are not known."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Everything else, by the names of ``fields.FIELDS``."""
    shard: Ints | None = None
    """Shape (N,): the update each trajectory belongs to, where one call credits many; None: all the same."""
    traj_uids: Sequence[str] | None = None
    group_uids: Sequence[str] | None = None
    """One per group."""

    @classmethod
    def build(
        cls,
        *,
        group: npt.ArrayLike,
        turns: npt.ArrayLike,
        reward: npt.ArrayLike,
        outcome: npt.ArrayLike | None = None,
        action_tokens: npt.ArrayLike | None = None,
        **fields: Any,
    ) -> Self:
        """Build a batch from arrays, with checks.

        Args:
            group: Shape (N,), any integers.
            turns: Shape (N,), how many turns each trajectory has.
            reward: Shape (M,).
            outcome: Shape (N,); by default the sum of the trajectory's turn rewards.
            action_tokens: Shape (M,), how many action tokens each turn has; by default unknown.
            fields: Further fields by name, and ``shard``, ``traj_uids``, ``group_uids``.

        Raises:
            CreditError: Shapes do not fit, or a number is not finite.
        """
        offsets = segments.offsets_of(turns)
        rewards = np.asarray(reward, dtype=np.float64)
        owner = segments.owners(offsets)
        own = {name: fields.pop(name, None) for name in ("shard", "traj_uids", "group_uids")}
        if rewards.size != offsets[-1]:
            raise CreditError(f"reward has {rewards.size} values for {offsets[-1]} turns; give one per turn")
        if outcome is None:
            outcome = segments.total(rewards, owner, offsets.size - 1)
        batch = cls(
            group=np.unique(np.asarray(group), return_inverse=True)[1].astype(np.int64),
            outcome=np.asarray(outcome, dtype=np.float64),
            turn_offsets=offsets,
            reward=rewards,
            token_offsets=None if action_tokens is None else segments.offsets_of(action_tokens),
            fields=fields,
            shard=None if own["shard"] is None else np.asarray(own["shard"], dtype=np.int64),
            traj_uids=own["traj_uids"],
            group_uids=own["group_uids"],
        )
        batch.check()
        return batch

    @classmethod
    def from_trajectories(cls, trajectories: "Sequence[Trajectory]", *, outcome: str = "reward") -> "CreditBatch":
        """Build a batch from records; see ``records.from_trajectories``."""
        from turnwise.trainers.credit.records import from_trajectories

        return from_trajectories(trajectories, outcome=outcome)

    @classmethod
    def from_rows(cls, rows: "Sequence[Mapping[str, Any]]") -> "CreditBatch":
        """Build a batch from the documented rows of a JSONL file; see ``rows.from_rows``."""
        from turnwise.trainers.credit.rows import from_rows

        return from_rows(rows)

    def check(self) -> None:
        """Raise ``CreditError`` where shapes do not fit or a number is not finite."""
        sizes = {"trajectory": len(self), "turn": self.turns, "token": self.tokens}
        own = {"group": (self.group, len(self)), "outcome": (self.outcome, len(self)), "reward": (self.reward, -1)}
        if self.shard is not None:
            own["shard"] = (self.shard, len(self))
        for name, (array, count) in own.items():
            _check(name, array, count if count >= 0 else self.turns)
        if self.token_offsets is not None and self.token_offsets.size != self.turns + 1:
            raise CreditError(f"action_tokens has {self.token_offsets.size - 1} values for {self.turns} turns")
        for name, value in self.fields.items():
            if name not in FIELDS:
                raise CreditError(f"a batch has no field {name!r}; known: {', '.join(sorted(FIELDS))}")
            if FIELDS[name].kind != "special":
                _check(name, value, sizes[FIELDS[name].level])

    def __len__(self) -> int:
        return int(self.group.size)

    @property
    def turns(self) -> int:
        """M, the number of turns."""
        return int(self.turn_offsets[-1])

    @property
    def tokens(self) -> int:
        """K, the number of action tokens; 0 where tokens are not known."""
        return 0 if self.token_offsets is None else int(self.token_offsets[-1])

    @cached_property
    def groups(self) -> int:
        """G, the number of groups."""
        return int(self.group.max(initial=-1)) + 1

    @cached_property
    def shards(self) -> int:
        """How many updates the batch holds."""
        return 1 if self.shard is None else int(self.shard.max(initial=-1)) + 1

    @cached_property
    def traj_of_turn(self) -> Ints:
        """Shape (M,)."""
        return segments.owners(self.turn_offsets)

    @cached_property
    def turn_index(self) -> Ints:
        """Shape (M,): 0 for a trajectory's first turn."""
        return segments.positions(self.turn_offsets)

    @cached_property
    def turn_counts(self) -> Ints:
        """Shape (N,): T, the number of turns of each trajectory."""
        return np.diff(self.turn_offsets)

    @cached_property
    def is_last(self) -> npt.NDArray[np.bool_]:
        """Shape (M,): whether the turn is its trajectory's last."""
        return segments.last_elements(self.turn_offsets)

    @cached_property
    def group_of_turn(self) -> Ints:
        """Shape (M,)."""
        return self.group[self.traj_of_turn]

    @cached_property
    def shard_of(self) -> Ints:
        """Shape (N,)."""
        return np.zeros(len(self), dtype=np.int64) if self.shard is None else self.shard

    @cached_property
    def shard_of_turn(self) -> Ints:
        """Shape (M,)."""
        return self.shard_of[self.traj_of_turn]

    @cached_property
    def turn_of_token(self) -> Ints:
        """Shape (K,)."""
        return segments.owners(self._token_offsets)

    @cached_property
    def traj_token_offsets(self) -> Ints:
        """Shape (N + 1,): action tokens of trajectory i."""
        return self._token_offsets[self.turn_offsets]

    @property
    def _token_offsets(self) -> Ints:
        if self.token_offsets is None:
            raise CreditError("the batch knows no tokens: give action_tokens (a count per turn)")
        return self.token_offsets

    @cached_property
    def action_tokens(self) -> Ints:
        """Shape (M,): action tokens of each turn."""
        return np.diff(self._token_offsets)

    @cached_property
    def trajectory_tokens(self) -> Floats:
        """Shape (N,): L, the number of action tokens of each trajectory."""
        return np.diff(self.traj_token_offsets).astype(np.float64)

    def has(self, name: str) -> bool:
        """Whether the batch holds the field."""
        if name == "action_tokens":
            return self.token_offsets is not None
        return name in self.fields

    def get(self, name: str) -> Any:
        """Return a field's array, shape (N,), (M,) or (K,) by its level; ``CreditError`` where it is missing."""
        if name == "action_tokens":
            return self.action_tokens
        if name not in self.fields:
            raise CreditError(f"the batch has no field {name!r} ({FIELDS[name].doc if name in FIELDS else 'unknown'})")
        return self.fields[name]

    def replace(self, **changes: Any) -> "CreditBatch":
        """Copy with own attributes replaced, or fields by name."""
        own = {f.name for f in dataclasses.fields(self)}
        extra = {name: value for name, value in changes.items() if name not in own}
        kept = {name: value for name, value in changes.items() if name in own}
        if extra:
            kept["fields"] = {**kept.get("fields", self.fields), **extra}
        return dataclasses.replace(self, **kept)

    def take(self, keep: npt.ArrayLike) -> "CreditBatch":
        """Batch of some trajectories: a mask, shape (N,), or indices in the order wanted."""
        chosen = np.asarray(keep)
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        turns = segments.spans(self.turn_offsets, rows)
        groups, group = np.unique(self.group[rows], return_inverse=True)
        index: dict[str, Ints] = {"trajectory": rows, "turn": turns}
        offsets = None
        if self.token_offsets is not None:
            index["token"] = segments.spans(self.token_offsets, turns)
            offsets = segments.offsets_of(self.action_tokens[turns])
        return CreditBatch(
            group=group.astype(np.int64),
            outcome=self.outcome[rows],
            turn_offsets=segments.offsets_of(self.turn_counts[rows]),
            reward=self.reward[turns],
            token_offsets=offsets,
            fields={name: _taken(value, index[FIELDS[name].level]) for name, value in self.fields.items()},
            shard=None if self.shard is None else self.shard[rows],
            traj_uids=[self.uid(int(i)) for i in rows],
            group_uids=[self.group_uid(int(g)) for g in groups],
        )

    def token_rewards(self) -> Floats:
        """Rewards per action token, shape (K,): the turn's sits on its last action token, ``token_rewards`` is added.

        A turn without action tokens passes its reward to the last action token before it, or else the first after.
        """
        out = np.zeros(self.tokens)
        holder, lost = self._reward_token
        np.add.at(out, holder[~lost], self.reward[~lost])
        return out + self.fields["token_rewards"] if "token_rewards" in self.fields else out

    @cached_property
    def _reward_token(self) -> tuple[Ints, npt.NDArray[np.bool_]]:
        offsets, bounds = self._token_offsets, self.traj_token_offsets
        start, end = bounds[:-1][self.traj_of_turn], bounds[1:][self.traj_of_turn]
        return np.maximum(offsets[1:] - 1, start), start == end

    def uid(self, trajectory: int) -> str:
        """Name of a trajectory."""
        return str(trajectory) if self.traj_uids is None else self.traj_uids[trajectory]

    def group_uid(self, group: int) -> str:
        """Name of a group."""
        return str(group) if self.group_uids is None else self.group_uids[group]


def _taken(value: Any, index: Ints) -> Any:
    if isinstance(value, np.ndarray):
        return value[index]
    if isinstance(value, Mapping):
        return {key: column[index] for key, column in value.items()}
    return [value[int(i)] for i in index]


def _check(name: str, array: Any, count: int) -> None:
    if len(array) != count:
        raise CreditError(f"{name} has {len(array)} values where {count} are needed")
    if name in FIELDS or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return  # a field's NaN means "not given"; it is an error only for the method that needs it
    if not np.isfinite(array).all():
        raise CreditError(f"{name} holds a number that is not finite at index {int(np.argmin(np.isfinite(array)))}")
