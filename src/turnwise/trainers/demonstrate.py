"""Demonstrations for the supervised start: episodes rendered once, as the policy would have written them."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anyio

from turnwise.agents import make_agent
from turnwise.agents.base import Agent, AgentFactory, Conversation, Generation, Stage
from turnwise.agents.context import History, make_context
from turnwise.agents.formats import ActionFormat, make_format
from turnwise.agents.limits import Limits
from turnwise.agents.rollout import Place, rollout
from turnwise.agents.tokens import TurnTokens, build_sequences
from turnwise.envs import Action, StopReason, ToolCall, ToolSpec, make
from turnwise.errors import TrainerError
from turnwise.models import Message
from turnwise.tasks import Task
from turnwise.trainers.recipe import AgentPart, Recipe, SftPart
from turnwise.trainers.tokenchat import TokenChat
from turnwise.trajectories import Store, TokenSequence, Trajectory, stable_seed

AT_ONCE = 16


def demonstrations(recipe: Recipe, tasks: Sequence[Task], store: Path) -> list[Trajectory]:
    """Return the episodes that are learnt from: gold actions made now and kept in the store, or another store's.

    Raises:
        TrainerError: No episode is good enough.
    """
    sft = recipe.sft
    source = "oracle" if sft is None else sft.source
    least = 1.0 if sft is None else sft.min_score
    if source == "oracle":
        found = anyio.run(play, recipe, tasks)
        with Store.open(store, "a") as kept_in:
            kept_in.append(found)
    else:
        with Store.open(source) as other:
            found = list(other.episodes())
    kept = [episode for episode in found if episode.scored and (episode.score or 0.0) >= least]
    if not kept:
        raise TrainerError(f"none of {len(found)} episodes of {source!r} reaches a score of {least:g}")
    return kept


async def play(recipe: Recipe, tasks: Sequence[Task]) -> list[Trajectory]:
    """Let gold actions play tasks, in their order."""
    agent = make_agent("oracle")
    made: list[Trajectory | None] = [None] * len(tasks)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(index: int) -> None:
        async with limiter:
            made[index] = await _shown(recipe, agent, tasks[index])

    async with anyio.create_task_group() as group:
        for index in range(len(tasks)):
            group.start_soon(one, index)
    return [episode for episode in made if episode is not None]


async def _shown(recipe: Recipe, agent: AgentFactory, task: Task) -> Trajectory:
    """Play a task; a text format writes one call a message, so calls made together get a turn each."""
    seed, place = stable_seed(recipe.seed, task.key), Place(run=f"{recipe.name}-demonstrations")
    async with make(task.env, **recipe.env.config) as env:
        episode = await rollout(env, agent, task, seed, Limits(), place=place)
        calls = _told_calls(recipe, episode, seed)
        if not episode.scored or calls == [turn.calls for turn in episode.turns]:
            return episode
        return await rollout(env, Script([Action(calls=each) for each in calls]), task, seed, Limits(), place=place)


def _told_calls(recipe: Recipe, episode: Trajectory, seed: int) -> list[tuple[ToolCall, ...]]:
    """Return the calls of each turn as the policy is to make them."""
    skipped = _skipped(recipe.sft, seed) if recipe.sft else ()
    kept = [tuple(call for call in turn.calls if call.name not in skipped) for turn in episode.turns]
    if recipe.agent.format != "native":
        kept = [(call,) for calls in kept for call in calls]
    return [calls for calls in kept if calls]


def _skipped(sft: SftPart, seed: int) -> tuple[str, ...]:
    whole = sft.skip_share is not None and random.Random(seed).random() >= sft.skip_share
    return () if whole else sft.skip_tools


class Script(AgentFactory):
    """Takes given actions one after another, whatever it is shown."""

    name: ClassVar[str] = "script"

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__()
        self.actions = actions

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start at the first action."""
        return _Scripted(self.actions)


class _Scripted:
    def __init__(self, actions: Sequence[Action]) -> None:
        self.actions = actions

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        return None

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        done = len(conversation.turns)
        if done >= len(self.actions):
            return Generation(action=Action(), stop=StopReason.GAVE_UP)
        return Generation(action=self.actions[done])


def history_of(episode: Trajectory, spoken: ActionFormat, system: str | None) -> History:
    """Return an episode as messages, its actions written in a format."""
    texts = [text for text in (system, spoken.instructions(episode.tools)) if text]
    opening = spoken.opening(episode.first_observation)
    if texts:
        opening.insert(0, {"role": "system", "content": "\n\n".join(texts)})
    history = History(opening)
    for turn in episode.turns:
        action = Action(text=turn.text, calls=turn.calls)
        history.turns.append([spoken.write(action), *spoken.answers(action, turn.observation)])
    return history


def rendered_texts(part: AgentPart, episodes: Sequence[Trajectory]) -> Iterator[str]:
    """Render whole episodes as a tiny tokenizer learns them."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    from turnwise.trainers.tiny import CHAT_TEMPLATE

    template = ImmutableSandboxedEnvironment().from_string(CHAT_TEMPLATE)
    spoken = make_format(part.format)
    for episode in episodes:
        history = history_of(episode, spoken, part.system_prompt)
        messages = [*history.opening, *(message for turn in history.turns for message in turn)]
        yield template.render(messages=messages, add_generation_prompt=False)


async def sequences_of(episode: Trajectory, part: AgentPart, chat: TokenChat) -> tuple[TokenSequence, ...]:
    """Lay an episode out as token sequences under the policy's format and context policy."""
    spoken, context = make_format(part.format), make_context(part.context)
    whole = history_of(episode, spoken, part.system_prompt)
    schemas = spoken.schemas(episode.tools)
    turns = []
    for index, turn in enumerate(whole.turns):
        shown = await context.show(History(whole.opening, whole.turns[:index]), _no_summary)
        prompt = chat.begin(shown.messages, schemas)
        closed = chat.text([*shown.messages, turn[0]], tools=schemas)
        opened = chat.text(shown.messages, tools=schemas, prompt=True)
        sampled = _written(chat.encode(closed[len(opened) :]), chat.tokenizer.eos_token_id)
        turns.append(TurnTokens(prompt_ids=prompt, completion_ids=sampled, rewritten=shown.rewritten))
    return build_sequences(turns)[0]


async def _no_summary(_messages: list[Message]) -> str:
    raise TrainerError(
        "context policy 'summary' asks the model itself, so it cannot render demonstrations: use another"
    )


def _written(ids: list[int], eos: int) -> list[int]:
    """Cut what the template adds after the end of the message."""
    return ids[: ids.index(eos) + 1] if eos in ids else ids


def write_demonstrations(recipe: Recipe, episodes: Sequence[Trajectory], tokenizer: Any, path: Path) -> int:
    """Write token sequences for the supervised trainer.

    Returns:
        How many were written; those longer than the context are left out.

    Raises:
        TrainerError: None fits the context.
    """
    import pyarrow as pa
    from pyarrow import parquet

    chat = TokenChat(tokenizer)
    laid = [anyio.run(sequences_of, episode, recipe.agent, chat) for episode in episodes]
    fitting = [sequence for each in laid for sequence in each if len(sequence) <= recipe.context_tokens]
    if not fitting:
        longest = min((len(sequence) for each in laid for sequence in each), default=0)
        raise TrainerError(f"no demonstration fits context_tokens={recipe.context_tokens}; the shortest has {longest}")
    columns = {
        "token_ids": [sequence.token_ids.tolist() for sequence in fitting],
        "loss_mask": [sequence.loss_mask.astype(int).tolist() for sequence in fitting],
    }
    parquet.write_table(pa.table(columns), path)
    return len(fitting)
