"""Tells verl of the ``transformers`` rollout engine; what it names is imported when a server starts."""

from typing import Any

from verl.workers.rollout import base, replica

NAME = "turnwise"


def _load() -> Any:
    from turnwise.trainers.verl.server import TransformersReplica

    return TransformersReplica


base._ROLLOUT_REGISTRY[(NAME, "async")] = "turnwise.trainers.verl.server.WeightSync"
replica.RolloutReplicaRegistry.register(NAME, _load)
