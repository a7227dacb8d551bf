"""The one agent loop: any Turnwise environment, through verl's token server, into records and training rows."""

from pathlib import Path
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from turnwise.errors import StoreError
from turnwise.tasks import Task
from turnwise.trainers.episodes import Ask, EpisodeMaker
from turnwise.trainers.recipe import Recipe
from turnwise.trainers.rows import ToldRow, told_rows
from turnwise.trajectories import Trajectory


class TurnwiseAgentLoop(AgentLoopBase):
    """Runs one episode per call.

    Args:
        recipe: Path of the run's recipe as JSON.
        store: Path of the store every episode goes to.
    """

    def __init__(self, *args: Any, recipe: str, store: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.recipe = Recipe.model_validate_json(Path(recipe).read_text(encoding="utf-8"))
        self.maker = EpisodeMaker(self.recipe, Path(store), self.tokenizer, self.server_manager)

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> list[AgentLoopOutput]:
        """Run an episode of the row's task and return one training row per token sequence.

        An episode that failed, an evaluation's, and one whose record could not be kept become a row without trained
        tokens, so that the group keeps its size.
        """
        task = Task.model_validate_json(row["task"])
        step, sample = int(row["global_steps"]), int(row["session_id"])
        ask = Ask(task=task, step=step, sample=sample, purpose=row["purpose"])
        try:
            record = await self.maker.episode(ask, sampling_params)
        except StoreError as error:
            return [self._untrained(ToldRow(lost=f"{type(error).__name__}: {error}"), step)]
        told = told_rows(record) if row["purpose"] == "train" else []
        if not told:
            failure = str(record.failure.message) if record.failure else None
            return [self._untrained(ToldRow(episode_id=record.episode_id, failure=failure), step, record)]
        return [self._row(record, one, step) for one in told]

    def _row(self, record: Trajectory, told: ToldRow, step: int) -> AgentLoopOutput:
        sequence, prompt = record.sequences[told.sequence], told.prompt
        logprobs = sequence.logprobs[prompt:].tolist() if sequence.logprobs is not None else None
        return AgentLoopOutput(
            prompt_ids=sequence.token_ids[:prompt].tolist(),
            response_ids=sequence.token_ids[prompt:].tolist(),
            response_mask=[int(flag) for flag in sequence.loss_mask[prompt:].tolist()],
            response_logprobs=logprobs or [0.0] * (len(sequence) - prompt),
            reward_score=record.reward or 0.0,
            num_turns=len(record.turns),
            metrics=AgentLoopMetrics(),
            extra_fields=_extra(told, step, record),
        )

    def _untrained(self, told: ToldRow, step: int, record: Trajectory | None = None) -> AgentLoopOutput:
        pad = int(self.tokenizer.pad_token_id or 0)
        return AgentLoopOutput(
            prompt_ids=[pad],
            response_ids=[pad],
            response_mask=[0],
            response_logprobs=[0.0],
            reward_score=(record.reward if record else None) or 0.0,
            num_turns=len(record.turns) if record else 0,
            metrics=AgentLoopMetrics(),
            extra_fields=_extra(told, step, record),
        )


def _extra(told: ToldRow, step: int, record: Trajectory | None) -> dict[str, Any]:
    """Return what verl and our trainer want to know beside the tokens."""
    versions = [turn.policy_version for turn in record.turns] if record else []
    version = next((version for version in versions if version is not None), max(step - 1, 0))
    steps = dict.fromkeys(("global_steps", "min_global_steps", "max_global_steps"), version)
    info = {
        "success": float(bool(record and record.success)),
        "score": float((record.score if record else None) or 0.0),
        "failed": float(record is None or not record.scored),
        "lost": float(told.lost is not None),
    }
    return {**steps, "reward_extra_info": info, "turnwise": told.model_dump_json()}
