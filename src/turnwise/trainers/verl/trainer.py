"""verl's synchronous trainer with Turnwise's credit: whole records go in, advantages per token come out."""

import time
from copy import deepcopy
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import transfer_queue as tq
from tensordict import NonTensorData, TensorDict
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.metric import reduce_metrics
from verl.utils.py_functional import rename_dict
from verl.workers.utils.losses import ppo_loss

from turnwise.errors import TrainerError
from turnwise.trainers.budget import Spent
from turnwise.trainers.credit import Credit, CreditBatch
from turnwise.trainers.credit.recredit import per_episode
from turnwise.trainers.crediting import pipeline_at, stored_params
from turnwise.trainers.liveprobes import UNPROBED
from turnwise.trainers.metrics import credit_metrics, episode_metrics, panel_metrics, time_shares
from turnwise.trainers.probes.supply import probes_for
from turnwise.trainers.recipe import SCHEDULED, Recipe, RlPart
from turnwise.trainers.rows import Floats, ToldRow, by_sequence, episodes_of, measured, response_of
from turnwise.trainers.spread import spread, spread_targets
from turnwise.trainers.verl.gold import PolicyScorer
from turnwise.trainers.verl.losses import targeted_value_loss
from turnwise.trajectories import CreditRow, Store, Trajectory

NAME = "turnwise"


@register_trainer(NAME)
class TurnwiseTrainer(PPOTrainerSync):
    """verl's trainer, with our credit between its log-probs and its updates."""

    total_training_steps: int

    def _build_replay_buffer(self) -> Any:
        # verl decides by the mode's name, and knows "sync" only.
        self.trainer_mode = "sync"
        buffer = super()._build_replay_buffer()
        buffer.watched = self._sources
        return buffer

    def _setup(self) -> None:
        super()._setup()
        if self.use_critic:
            self.critic_wg.set_loss_fn(partial(targeted_value_loss, omega_conf_to_dataclass(self.config.critic)))

    def _sources(self) -> list[Any]:
        """Return the actors without which no episode ends."""
        servers = [server for replica in self.llm_server_manager.get_replicas() for server in replica.servers]
        return [*self.agent_loop_manager.agent_loop_workers, *servers]

    @cached_property
    def recipe(self) -> Recipe:
        """The run's recipe; verl's configuration carries its path."""
        return Recipe.model_validate_json(Path(self.config.turnwise.recipe).read_text(encoding="utf-8"))

    @property
    def rl(self) -> RlPart:
        """The recipe's part on reinforcement learning."""
        assert self.recipe.rl is not None
        return self.recipe.rl

    def on_train_begin(self) -> None:
        """Start the clock of the budget."""
        super().on_train_begin()
        self._began, self._tokens, self._stopped = time.monotonic(), 0.0, False

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> Any:
        """Do a step; one that reaches the budget is the last, and is saved."""
        batch = super().step(metrics, timing_raw)
        self._tokens += metrics.get("turnwise/sampled_tokens", 0.0)
        if self.global_steps < self.total_training_steps and self._spent().reached(self.recipe.budget):
            self._stopped, self.total_training_steps = True, self.global_steps
            if not self._due("save_freq"):
                self._save_checkpoint()
        return batch

    def _spent(self) -> Spent:
        before = self.config.turnwise.get("spent", {"tokens": 0.0, "seconds": 0.0})
        seconds = time.monotonic() - self._began
        return Spent(tokens=before["tokens"] + self._tokens, seconds=before["seconds"] + seconds)

    def _due(self, name: str) -> bool:
        every = self.config.trainer[name]
        return bool(every > 0 and self.global_steps % every == 0)

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], **kwargs: Any) -> Any:
        """Put the rows into the one order that does not depend on which episode ended first."""
        data = tq.kv_batch_get(batch.keys, partition_id=batch.partition_id, select_fields=["index", "session_id"])
        told = zip(data["index"], data["session_id"], batch.keys, strict=True)
        order = [(int(_plain(index)), int(_plain(sample)), int(key.rpartition("_")[2])) for index, sample, key in told]
        self._check_sessions(batch.keys)
        batch.reorder(sorted(range(len(order)), key=order.__getitem__))
        return super()._balance_batch(batch, metrics, **kwargs)

    def _check_sessions(self, keys: list[str]) -> None:
        """Refuse to train on groups that lack an episode: the agent loop gives every session a row."""
        came = len({key.rpartition("_")[0] for key in keys})
        wanted = self.rl.tasks_per_step * self.rl.group
        if came != wanted:
            raise TrainerError(f"step {self.global_steps}: {wanted - came} of {wanted} episodes ended without a record")

    def _get_required_batch_multiple(self, dp_size: int) -> int:
        return dp_size * self.rl.mini_batches * self.rl.micro_batch

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        computed = {"logprobs": "old_log_probs", "entropy": "entropy"} | (
            {"values": "values"} if self.use_critic else {}
        )
        fields = ["extra_fields", "response_mask", *computed.values()]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        rows = _told(batch, data)
        real = [place for place, row in enumerate(rows) if row is not None]
        self._check(told := [row for row in rows if row is not None])
        arrays = {
            name: [data[field][place].float().cpu().numpy() for place in real] for name, field in computed.items()
        }
        episodes = self._probed(batch, episodes_of(told, arrays), metrics)
        laid = self._credited(episodes, metrics)
        metrics["turnwise/failed_episodes"] = sum(row.failure is not None for row in told)
        output = {name: _nested(rows, arrays, data["response_mask"]) for name, arrays in laid.items()}
        return tq.kv_batch_put(
            keys=batch.keys, partition_id=batch.partition_id, fields=TensorDict(output, batch_size=len(batch))
        )

    def _check(self, told: list[ToldRow]) -> None:
        """End the run in a clear state where there is nothing to learn from, or no place to keep it."""
        lost = next((row.lost for row in told if row.lost), None)
        if lost:
            raise TrainerError(f"step {self.global_steps}: a record could not be kept: {lost}")
        failed = [row.failure for row in told if row.failure is not None]
        if len(failed) == len(told):
            raise TrainerError(f"step {self.global_steps}: all {len(failed)} episodes failed: {failed[0]}")

    def _probed(self, batch: Any, episodes: list[Trajectory], metrics: dict[str, Any]) -> list[Trajectory]:
        """Ask the policy that sampled what the method wants to know of it; what it cannot say leaves the batch."""
        live = [episode for episode in episodes if UNPROBED not in episode.extra]
        metrics["turnwise/unprobed_episodes"] = len(episodes) - len(live)
        if episodes and not live:
            raise TrainerError(f"step {self.global_steps}: no episode could be probed: {episodes[0].extra[UNPROBED]}")
        if "gold_logprob" not in probes_for(self.rl) or not live:
            return live
        episodes = live
        score = PolicyScorer(self.actor_rollout_wg, self.tokenizer, self.rl.micro_batch)
        probed, failures = score.run(batch, episodes, self.config.actor_rollout_ref.rollout.temperature)
        metrics["turnwise/unprobed_episodes"] += len(failures)
        if len(failures) == len(episodes):
            raise TrainerError(f"step {self.global_steps}: no episode could be probed: {failures[0][1]}")
        failed = {episode_id for episode_id, _ in failures}
        return [episode for episode in probed if episode.episode_id not in failed]

    def _credited(
        self, episodes: list[Trajectory], metrics: dict[str, Any]
    ) -> dict[str, dict[tuple[str, int], Floats]]:
        """Return what the losses read, by name, episode and sequence, each of shape (L,)."""
        metrics["turnwise/credited_episodes"] = len(episodes)
        if not episodes:
            return {"advantages": {}, "returns": {}}
        batch = CreditBatch.from_trajectories(episodes)
        credit = pipeline_at(self.rl, self.global_steps).run(batch)
        metrics.update(credit_metrics(credit, batch) | episode_metrics(episodes))
        laid = spread(episodes, batch, credit)
        self._store(episodes, batch, credit, laid)
        found = {"advantages": by_sequence(episodes, laid)}
        if not self.use_critic:
            return found | {"returns": found["advantages"]}
        targets, mask = spread_targets(episodes, batch, credit)
        return found | {"returns": by_sequence(episodes, targets), "value_mask": by_sequence(episodes, mask)}

    def _store(self, episodes: list[Trajectory], batch: CreditBatch, credit: Credit, laid: list[list[Floats]]) -> None:
        """Keep what was computed of each episode, and what it was credited with, by token as the loss gets it."""
        part = self.rl.credit
        rows = [
            CreditRow(
                run=episode.run,
                episode_id=episode.episode_id,
                attempt=episode.attempt,
                method=part.method,
                params=stored_params(self.rl, self.global_steps),
                token_advantages=np.concatenate(arrays).tolist(),
                **numbers,
            )
            for episode, arrays, numbers in zip(episodes, laid, per_episode(batch, credit), strict=True)
        ]
        with Store.open(self.config.turnwise.store, "a") as store:
            store.append([*map(measured, episodes), *rows])

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Update the policy ``mini_batches`` times a pass, however many sequences the episodes came in.

        verl would cut the batch into pieces of a fixed number of rows, so that a context policy that opens sequences
        would change how often the policy is updated.
        """
        actor, coefficients = self.config.actor_rollout_ref.actor, self._coefficients()
        metrics.update({f"turnwise/{name}": value for name, value in coefficients.items()})
        batch.extra_info.update(
            self._passes(batch, actor.ppo_epochs, actor.data_loader_seed)
            | {"calculate_entropy": actor.calculate_entropy or coefficients["entropy_coeff"] != 0.0}
            | {"distillation_use_topk": False, "distillation_only": False}
        )
        output = self.actor_rollout_wg.update_actor(batch)
        found = rename_dict(output["metrics"], "actor/")
        found["perf/mfu/actor"] = found.pop("actor/mfu")
        metrics.update(reduce_metrics(found))
        return batch

    def _coefficients(self) -> dict[str, float]:
        """Return the weights of entropy and KL in this step's loss; where they are scheduled the workers are told."""
        found = {name: self.rl.at(name, self.global_steps) for name in SCHEDULED}
        if any(name in self.rl.schedules for name in SCHEDULED):
            actor = deepcopy(self.config.actor_rollout_ref.actor)
            actor.entropy_coeff, actor.kl_loss_coef = found["entropy_coeff"], found["kl_coeff"]
            self.actor_rollout_wg.set_loss_fn(partial(ppo_loss, config=omega_conf_to_dataclass(actor)))
        return found

    def _update_critic(self, batch: Any, metrics: dict[str, Any]) -> Any:
        critic = self.config.critic
        batch.extra_info.update(self._passes(batch, critic.ppo_epochs, critic.data_loader_seed))
        output = self.critic_wg.train_mini_batch(batch).get()
        found = rename_dict(output["metrics"], "critic/")
        found["perf/mfu/critic"] = found.pop("critic/mfu")
        metrics.update(reduce_metrics(found))
        return batch

    def _passes(self, batch: Any, epochs: int, seed: int) -> dict[str, Any]:
        """Return how the workers go through a batch; what only fills it up counts in no average."""
        trained = sum(not tag.get("is_padding", False) for tag in batch.tags)
        return {
            "global_batch_size": max(1, trained // self.rl.mini_batches),
            "mini_batch_size": len(batch) // self.rl.mini_batches,
            "epochs": epochs,
            "seed": seed,
            "dataloader_kwargs": {"shuffle": False},
            "temperature": self.config.actor_rollout_ref.rollout.temperature,
        }

    def _val_metrics_update(
        self,
        data_sources: Any,
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        *_: Any,
        **__: Any,
    ) -> dict[str, float]:
        """Measure an evaluation, without what failed; verl's own means would count a failure as a score of 0."""
        told = reward_extra_infos_dict
        if len(sample_uids) < len(self.val_dataset) or any(told["lost"]):
            raise TrainerError(f"evaluation after step {self.global_steps}: records were lost; the log says why")
        kept = [place for place, failed in enumerate(told["failed"]) if not failed]
        if not kept:
            raise TrainerError(f"evaluation after step {self.global_steps}: all {len(sample_uids)} episodes failed")
        scores, successes = ([told[name][place] for place in kept] for name in ("score", "success"))
        tasks = [sample_uids[place] for place in kept]
        return panel_metrics(scores, list(map(bool, successes)), tasks, len(sample_uids) - len(kept))

    def _compute_metrics(
        self, batch: Any, metrics: dict[str, Any], timing_raw: dict[str, float], **kwargs: Any
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, **kwargs)
        metrics.update(time_shares(timing_raw, metrics))

    def on_step_end(self) -> None:
        """Send the weights to the rollout servers, and ask ours how many of them the update changed."""
        super().on_step_end()
        if self.recipe.rollout == "transformers":
            servers = [server for replica in self.llm_server_manager.get_replicas() for server in replica.servers]
            changed = ray.get([server.changed_share.remote() for server in servers])
            self._pending_sync_metrics = {"turnwise/update_sparsity": 1.0 - float(np.mean(changed))}
        if self._stopped and not self._due("test_freq"):
            self.on_validate_begin()
            found = self._validate()
            self.on_validate_end()
            self._pending_sync_metrics = (getattr(self, "_pending_sync_metrics", None) or {}) | found


def _told(batch: Any, data: Any) -> list[ToldRow | None]:
    """Return what each row says of itself; a row that fills the batch up carries a copy of another's word."""
    return [
        None if tag.get("is_padding", False) else ToldRow.model_validate_json(_plain(extra)["turnwise"])
        for tag, extra in zip(batch.tags, data["extra_fields"], strict=True)
    ]


def _nested(rows: list[ToldRow | None], laid: dict[tuple[str, int], Floats], masks: Any) -> torch.Tensor:
    """Return each row's part over its response tokens, as verl's queue keeps columns."""
    parts = [
        torch.as_tensor(response_of(row, laid, mask.shape[0]), dtype=torch.float32)
        for row, mask in zip(rows, masks, strict=True)
    ]
    return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def _plain(value: Any) -> Any:
    """Unwrap a column's value: the queue hands out plain objects or wrapped ones."""
    return value.data if isinstance(value, NonTensorData) else value
