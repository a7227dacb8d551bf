"""Every key of a recipe reaches verl, or a named part of ours that reads it."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from turnwise.trainers.launch import explained
from turnwise.trainers.recipe import Recipe, parse_recipe
from turnwise.trainers.tiny import TinyModel

FULL: dict[str, Any] = {
    "name": "whole",
    "env": {"name": "sql"},
    "model": {"path": "some/model", "lora": {}},
    "sft": {},
    "rl": {
        "steps": 8,
        "credit": {"method": "turn_gae"},
        "critic": {},
        "lr_schedule": {"kind": "cosine"},
        "kl_coeff": 0.1,
    },
    "device": "cuda",
}
"""A recipe that takes every path at once, as far as they go together."""

CHANGED: dict[str, Any] = {
    "name": "other",
    "model.path": "another/model",
    "model.gradient_checkpointing": True,
    "model.remove_padding": True,
    "model.attention": "eager",
    "model.lora.rank": 4,
    "model.lora.alpha": 8,
    "model.lora.target_modules": "q_proj",
    "agent.temperature": 0.5,
    "agent.eval_temperature": 0.0,
    "agent.top_p": 0.9,
    "agent.top_k": 5,
    "sft.epochs": 3,
    "sft.batch": 7,
    "sft.micro_batch": 7,
    "sft.lr": 0.5,
    "sft.steps": 7,
    "rl.steps": 9,
    "rl.tasks_per_step": 16,
    "rl.group": 3,
    "rl.lr": 0.5,
    "rl.lr_schedule.kind": "constant",
    "rl.lr_schedule.warmup_steps": 3,
    "rl.lr_schedule.end_share": 0.25,
    "rl.critic.lr": 0.5,
    "rl.critic.clip": 0.25,
    "rl.critic.warmup_steps": 3,
    "rl.mini_batches": 2,
    "rl.epochs": 2,
    "rl.micro_batch": 2,
    "rl.clip": 0.5,
    "rl.clip_high": 0.5,
    "rl.loss": "gspo",
    "rl.aggregation": "seq-mean-token-sum",
    "rl.entropy_coeff": 0.5,
    "rl.kl_coeff": 0.5,
    "rl.grad_clip": 0.5,
    "rl.eval_every": 2,
    "rl.save_every": 2,
    "context_tokens": 4096,
    "prompt_tokens": 512,
    "rollout": "vllm",
    "gpus": 2,
    "seed": 5,
    "deterministic": True,
    "loggers": ["tensorboard"],
}
"""Keys that verl is told of, each with another value than in the whole recipe."""

READ: dict[str, str] = {
    "env.name": "launch",
    "env.config": "episodes",
    "env.panel": "launch",
    "env.split": "launch",
    "env.max_difficulty": "launch",
    "env.tags": "launch",
    "env.tasks": "launch",
    "env.eval_split": "launch",
    "env.eval_tasks": "launch",
    "env.attempts": "episodes",
    "env.call_seconds": "episodes",
    "env.generator.name": "launch",
    "env.generator.knobs": "launch",
    "env.generator.seed": "launch",
    "env.generator.train": "launch",
    "env.generator.eval": "launch",
    "agent.format": "episodes",
    "agent.context": "episodes",
    "agent.system_prompt": "episodes",
    "agent.turn_tokens": "episodes",
    "agent.message_seconds": "episodes",
    "sft.source": "demonstrate",
    "sft.min_score": "demonstrate",
    "sft.skip_tools": "demonstrate",
    "sft.skip_share": "demonstrate",
    "rl.credit.method": "crediting",
    "rl.credit.params": "crediting",
    "rl.credit.statistics": "crediting",
    "rl.credit.reward_weights": "crediting",
    "rl.credit.whiten": "crediting",
    "rl.credit.clip": "crediting",
    "rl.credit.purify": "crediting",
    "rl.credit.modulate": "crediting",
    "rl.schedules": "crediting",
    "rl.probe.branches": "liveprobes",
    "rl.probe.permutations": "liveprobes",
    "rl.horizon.at": "recipe",
    "rl.horizon.turns": "recipe",
    "budget.tokens": "recipe",
    "budget.seconds": "budget",
    "budget.sft_share": "recipe",
    "stall_seconds": "launch",
    "threads": "verl.config",
    "device": "verl.config",
    "output": "cli",
    **{f"model.tiny.{name}": "tiny" for name in TinyModel.model_fields},
}
"""Keys that verl is not told of, each with our module that reads it."""


def parts(hint: Any) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    elif get_origin(hint) in (UnionType, Union):
        for option in get_args(hint):
            if option is not NoneType:
                yield from parts(option)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a recipe that is no section."""
    for name, info in model.model_fields.items():
        below = list(parts(info.annotation))
        if below:
            yield from keys(below[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def changed(key: str, value: Any) -> Recipe:
    document = parse_recipe(FULL, "test").model_dump(exclude_unset=True)
    node, names = document, key.split(".")
    for name in names[:-1]:
        node = node.setdefault(name, {})
    node[names[-1]] = value
    return parse_recipe(document, "test")


def test_no_key_is_without_a_reader() -> None:
    assert set(keys(Recipe)) == set(CHANGED) | set(READ)
    assert not set(CHANGED) & set(READ)


@pytest.mark.parametrize("key", CHANGED)
def test_verl_is_told(key: str, tmp_path: Path) -> None:
    before = explained(parse_recipe(FULL, "test"), tmp_path)
    assert explained(changed(key, CHANGED[key]), tmp_path) != before


@pytest.mark.parametrize("key", READ)
def test_our_part_reads_it(key: str) -> None:
    name = READ[key]
    module = importlib.import_module("turnwise.cli.train" if name == "cli" else f"turnwise.trainers.{name}")
    tree = ast.parse(inspect.getsource(module))
    wanted = key.rpartition(".")[2]
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert wanted in read | named
