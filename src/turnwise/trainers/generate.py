"""Token-in, token-out generation on ``transformers``, batched: the rollout engine for machines without vLLM.

Requests that arrive within a few milliseconds of each other run as one left-padded batch with a KV cache. Each request
samples from its own random stream, so what it draws depends on its seed and not on its neighbours; padding can still
change the last bits of the logits, so ``max_batch=1`` is what makes two runs equal token for token.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from turnwise.errors import ConfigError, ModelError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample one answer."""

    max_tokens: int = 256
    temperature: float = 1.0
    """0: greedy."""
    top_p: float = 1.0
    top_k: int = -1
    """-1: off."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One answer."""

    token_ids: list[int]
    logprobs: list[float]
    """Log-probability of each token under the temperature-scaled distribution, before top-p and top-k."""
    finish: Literal["stop", "length"]


@dataclass
class _Row:
    prompt: list[int]
    sampling: Sampling
    future: "asyncio.Future[Sampled]"
    generator: torch.Generator
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def done(self, finish: Literal["stop", "length"]) -> Sampled:
        return Sampled(token_ids=self.token_ids, logprobs=self.logprobs, finish=finish)


class BatchedGenerator:
    """Owns a causal language model and answers requests in batches.

    Args:
        model: A ``transformers`` causal language model.
        tokenizer: Its tokenizer; used for stop strings only.
        max_batch: Most rows that run together.
        window_s: Seconds to wait for further requests before a batch starts.
        max_positions: Longest prompt plus answer, in tokens; by default the model's own.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_batch: int = 64,
        window_s: float = 0.004,
        max_positions: int | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_batch = max_batch
        self.window_s = window_s
        self.max_positions = max_positions or int(model.config.max_position_embeddings)
        self.eos = _eos_ids(model, tokenizer)
        self._queue: asyncio.Queue[_Row] = asyncio.Queue()
        self._lock = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> Sampled:
        """Sample one answer.

        Raises:
            ConfigError: The prompt leaves no room for an answer.
            ModelError: The model failed.
        """
        if not prompt or len(prompt) >= self.max_positions:
            raise ConfigError(
                f"a prompt of {len(prompt)} tokens does not fit a model of {self.max_positions} positions"
            )
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._serve())
        row = _Row(list(prompt), sampling, asyncio.get_running_loop().create_future(), self._stream(sampling))
        await self._queue.put(row)
        return await row.future

    async def load_weights(self, named: Iterable[tuple[str, torch.Tensor]]) -> int:
        """Replace weights by name, between two batches.

        Returns:
            How many tensors were loaded.

        Raises:
            ModelError: A name is not one of the model's.
        """
        async with self._lock:
            own = self.model.state_dict()
            count = 0
            for name, tensor in named:
                if name not in own:
                    raise ModelError(
                        f"the rollout model has no weight {name!r}; trainer and rollout load different models"
                    )
                own[name].copy_(tensor.to(own[name].dtype))
                count += 1
            return count

    async def aclose(self) -> None:
        """Stop; what still waits is cancelled."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _serve(self) -> None:
        while True:
            rows = [await self._queue.get()]
            if self.max_batch > 1:
                await asyncio.sleep(self.window_s)
            while len(rows) < self.max_batch and not self._queue.empty():
                rows.append(self._queue.get_nowait())
            async with self._lock:
                await self._run(rows)

    async def _run(self, rows: list[_Row]) -> None:
        try:
            answers = await asyncio.to_thread(self._answer, rows)
        except Exception as error:  # noqa: BLE001 - whatever broke belongs to the callers that wait
            for row in rows:
                if not row.future.done():
                    row.future.set_exception(ModelError(f"generation failed: {type(error).__name__}: {error}"))
            return
        for row, answer in zip(rows, answers, strict=True):
            if not row.future.done():
                row.future.set_result(answer)

    def _answer(self, rows: list[_Row]) -> list[Sampled]:
        with torch.no_grad():
            return self._decode(rows)

    def _decode(self, rows: list[_Row]) -> list[Sampled]:
        answers: dict[int, Sampled] = {}
        alive = list(range(len(rows)))
        ids, mask = self._padded([row.prompt for row in rows])
        cache: Any = None
        while alive:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            out = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            drawn = _draw([rows[i] for i in alive], out.logits[:, -1].float())
            kept = []
            for place, i in enumerate(alive):
                finish = self._finish(rows[i])
                if finish is None:
                    kept.append(place)
                else:
                    answers[i] = rows[i].done(finish)
            if len(kept) < len(alive) and kept:
                index = torch.tensor(kept, device=ids.device)
                cache.batch_select_indices(index)
                mask = mask[index]
            alive = [alive[place] for place in kept]
            ids = torch.tensor([[drawn[place]] for place in kept], device=ids.device)
            mask = torch.cat([mask, mask.new_ones(len(kept), 1)], dim=1) if kept else mask
        return [answers[i] for i in range(len(rows))]

    def _padded(self, prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(map(len, prompts))
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, prompt in enumerate(prompts):
            ids[place, width - len(prompt) :] = torch.tensor(prompt)
            mask[place, width - len(prompt) :] = 1
        return ids.to(self.model.device), mask.to(self.model.device)

    def _finish(self, row: _Row) -> Literal["stop", "length"] | None:
        last = row.token_ids[-1]
        if last in self.eos or last in row.sampling.stop_token_ids or self._stops(row):
            return "stop"
        room = self.max_positions - len(row.prompt)
        return "length" if len(row.token_ids) >= min(row.sampling.max_tokens, room) else None

    def _stops(self, row: _Row) -> bool:
        if not row.sampling.stop:
            return False
        longest = max(map(len, row.sampling.stop))
        tail = self.tokenizer.decode(row.token_ids[-longest - 4 :])
        return any(stop in tail for stop in row.sampling.stop)

    @staticmethod
    def _stream(sampling: Sampling) -> torch.Generator:
        generator = torch.Generator()
        if sampling.seed is None:
            generator.seed()
        else:
            generator.manual_seed(sampling.seed)
        return generator


def _draw(rows: Sequence[_Row], logits: torch.Tensor) -> list[int]:
    """Sample one token for each row, rows of equal settings together, and note it; ``logits``: shape (B, V)."""
    alike: dict[tuple[float, float, int], list[int]] = {}
    for place, row in enumerate(rows):
        alike.setdefault((row.sampling.temperature, row.sampling.top_p, row.sampling.top_k), []).append(place)
    for places in alike.values():
        chosen = [rows[place] for place in places]
        part = logits if len(places) == len(rows) else logits[places]
        tokens, logprobs = _drawn(chosen, part)
        for row, token, logprob in zip(chosen, tokens, logprobs, strict=True):
            row.token_ids.append(token)
            row.logprobs.append(logprob)
    return [row.token_ids[-1] for row in rows]


def _drawn(rows: Sequence[_Row], logits: torch.Tensor) -> tuple[list[int], list[float]]:
    """Sample by inverting the distribution function at one number from each row's own stream."""
    sampling = rows[0].sampling
    logprobs = torch.log_softmax(logits / (sampling.temperature or 1.0), dim=-1)
    if sampling.temperature == 0:
        tokens = logprobs.argmax(-1)
    else:
        mass = _truncated(logprobs, sampling).double().exp().cumsum(-1)
        at = torch.stack([torch.rand((), dtype=torch.float64, generator=row.generator) for row in rows]).to(mass.device)
        whole = mass[:, -1:]
        # A number that rounds to the whole mass would name the last token, whether it has any or not.
        below = torch.nextafter(whole, torch.zeros_like(whole))
        tokens = torch.searchsorted(mass, (at[:, None] * whole).minimum(below), right=True)[:, 0]
    return tokens.tolist(), logprobs.gather(1, tokens[:, None])[:, 0].tolist()


def _truncated(logprobs: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Set what top-k and top-p cut to minus infinity; shape (B, V)."""
    kept = logprobs
    if sampling.top_k > 0:
        edge = torch.topk(kept, min(sampling.top_k, kept.shape[-1])).values[:, -1:]
        kept = kept.masked_fill(kept < edge, -torch.inf)
    if sampling.top_p < 1.0:
        ordered, order = kept.sort(descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        cut = torch.zeros_like(kept, dtype=torch.bool).scatter(-1, order, before >= sampling.top_p)
        kept = kept.masked_fill(cut, -torch.inf)
    return kept


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)
