"""verl's replay buffer, which also notices when nobody is left to fill it."""

from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from turnwise.errors import TrainerError

POLL_S = 0.2


class WatchfulBuffer(ReplayBuffer):
    """Waits for episodes as long as the actors that make them live.

    Attributes:
        watched: Returns the actors.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, poll_interval=POLL_S)
        self.watched: Callable[[], Sequence[Any]] = tuple
        self._asked: dict[Any, Any] = {}

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        self._check()
        waited: float = super()._wait_for_next_poll(partition_id, last_debug_time)
        return waited

    def _check(self) -> None:
        """Look whether an actor has died; a busy one answers later.

        Raises:
            TrainerError: One has.
        """
        for actor in self.watched():
            if actor not in self._asked:
                self._asked[actor] = actor.__ray_ready__.remote()
        waiting = {reference: actor for actor, reference in self._asked.items()}
        if not waiting:
            return
        answered, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in answered:
            del self._asked[waiting[reference]]
            try:
                ray.get(reference)
            except RayActorError as error:
                told = str(error).partition("\n")[0]
                raise TrainerError(f"a rollout server or a worker of the agent loop died: {told}") from error
