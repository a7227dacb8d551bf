"""The one agent loop: any Turnwise environment, through verl's token server, into records.

An episode that fails (an environment, a sandbox or the server broke) is tried again; if it keeps failing it is handed
to verl as a row without trained tokens, so that the group keeps its size, and its record stays out of the credit.
"""

import json
from pathlib import Path
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from turnwise.agents.chat import Chat, ChatConfig
from turnwise.agents.limits import Limits
from turnwise.agents.rollout import Place, rollout
from turnwise.envs import make
from turnwise.tasks import Task
from turnwise.trainers.recipe import Recipe
from turnwise.trainers.tokenmodel import Answer, Generate, TokenModel
from turnwise.trajectories import Store, Trajectory, stable_seed

ATTEMPTS = 3


class TurnwiseAgentLoop(AgentLoopBase):
    """Runs one episode per call.

    Args:
        recipe: Path of the run's recipe as JSON.
        store: Path of the store every episode goes to.
    """

    def __init__(self, *args: Any, recipe: str, store: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recipe = Recipe.model_validate_json(Path(recipe).read_text(encoding="utf-8"))
        self.store = Path(store)
        part = self.recipe.agent
        self._chat_config = ChatConfig(
            model=self.recipe.name, format=part.format, context=part.context, system=part.system_prompt
        )

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> list[AgentLoopOutput]:
        """Run an episode of the row's task and return one training row per token sequence."""
        training = row["purpose"] == "train"
        record, extra = await self._episode(sampling_params, row, training=training)
        if training and record.sequences:
            return [self._row(record, index, extra) for index in range(len(record.sequences))]
        return [self._summary(record, extra)]

    async def _episode(
        self, sampling_params: dict[str, Any], row: dict[str, Any], *, training: bool
    ) -> tuple[Trajectory, dict[str, Any]]:
        task = Task.model_validate_json(row["task"])
        step, sample = int(row["global_steps"]), int(row["session_id"])
        horizon = self.recipe.rl.horizon.limit(step) if self.recipe.rl else None
        limits = Limits(turns=horizon, context=self.recipe.context_tokens)
        seed = stable_seed(self.recipe.seed, task.key)
        for attempt in range(ATTEMPTS):
            run = self.recipe.name if training else f"{self.recipe.name}-eval-{step}"
            place = Place(run=run, sample=sample, step=step if training else None, attempt=attempt)
            client = self._client(sampling_params, f"{step}-{task.key[:24]}-{sample}-{attempt}")
            async with make(task.env, **self.recipe.env.config) as env:
                record = await rollout(env, Chat(self._chat_config, client=client), task, seed, limits, place=place)
            with Store.open(self.store, "a") as store:
                store.append([record])
            if record.scored:
                break
        return record, client.extra

    def _client(self, sampling_params: dict[str, Any], request_id: str) -> TokenModel:
        async def generate(prompt: list[int], max_tokens: int, seed: int | None) -> Answer:
            params = {**sampling_params, "max_tokens": max_tokens}
            if self.recipe.deterministic:
                params["seed"] = seed
            out = await self.server_manager.generate(request_id=request_id, prompt_ids=prompt, sampling_params=params)
            return Answer(token_ids=list(out.token_ids), logprobs=list(out.log_probs or []), extra=out.extra_fields)

        sampler: Generate = generate
        part = self.recipe.agent
        return TokenModel(
            self.tokenizer, sampler, turn_tokens=part.turn_tokens, context_tokens=self.recipe.context_tokens
        )

    def _row(self, record: Trajectory, index: int, extra: dict[str, Any]) -> AgentLoopOutput:
        sequence = record.sequences[index]
        prompt = int(sequence.loss_mask.argmax())
        trained = record.scored
        mask = [int(flag) if trained else 0 for flag in sequence.loss_mask[prompt:].tolist()]
        logprobs = sequence.logprobs[prompt:].tolist() if sequence.logprobs is not None else [0.0] * len(mask)
        whole = record.model_dump(mode="json") if index == 0 else None
        told = {"episode_id": record.episode_id, "sequence": index, "prompt": prompt, "record": whole}
        return AgentLoopOutput(
            prompt_ids=sequence.token_ids[:prompt].tolist(),
            response_ids=sequence.token_ids[prompt:].tolist(),
            response_mask=mask,
            response_logprobs=logprobs,
            reward_score=record.reward or 0.0,
            num_turns=len(record.turns),
            metrics=AgentLoopMetrics(),
            extra_fields=self._extra(record, extra) | {"turnwise": json.dumps(told)},
        )

    def _summary(self, record: Trajectory, extra: dict[str, Any]) -> AgentLoopOutput:
        """Return an evaluation's row, or a failed episode's: one token that nothing trains on."""
        pad = int(self.tokenizer.pad_token_id or 0)
        told = {"episode_id": record.episode_id, "sequence": 0, "prompt": 1, "record": None}
        return AgentLoopOutput(
            prompt_ids=[pad],
            response_ids=[pad],
            response_mask=[0],
            response_logprobs=[0.0],
            reward_score=record.reward or 0.0,
            num_turns=len(record.turns),
            metrics=AgentLoopMetrics(),
            extra_fields=self._extra(record, extra) | {"turnwise": json.dumps(told)},
        )

    def _extra(self, record: Trajectory, extra: dict[str, Any]) -> dict[str, Any]:
        known = {"global_steps": 0, "min_global_steps": 0, "max_global_steps": 0}
        known |= {name: value for name, value in extra.items() if value is not None}
        info = {"success": float(record.success or False), "failed": float(not record.scored)}
        return known | {"reward_extra_info": info}
