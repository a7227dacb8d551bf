"""Gold log-probs (IGPO) by the policy under training: verl's own workers score all turns of a step in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.padding_utils import construct_minimal_padding_template
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.utils.padding import response_from_nested

from turnwise.agents import Conversation
from turnwise.errors import TrainerError
from turnwise.trainers.probes import GoldLogprob
from turnwise.trainers.probes.gold import first_gold, wrapper
from turnwise.trajectories import Trajectory

Failures = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """How likely is the gold answer before a turn?"""

    episode_id: str
    turn: int
    prompt: list[int]
    """What the policy saw before the turn, token for token."""
    before: list[int]
    gold: list[int]


def questions(episode: Trajectory, tokenizer: Any) -> list[Question]:
    """Return the questions of an episode; none where it has no gold answer or a turn without tokens.

    The texts before the answer and the answer are tokenised apart, so that the answer's tokens are exactly its own.
    """
    if not episode.gold_answers or any(turn.action_span is None for turn in episode.turns):
        return []
    before, gold = (tokenizer.encode(text, add_special_tokens=False) for text in (wrapper()[0], first_gold(episode)))
    spans = [turn.action_span for turn in episode.turns if turn.action_span]
    prompts = [episode.sequences[span.sequence].token_ids[: span.start].tolist() for span in spans]
    return [
        Question(episode_id=episode.episode_id, turn=turn, prompt=prompt, before=before, gold=gold)
        for turn, prompt in enumerate(prompts)
    ]


class Answered:
    """A scorer of one episode whose answers are known already.

    Args:
        means: Mean log-prob of the gold answer before each turn.
    """

    def __init__(self, means: dict[int, float]) -> None:
        self.means = means

    async def mean_logprob(self, conversation: Conversation, before: str, gold: str, after: str) -> float:
        """Return the answer for the turn that follows the conversation.

        Raises:
            TrainerError: The policy was not asked, for want of tokens.
        """
        del before, gold, after
        turn = len(conversation.turns)
        if turn not in self.means:
            raise TrainerError(f"turn {turn} has no tokens, so the policy cannot be asked before it")
        return self.means[turn]


class PolicyScorer:
    """Runs the probe on a step's episodes.

    Args:
        workers: verl's actor workers.
        tokenizer: The policy's.
        multiple: How many rows a worker takes at a time.
    """

    def __init__(self, workers: Any, tokenizer: Any, multiple: int) -> None:
        self.workers, self.tokenizer, self.multiple = workers, tokenizer, multiple

    def run(self, batch: Any, episodes: Sequence[Trajectory], temperature: float) -> tuple[list[Trajectory], Failures]:
        """Write the gold log-probs into copies of the episodes.

        Returns:
            The episodes in their order, and the id and reason of each that could not be measured.
        """
        asked = [question for episode in episodes for question in questions(episode, self.tokenizer)]
        means: dict[str, dict[int, float]] = {}
        for question, mean in zip(asked, self._means(batch, asked, temperature) if asked else (), strict=True):
            means.setdefault(question.episode_id, {})[question.turn] = mean
        reports = [
            anyio.run(GoldLogprob(Answered(means.get(episode.episode_id, {}))).run, [episode]) for episode in episodes
        ]
        return [report.trajectories[0] for report in reports], [fail for report in reports for fail in report.failures]

    def _means(self, batch: Any, asked: Sequence[Question], temperature: float) -> list[float]:
        """Put the questions into the queue as rows of their own, let the workers score them, take them out again."""
        place = next(i for i, tag in enumerate(batch.tags) if not tag.get("is_padding", False))
        source = tq.kv_batch_get(keys=[batch.keys[place]], partition_id=batch.partition_id)[0]
        filled = [*asked, *[asked[-1]] * (-len(asked) % (self.multiple * self.workers.world_size))]
        made = [_row(question, source, batch.tags[place], self.tokenizer.eos_token_id) for question in filled]
        keys = [f"gold-{index}" for index in range(len(filled))]
        meta = KVBatchMeta(partition_id=batch.partition_id, keys=keys, tags=[tag for _, tag in made])
        fields = list_of_dict_to_tensordict([row for row, _ in made])
        tq.kv_batch_put(keys=keys, partition_id=batch.partition_id, fields=fields, tags=meta.tags)
        try:
            meta.extra_info.update({"calculate_entropy": False, "compute_loss": False, "temperature": temperature})
            self.workers.compute_log_prob(meta)
            data = tq.kv_batch_get(keys, partition_id=batch.partition_id, select_fields=["log_probs", "response_mask"])
            scored = response_from_nested(data["log_probs"], data["response_mask"])
        finally:
            tq.kv_clear(keys=keys, partition_id=batch.partition_id)
        return [float(row[-len(question.gold) :].mean()) for question, row in zip(asked, scored.unbind(), strict=False)]


def _row(question: Question, source: Any, tag: dict[str, Any], eos: int) -> tuple[dict[str, Any], dict[str, Any]]:
    row, told = construct_minimal_padding_template(source, tag, eos)
    prompt = torch.tensor(question.prompt, dtype=torch.int64)
    response = torch.tensor([*question.before, *question.gold], dtype=torch.int64)
    whole = torch.cat([prompt, response])
    mask = torch.ones_like(response)
    row |= {"prompts": prompt, "responses": response, "input_ids": whole, "response_mask": mask, "loss_mask": mask}
    row |= {"position_ids": torch.arange(len(whole)), "rollout_log_probs": torch.zeros(len(response))}
    row["rm_scores"] = torch.zeros(len(response))
    for name in ("log_probs", "old_log_probs", "ref_log_prob", "entropy", "values", "attention_mask"):
        row.pop(name, None)
    return row, told | {"prompt_len": len(prompt), "response_len": len(response), "seq_len": len(whole)}
