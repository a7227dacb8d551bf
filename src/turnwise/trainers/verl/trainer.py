"""verl's synchronous trainer with Turnwise's credit: whole records go in, advantages per token come out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from tensordict import TensorDict
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer

from turnwise.trainers.credit import Credit, CreditBatch, get
from turnwise.trainers.credit.recredit import per_episode
from turnwise.trainers.recipe import Recipe
from turnwise.trainers.spread import spread
from turnwise.trajectories import CreditRow, Store, Trajectory
from turnwise.trajectories.records import TokenSequence

NAME = "turnwise"


@register_trainer(NAME)
class TurnwiseTrainer(PPOTrainerSync):
    """Overrides one step of verl's trainer: how advantages are computed."""

    def _build_replay_buffer(self) -> Any:
        # verl decides by the mode's name, and knows "sync" only.
        self.trainer_mode = "sync"
        return super()._build_replay_buffer()

    @property
    def recipe(self) -> Recipe:
        """The run's recipe; verl's configuration carries its path."""
        return Recipe.model_validate_json(Path(self.config.turnwise.recipe).read_text(encoding="utf-8"))

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        fields = ["extra_fields", "response_mask", "old_log_probs", "entropy"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        rows = [json.loads(extra["turnwise"]) for extra in map(_plain, data["extra_fields"])]
        trajectories = self._records(rows, data)
        laid = self._credited(trajectories, metrics)
        advantages = [_advantage(row, laid, mask) for row, mask in zip(rows, data["response_mask"], strict=True)]
        nested = torch.nested.as_nested_tensor(advantages, layout=torch.jagged)
        output = TensorDict({"advantages": nested, "returns": nested.clone()}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=output)

    def _credited(self, trajectories: list[Trajectory], metrics: dict[str, Any]) -> dict[tuple[str, int], Any]:
        """Return each sequence's advantages, shape (L,), by episode and sequence; failed episodes have none."""
        part = self.recipe.rl
        assert part is not None
        metrics["turnwise/credited_episodes"] = len(trajectories)
        if not trajectories:
            return {}
        batch = CreditBatch.from_trajectories(trajectories)
        credit = get(part.credit.method).estimate(batch, part.credit.params)
        metrics.update(credit_metrics(credit.advantages, batch))
        metrics["turnwise/success"] = float(np.mean([bool(trajectory.success) for trajectory in trajectories]))
        laid = spread(trajectories, batch, credit)
        self._store(trajectories, batch, credit, laid)
        return {
            (trajectory.episode_id, index): array
            for trajectory, arrays in zip(trajectories, laid, strict=True)
            for index, array in enumerate(arrays)
        }

    def _store(self, trajectories: list[Trajectory], batch: CreditBatch, credit: Credit, laid: list[Any]) -> None:
        """Keep what each episode was credited with beside the episode, by token as the loss gets it."""
        part = self.recipe.rl
        assert part is not None
        rows = [
            CreditRow(
                run=trajectory.run,
                episode_id=trajectory.episode_id,
                attempt=trajectory.attempt,
                method=part.credit.method,
                params=part.credit.params,
                token_advantages=np.concatenate(arrays).tolist(),
                **numbers,
            )
            for trajectory, arrays, numbers in zip(trajectories, laid, per_episode(batch, credit), strict=True)
        ]
        with Store.open(self.config.turnwise.store, "a") as store:
            store.put_credit(rows)

    def _records(self, rows: list[dict[str, Any]], data: Any) -> list[Trajectory]:
        """Rebuild each episode once, with the log-probs and entropies the trainer has just computed."""
        found = {row["episode_id"]: Trajectory.model_validate(row["record"]) for row in rows if row.get("record")}
        for index, row in enumerate(rows):
            if row["episode_id"] not in found:
                continue
            sequence = found[row["episode_id"]].sequences[row["sequence"]]
            _fill(sequence, "logprobs", row["prompt"], data["old_log_probs"][index])
            _fill(sequence, "entropy", row["prompt"], data["entropy"][index])
        return list(found.values())


def _advantage(row: dict[str, Any], laid: dict[tuple[str, int], Any], mask: torch.Tensor) -> torch.Tensor:
    """Return the advantages of a row's response tokens; zeros for an episode without credit."""
    found = laid.get((row["episode_id"], row["sequence"]))
    if found is None:
        return torch.zeros(mask.shape[0], dtype=torch.float32)
    return torch.as_tensor(found[row["prompt"] :], dtype=torch.float32)


def _plain(value: Any) -> Any:
    """Unwrap a column's value: the queue hands out plain objects or wrapped ones."""
    return getattr(value, "data", value)


def _fill(sequence: TokenSequence, name: str, prompt: int, values: torch.Tensor) -> None:
    whole = np.zeros(len(sequence), dtype=np.float32)
    whole[prompt:] = values.float().cpu().numpy()[: len(sequence) - prompt]
    whole[~sequence.loss_mask] = 0.0
    setattr(sequence, name, whole)


def credit_metrics(advantages: Any, batch: CreditBatch) -> dict[str, float]:
    """Summarise what the estimator said: how far turns differ, and how many push at all."""
    spread_within = [
        float(np.ptp(advantages[start:end]))
        for start, end in zip(batch.turn_offsets[:-1], batch.turn_offsets[1:], strict=True)
        if end > start
    ]
    return {
        "turnwise/advantage_std": float(np.std(advantages)) if advantages.size else 0.0,
        "turnwise/advantage_spread_per_episode": float(np.mean(spread_within)) if spread_within else 0.0,
        "turnwise/zero_advantage_share": float(np.mean(advantages == 0)) if advantages.size else 0.0,
        "turnwise/outcome_mean": float(np.mean(batch.outcome)) if len(batch) else 0.0,
    }
