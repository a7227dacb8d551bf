"""Says before a run whether it can work: the template, the context budget, the group's variance, the memory."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import numpy as np

from turnwise.errors import TurnwiseError
from turnwise.trainers.recipe import Recipe
from turnwise.trajectories import Trajectory

PROBED = 8
"""Tasks that are looked at."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    about: str
    verdict: Literal["ok", "warn", "error"]
    told: str


def check_recipe(recipe: Recipe) -> list[Finding]:
    """Look at all that can be known before training; nothing is written."""
    findings = [*_packages(recipe), *_memory(recipe)]
    try:
        episodes = _probe(recipe)
        findings += [*_tasks(episodes), *_budget(recipe, episodes), *_template(recipe, episodes)]
    except TurnwiseError as error:
        findings.append(Finding("tasks", "error", str(error)))
    return findings


def _packages(recipe: Recipe) -> list[Finding]:
    import importlib.util

    wanted = ["torch", "verl", "transformers", "transfer_queue"] + (["vllm"] if recipe.rollout == "vllm" else [])
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        return [Finding("packages", "error", f"not installed: {', '.join(missing)}: pip install 'turnwise[train]'")]
    if recipe.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            return [Finding("device", "error", "no GPU is visible to torch; set device: cpu, or install CUDA's torch")]
    return [Finding("packages", "ok", "all there")]


def _memory(recipe: Recipe) -> list[Finding]:
    if recipe.device == "cuda":
        return []
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    told = f"{free:.1f} GiB of memory are free; verl's processes take about 7 GiB beside the model"
    return [Finding("memory", "ok" if free > 8 else "warn", told)]


def _probe(recipe: Recipe) -> list[Trajectory]:
    """Run the oracle on a few tasks."""
    from turnwise.trainers.demonstrate import play
    from turnwise.trainers.launch import panels

    train, _ = panels(recipe.env)
    return anyio.run(play, recipe, list(train)[:PROBED])


def _tasks(episodes: Sequence[Trajectory]) -> list[Finding]:
    failed = [episode for episode in episodes if not episode.scored]
    if failed and failed[0].failure:
        return [
            Finding("environment", "error", f"{len(failed)} of {len(episodes)} failed: {failed[0].failure.message}")
        ]
    solved = np.mean([bool(episode.success) for episode in episodes])
    return [
        Finding("environment", "ok" if solved == 1 else "warn", f"gold solves {solved:.0%} of {len(episodes)} tasks")
    ]


def _budget(recipe: Recipe, episodes: Sequence[Trajectory]) -> list[Finding]:
    if recipe.rl is None:
        return []
    needed = max(len(episode.turns) for episode in episodes)
    first = recipe.rl.horizon.turns[0]
    if needed > recipe.rl.horizon.turns[-1]:
        told = f"gold needs {needed} turns, the horizon ends at {recipe.rl.horizon.turns[-1]}: raise rl.horizon.turns"
        return [Finding("horizon", "error", told)]
    return [
        Finding(
            "horizon", "ok" if needed <= first else "warn", f"gold needs {needed} turns, the first limit is {first}"
        )
    ]


def _template(recipe: Recipe, episodes: Sequence[Trajectory]) -> list[Finding]:
    from turnwise.trainers.demonstrate import sequences_of
    from turnwise.trainers.tokenchat import TokenChat, preflight

    tokenizer = _tokenizer(recipe, episodes)
    report = preflight(tokenizer)
    appends = report.appends_with_tools if recipe.agent.format == "native" else report.appends
    findings = [
        Finding("template", "ok" if appends else "warn", "; ".join(report.notes) or "append-only, with tools too")
    ]
    chat = TokenChat(tokenizer)
    laid = [anyio.run(sequences_of, episode, recipe.agent, chat) for episode in episodes]
    longest = max(len(sequence) for each in laid for sequence in each)
    first = max(int(each[0].loss_mask.argmax()) for each in laid)
    return [
        *findings,
        _fits("context_tokens", longest, recipe.context_tokens, "tokens of gold's longest sequence"),
        _fits("prompt_tokens", first, recipe.prompt_tokens, "tokens of the longest first prompt"),
    ]


def _fits(name: str, needed: int, given: int, what: str) -> Finding:
    if needed > given:
        return Finding(name, "error", f"{needed} {what}, {name} is {given}: raise it")
    return Finding(name, "ok" if needed * 1.3 <= given else "warn", f"{needed} {what}, {name} is {given}")


def _tokenizer(recipe: Recipe, episodes: Sequence[Trajectory]) -> Any:
    from turnwise.trainers.demonstrate import rendered_texts
    from turnwise.trainers.tiny import TinyModel, tiny_tokenizer

    if recipe.model.path is None:
        size = recipe.model.tiny or TinyModel()
        return tiny_tokenizer(rendered_texts(recipe.agent, episodes), size.vocab_size)
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(recipe.model.path)
    except (OSError, ValueError) as error:
        raise TurnwiseError(f"cannot load the tokenizer of {recipe.model.path!r}: {error}") from error
