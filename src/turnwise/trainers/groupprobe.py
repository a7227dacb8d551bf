"""A look at the policy before training: does it succeed at times, and do the episodes of a group differ?

Groups whose episodes all earn the same teach nothing under a method that compares them.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np

from turnwise.tasks import Task
from turnwise.trainers.episodes import Ask, EpisodeMaker
from turnwise.trainers.recipe import Recipe
from turnwise.trajectories import Trajectory

GROUPS = 4
SAMPLES = 8
SECONDS = 300.0
"""After so long the probe says what it has seen so far."""


@dataclass
class Groups:
    """What the policy did with a few groups."""

    episodes: dict[str, list[Trajectory]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def scored(self) -> list[Trajectory]:
        """The episodes that did not fail."""
        return [episode for group in self.episodes.values() for episode in group if episode.scored]

    @property
    def failed(self) -> list[Trajectory]:
        """The episodes that failed."""
        return [episode for group in self.episodes.values() for episode in group if not episode.scored]

    @property
    def success(self) -> float:
        """Share of the scored episodes that succeeded."""
        return float(np.mean([bool(episode.success) for episode in self.scored])) if self.scored else 0.0

    @property
    def flat(self) -> list[bool]:
        """Of each group with two scored episodes or more: whether all earned the same."""
        rewards = [[e.reward for e in group if e.scored and e.reward is not None] for group in self.episodes.values()]
        return [float(np.ptp(group)) == 0.0 for group in rewards if len(group) > 1]

    @property
    def tokens_per_second(self) -> float:
        """Sampled tokens a second, over all episodes."""
        sampled = sum(episode.usage.completion_tokens for episode in [*self.scored, *self.failed])
        return sampled / max(self.seconds, 1e-6)


class _Server:
    """Our batched generation behind the interface of verl's servers."""

    def __init__(self, model: Any, tokenizer: Any, longest: int) -> None:
        from turnwise.trainers.generate import BatchedGenerator

        positions = min(longest, int(model.config.max_position_embeddings))
        self.engine = BatchedGenerator(model, tokenizer, max_positions=positions)

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        from turnwise.trainers.generate import Sampling

        got = await self.engine.generate(prompt_ids, Sampling(**sampling_params))
        return SimpleNamespace(token_ids=got.token_ids, log_probs=got.logprobs, extra_fields={})


def probe_groups(recipe: Recipe, tasks: Sequence[Task], policy: str | Path, *, seconds: float = SECONDS) -> Groups:
    """Let the policy make a few groups by the ``transformers`` engine.

    Args:
        recipe: The run's recipe.
        tasks: One group is made of each of the first few.
        policy: Folder or name of the model.
        seconds: What the probe may take; groups that are not complete by then count as far as they are.

    Raises:
        OSError: The model cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.float32 if recipe.device == "cpu" else torch.bfloat16
    model = AutoModelForCausalLM.from_pretrained(policy, dtype=dtype).to(recipe.device)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    with tempfile.TemporaryDirectory() as folder:
        server = _Server(model, tokenizer, recipe.context_tokens)
        maker = EpisodeMaker(recipe, Path(folder) / "probe.db", tokenizer, server)
        return anyio.run(_groups, maker, list(tasks)[:GROUPS], min(SAMPLES, _group(recipe)), seconds)


def _group(recipe: Recipe) -> int:
    return recipe.rl.group if recipe.rl is not None else SAMPLES


async def _groups(maker: EpisodeMaker, tasks: Sequence[Task], samples: int, seconds: float) -> Groups:
    found, began = Groups(), time.monotonic()
    part = maker.recipe.agent
    sampling: Mapping[str, Any] = {"temperature": part.temperature, "top_p": part.top_p, "top_k": part.top_k}

    async def one(task: Task, sample: int) -> None:
        record = await maker.episode(Ask(task=task, step=0, sample=sample, purpose="eval"), sampling)
        found.episodes.setdefault(task.key, []).append(record)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for task in tasks:
                for sample in range(samples):
                    group.start_soon(one, task, sample)
    found.seconds = time.monotonic() - began
    return found
