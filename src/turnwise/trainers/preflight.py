"""Says before a run whether it can work: the template, the context budget, the group's variance, the memory."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import numpy as np

from turnwise.errors import TurnwiseError
from turnwise.tasks import Task
from turnwise.trainers.demonstrate import play, rendered_texts
from turnwise.trainers.groupprobe import Groups, probe_groups
from turnwise.trainers.launch import panels
from turnwise.trainers.probes.supply import check_supply
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


def check_recipe(recipe: Recipe, *, probe: bool = True) -> list[Finding]:
    """Look at all that can be known before training; nothing is written.

    Args:
        recipe: What is to be done.
        probe: Let the policy itself make a few groups; it takes minutes at most.
    """
    findings = [*_packages(recipe), *_memory(recipe)]
    try:
        tasks = list(panels(recipe.env)[0])
        if recipe.rl is not None:
            check_supply(recipe.rl, tasks)
        episodes = anyio.run(play, recipe, tasks[:PROBED])
        findings += _tasks(episodes)
        episodes = [episode for episode in episodes if episode.scored and episode.turns]
        if episodes:
            findings += [*_budget(recipe, episodes), *_template(recipe, episodes)]
        if probe and recipe.rl is not None and not any(found.verdict == "error" for found in findings):
            findings.append(_groups(recipe, tasks, episodes))
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


def _tasks(episodes: Sequence[Trajectory]) -> list[Finding]:
    scored = [episode for episode in episodes if episode.scored]
    failures = [episode.failure.message for episode in episodes if episode.failure]
    findings = []
    if failures:
        verdict: Literal["warn", "error"] = "warn" if 2 * len(failures) < len(episodes) else "error"
        findings.append(Finding("failures", verdict, f"{len(failures)} of {len(episodes)} failed: {failures[0]}"))
    if scored:
        solved = float(np.mean([bool(episode.success) for episode in scored]))
        told = f"gold solves {solved:.0%} of {len(scored)} tasks"
        findings.append(Finding("environment", "ok" if solved == 1 else "warn", told))
    return findings


def _budget(recipe: Recipe, episodes: Sequence[Trajectory]) -> list[Finding]:
    if recipe.rl is None:
        return []
    needed = max(len(episode.turns) for episode in episodes)
    first = recipe.rl.horizon.turns[0]
    if needed > recipe.rl.horizon.turns[-1]:
        told = f"gold needs {needed} turns, the horizon ends at {recipe.rl.horizon.turns[-1]}: "
        if recipe.sft is not None and recipe.sft.skip_share is not None:
            # Two ways are shown on purpose; which one fits is what the reward tells.
            return [Finding("horizon", "warn", told + "only the gold that sft.skip_tools shortens can end in time")]
        return [Finding("horizon", "error", told + "raise rl.horizon.turns")]
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
    from turnwise.trainers.tiny import TinyModel, tiny_tokenizer

    if recipe.model.path is None:
        size = recipe.model.tiny or TinyModel()
        return tiny_tokenizer(rendered_texts(recipe.agent, episodes), size.vocab_size)
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(recipe.model.path)
    except (OSError, ValueError) as error:
        raise TurnwiseError(f"cannot load the tokenizer of {recipe.model.path!r}: {error}") from error


def _groups(recipe: Recipe, tasks: Sequence[Task], episodes: Sequence[Trajectory]) -> Finding:
    """Let the policy make a few groups, where there is one already."""
    if recipe.model.path is None and recipe.sft is not None:
        told = "a tiny model is made by the run: the evaluation after its supervised start tells what it can do"
        return Finding("groups", "ok", told)
    with tempfile.TemporaryDirectory() as folder:
        try:
            policy = recipe.model.path or _tiny(recipe, episodes, Path(folder) / "tiny")
            return judged(probe_groups(recipe, tasks, policy), before_sft=recipe.sft is not None)
        except (OSError, ValueError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            return Finding("groups", "warn", f"the policy could not be tried: {type(error).__name__}: {why}")


def _tiny(recipe: Recipe, episodes: Sequence[Trajectory], folder: Path) -> Path:
    from turnwise.trainers.tiny import build_tiny

    return build_tiny(folder, rendered_texts(recipe.agent, episodes), recipe.model.tiny)


def judged(groups: Groups, *, before_sft: bool) -> Finding:
    """Say what the policy's groups mean for training, and what to do."""
    if not groups.flat:
        reason = groups.failed[0].failure if groups.failed else None
        told = f"all failed: {reason.message}" if reason else f"none was complete after {groups.seconds:.0f} s"
        return Finding("groups", "warn", f"no group could be looked at; {told}")
    told = (
        f"{groups.success:.0%} success in {len(groups.scored)} episodes; {sum(groups.flat)} of {len(groups.flat)} "
        f"groups without variance in reward ({groups.tokens_per_second:.0f} tokens/s)"
    )
    if before_sft:
        return Finding("groups", "ok", f"{told}, before the supervised start")
    if np.mean(groups.flat) <= 0.5:
        return Finding("groups", "ok", told)
    return Finding("groups", "warn", f"{told}: {_EASIER if groups.success < 0.5 else _HARDER}")


_EASIER = (
    "groups that all fail alike teach nothing; begin with sft, take easier tasks (env.max_difficulty, knobs), "
    "or pay partial rewards (env.config rewards)"
)
_HARDER = "groups that all succeed alike teach nothing; take harder tasks"
