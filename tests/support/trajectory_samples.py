"""Whole records to store: every kind of field filled."""

import numpy as np

from turnwise.envs import Observation, Status, StopReason, ToolCall
from turnwise.envs.types import ImagePart, RewardPart, TextPart, ToolResult, ToolSpec
from turnwise.trajectories import (
    Failure,
    PanelRef,
    RunRecord,
    Span,
    TokenSequence,
    Trajectory,
    Turn,
    Usage,
    episode_id,
    group_uid,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
TOOL = ToolSpec(name="search", description="Search.", parameters={"type": "object", "properties": {}})


def a_run(run: str = "r1", **changes: object) -> RunRecord:
    panel = PanelRef(name="p", version="1", split="test", digest="d" * 64)
    return RunRecord(
        **{
            "run": run,
            "env": "guess",
            "env_version": "1",
            "config_digest": "c",
            "agent": "null",
            "panel": panel,
            "created_at": 1.0,
            **changes,
        }
    )


def a_turn(index: int, text: str = "hm", *, image: bytes | None = None) -> Turn:
    parts = (TextPart(text="answer"), *([ImagePart.of(image)] if image else []))
    return Turn(
        index=index,
        text=text,
        calls=(ToolCall(id=f"c{index}", name="search", arguments={"q": text, "none": None, "n": [1, 2.5]}),),
        observation=Observation(results=(ToolResult(call_id=f"c{index}", parts=parts, status=Status.OK),)),
        reward=0.5,
        reward_parts=(RewardPart(name="judge", value=None), RewardPart(name="outcome", value=0.5)),
        state_key="a",
        next_state_key="b",
        action_span=Span(sequence=0, start=1, end=3),
    )


def a_sequence(length: int = 5) -> TokenSequence:
    ids = np.arange(length, dtype="int32") * 1000
    mask = ids % 2000 == 0
    return TokenSequence(
        token_ids=ids, logprobs=-ids / 7.0, source=mask, loss_mask=mask, opened_by="window", tokenizer="t"
    )


def an_episode(
    run: str = "r1", sample: int = 0, *, task: str = "t0", failed: bool = False, **changes: object
) -> Trajectory:
    values: dict[str, object] = {
        "episode_id": episode_id(run=run, step=None, task_key=task, seed=0, sample=sample),
        "run": run,
        "env": "guess",
        "env_version": "1",
        "config_digest": "c",
        "agent": "null",
        "task_id": task,
        "task_key": task,
        "seed": 0,
        "sample": sample,
        "group_uid": group_uid(run=run, step=None, task_key=task, seed=0, hint=None, horizon=None),
        "first_observation": Observation.of("Find it."),
        "tools": (TOOL,),
        "turns": (a_turn(0), a_turn(1, "näh\x00 \u2028", image=PNG)),
        "sequences": (a_sequence(),),
        "stop_reason": StopReason.FAILURE if failed else StopReason.SOLVED,
        "score": None if failed else 1.0,
        "success": None if failed else True,
        "reward": None if failed else 1.0,
        "components": {"outcome": 0.5, "judge": None},
        "limits": {"turns": 5.0, "cost": None},
        "failure": Failure(kind="env", error="EnvError", message="broke") if failed else None,
        "usage": Usage(prompt_tokens=10, completion_tokens=4, cost=0.25, calls=2),
        "tags": ("easy",),
    }
    return Trajectory(**values | changes)


def plain(trajectory: Trajectory) -> dict[str, object]:
    """A trajectory as comparable data: arrays do not compare."""
    return trajectory.model_dump(mode="json")
