"""The ``transformers`` engine as a verl rollout server: a Ray actor that owns a copy of the policy."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

from turnwise.trainers.generate import BatchedGenerator, Sampling

CHUNK_BYTES = 256 << 20
"""Weights travel in messages of about this size, so that a large model is never in memory twice."""


def actor_name(replica_rank: int) -> str:
    """Name of the server's Ray actor."""
    return f"turnwise_rollout_{replica_rank}"


def sampling_of(params: dict[str, Any], room: int) -> Sampling:
    """Read verl's sampling parameters.

    Args:
        params: As verl hands them to a server.
        room: Tokens that an answer may have at most.
    """
    asked = params.get("max_tokens") or params.get("max_new_tokens") or room
    return Sampling(
        max_tokens=max(1, min(int(asked), room)),
        temperature=float(params.get("temperature", 1.0)),
        top_p=float(params.get("top_p", 1.0)),
        top_k=int(params.get("top_k", -1)),
        seed=params.get("seed"),
        stop=tuple(params.get("stop") or ()),
        stop_token_ids=tuple(params.get("stop_token_ids") or ()),
    )


class TransformersServer:
    """Answers verl's server calls; those about devices and profiles have nothing to do here."""

    def __init__(self, path: str, *, dtype: str, device: str, max_positions: int, max_batch: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).to(device)
        tokenizer = AutoTokenizer.from_pretrained(path)
        longest = min(max_positions, int(model.config.max_position_embeddings))
        self.engine = BatchedGenerator(model, tokenizer, max_batch=max_batch, max_positions=longest)
        self.global_steps: int | None = None
        self._changed = self._compared = 0
        self._share = 1.0

    def ping(self) -> int:
        """Return the process id, once the model is loaded."""
        return os.getpid()

    async def generate(
        self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_media: Any
    ) -> TokenOutput:
        """Sample one answer for a prompt of tokens."""
        prompt = list(prompt_ids)
        room = self.engine.max_positions - len(prompt)
        answer = await self.engine.generate(prompt, sampling_of(dict(sampling_params), room))
        return TokenOutput(
            token_ids=answer.token_ids,
            log_probs=answer.logprobs,
            stop_reason="completed" if answer.finish == "stop" else "length",
            extra_fields={"global_steps": self.global_steps},
        )

    async def load_weights(self, named: list[tuple[str, torch.Tensor]]) -> int:
        """Replace weights by name."""
        own = self.engine.model.state_dict()
        for name, tensor in named:
            if name in own:
                self._changed += int((tensor.to(own[name].device, own[name].dtype) != own[name]).sum())
                self._compared += tensor.numel()
        return await self.engine.load_weights(named)

    async def set_global_steps(self, global_steps: int) -> None:
        """Remember which policy the weights are; all of them have come."""
        self.global_steps = global_steps
        self._share = self._changed / max(self._compared, 1)
        self._changed = self._compared = 0

    def changed_share(self) -> float:
        """Return the share of the weights that the last update changed, in the precision of the rollout."""
        return self._share

    async def wake_up(self, **_: Any) -> None:
        """Always awake."""

    async def sleep(self, **_: Any) -> None:
        """Keeps its weights."""

    async def clear_kv_cache(self) -> None:
        """Caches live for one batch only."""

    async def release_kv_cache(self) -> None:
        """Caches live for one batch only."""

    async def resume_kv_cache(self) -> None:
        """Caches live for one batch only."""

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        """Batches end by themselves."""

    async def resume_generation(self) -> None:
        """Never paused."""

    async def start_profile(self, **_: Any) -> None:
        """No profiler."""

    async def stop_profile(self, **_: Any) -> None:
        """No profiler."""


class TransformersReplica(RolloutReplica):
    """Starts the server of one replica."""

    async def launch_servers(self) -> None:
        """Start the actor and wait until its model is loaded."""
        options: dict[str, Any] = {"num_cpus": 0.1, "max_concurrency": self.max_concurrency}
        device = os.environ.get("TURNWISE_ROLLOUT_DEVICE", "cpu")
        if device != "cpu":
            options |= await self._beside_worker()
        server = ray.remote(TransformersServer).options(name=actor_name(self.replica_rank), **options)
        handle = server.remote(
            self.model_config.get("local_path", None) or self.model_config.path,
            dtype="float32" if device == "cpu" else "bfloat16",
            device=device,
            max_positions=int(self.config.prompt_length) + int(self.config.response_length),
            max_batch=1 if self.config.full_determinism else int(self.config.max_num_seqs),
        )
        await handle.ping.remote()
        self.servers = [handle]
        self._server_handle = handle
        self._server_address = f"turnwise:{self.replica_rank}"

    async def _beside_worker(self) -> dict[str, Any]:
        """Share the accelerator of the trainer's worker, which holds it for Ray."""
        worker = self.workers[0]
        ids = await worker.__ray_call__.remote(lambda _self: ray.get_runtime_context().get_accelerator_ids()["GPU"])
        visible = {"env_vars": {"CUDA_VISIBLE_DEVICES": ",".join(ids)}}
        return {"num_gpus": 0, "runtime_env": visible}


class WeightSync(BaseRollout):
    """The trainer's side: sends the policy's weights to the server after each update."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1) -> None:
        super().__init__(config, model_config, device_mesh)
        self.rank = int(os.environ["RANK"]) if replica_rank == -1 else replica_rank
        self._server: Any = None

    async def resume(self, tags: list[str]) -> None:
        """Nothing was released."""

    async def release(self) -> None:
        """Nothing to release."""

    async def update_weights(
        self, weights: Iterable[tuple[str, torch.Tensor]], global_steps: int | None = None, **_: Any
    ) -> None:
        """Send the weights, a chunk at a time."""
        if self._server is None:
            self._server = ray.get_actor(actor_name(self.rank))
        for chunk in chunks(weights):
            await self._server.load_weights.remote(chunk)
        if global_steps is not None:
            await self._server.set_global_steps.remote(global_steps)


def chunks(weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Cut a stream of named weights into lists of about ``CHUNK_BYTES``, on the CPU."""
    held: list[tuple[str, torch.Tensor]] = []
    size = 0
    for name, tensor in weights:
        copied = tensor.detach().to("cpu", copy=True)
        held.append((name, copied))
        size += copied.numel() * copied.element_size()
        if size >= CHUNK_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
