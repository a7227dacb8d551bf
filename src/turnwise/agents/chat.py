"""The agent that asks a chat model: a client, an action format and a context policy put together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from pydantic import Field, JsonValue, field_validator, model_validator

from turnwise.agents.base import Agent, AgentConfig, AgentFactory, Conversation, Generation, Stage
from turnwise.agents.context import ContextPolicy, History, Shown, make_context
from turnwise.agents.formats import ActionFormat, Parsed, Unparsable, make_format
from turnwise.agents.tokens import TurnTokens
from turnwise.envs.types import Action, StopReason, ToolSpec
from turnwise.errors import ModelContextError
from turnwise.models import ChatModel, Completion, Message, ModelConfig, Sampling
from turnwise.trajectories.records import Attempt, ContextRecord, Timings, Usage, stable_seed


class ChatConfig(AgentConfig, ModelConfig):
    """Settings of the chat agent: those of its endpoint, and how it speaks and remembers.

    The sampling settings (``temperature``, ``top_p``, ``max_tokens`` …) may be given beside the others.
    """

    format: str = "native"
    """How calls are written: ``native``, ``tags``, ``brackets``, ``json``."""
    context: str = "full"
    """What the model is shown: ``full``, ``window:4``, ``summary:keep=4,every=8``, ``per-turn:1``."""
    system: str | None = None
    """Text that opens the system prompt, before the format's instructions."""
    resample: int = Field(default=0, ge=0)
    """How many unparsable messages of a turn are sampled again. Off by default: it biases what is learnt."""
    unparsable: Literal["stop", "answer"] = "stop"
    """What an unparsable message does: ends the episode, or is passed on for the environment to answer."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        loose = {key: given[key] for key in Sampling.model_fields if key in given} if isinstance(given, dict) else {}
        if not loose:
            return given
        rest = {key: value for key, value in given.items() if key not in loose}
        return rest | {"sampling": {**rest.get("sampling", {}), **loose}}

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        make_format(name)
        return name

    @field_validator("context")
    @classmethod
    def _known_context(cls, spec: str) -> str:
        make_context(spec)
        return spec


class Completes(Protocol):
    """What answers a chat: the client of an endpoint, or a policy under training."""

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[dict[str, JsonValue]] = (),
        seed: int | None = None,
        extra: dict[str, JsonValue] | None = None,
    ) -> Completion:
        """Answer the chat."""
        ...

    async def aclose(self) -> None:
        """Free what is held; may be called twice."""
        ...


class Chat(AgentFactory):
    """Asks a model behind an OpenAI-compatible endpoint."""

    name: ClassVar[str] = "chat"
    Config: ClassVar[type[AgentConfig]] = ChatConfig
    config: ChatConfig

    def __init__(self, config: ChatConfig, *, client: Completes | None = None) -> None:
        super().__init__(config)
        self.client: Completes = client or ChatModel(config)

    @property
    def model(self) -> str | None:
        """The model's name."""
        return self.config.model

    def start(self, seed: int, *, stage: Stage | None = None) -> Agent:
        """Start an agent with a history of its own; the client is shared."""
        return _ChatAgent(self, make_format(self.config.format), make_context(self.config.context), seed)

    @property
    def base_url(self) -> str | None:
        """The endpoint's address."""
        return self.config.url()[0]

    def describe(self) -> dict[str, JsonValue]:
        """Return what can change an answer: no key, no header, no address."""
        return self.config.asked()

    def running(self) -> dict[str, JsonValue]:
        """Return how the endpoint is asked."""
        return self.config.running()

    async def aclose(self) -> None:
        """Close the client's connections."""
        await self.client.aclose()


@dataclass(slots=True)
class _Spent:
    """What one turn cost, over all its samples."""

    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, got: Completion) -> Usage:
        """Count a completion; return what it alone cost."""
        one = _usage(got)
        self.usage = total(self.usage, one)
        self.seconds += got.seconds
        self.waited += got.waited
        return one

    def timings(self) -> Timings:
        return Timings(generation_s=self.seconds, model_queue_s=self.waited)


class _ChatAgent:
    def __init__(self, factory: Chat, spoken: ActionFormat, context: ContextPolicy, seed: int) -> None:
        self._client, self._config = factory.client, factory.config
        self._format, self._context, self._seed = spoken, context, seed
        self._history: History | None = None
        self._schemas: list[dict[str, JsonValue]] = []

    def system_prompt(self, tools: Sequence[ToolSpec]) -> str | None:
        texts = [text for text in (self._config.system, self._format.instructions(tools)) if text]
        return "\n\n".join(texts) or None

    async def act(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> Generation:
        """Choose what to show, ask, and read the answer; an unparsable one is asked for again within the budget."""
        history, spent = self._told(conversation, tools), _Spent()
        attempts: list[Attempt] = []
        try:
            shown = await self._show(history, spent)
            while True:
                turn = len(history.turns)
                got = await self._ask(shown.messages, turn, len(attempts))
                cost = spent.add(got)
                read = self._format.parse(got.message, tools, turn)
                if isinstance(read, Parsed) or len(attempts) >= self._config.resample:
                    return self._made(got, read, shown, spent, attempts)
                attempts.append(Attempt(text=got.text, status="unparsable", reason=read.reason, usage=cost))
        except ModelContextError:
            return Generation(
                action=Action(),
                stop=StopReason.CONTEXT_LIMIT,
                usage=spent.usage,
                timings=spent.timings(),
                attempts=tuple(attempts),
            )

    def _told(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> History:
        """Bring the message history up to date; each turn is rendered once."""
        if self._history is None:
            opening = self._format.opening(conversation.first)
            if conversation.system_prompt:
                opening.insert(0, {"role": "system", "content": conversation.system_prompt})
            self._history, self._schemas = History(opening), self._format.schemas(tools)
        turns = self._history.turns
        for exchange in conversation.turns[len(turns) :]:
            said = exchange.message or self._format.write(exchange.action)
            read = self._format.parse(said, tools, len(turns))
            sent = read.message if isinstance(read, Parsed) else _bare(said)
            turns.append([sent, *self._format.answers(exchange.action, exchange.observation)])
        return self._history

    async def _show(self, history: History, spent: _Spent) -> Shown:
        async def ask(messages: list[Message]) -> str:
            got = await self._client.complete(messages, seed=stable_seed(self._seed, len(history.turns), "context"))
            spent.add(got)
            return got.text

        return await self._context.show(history, ask)

    async def _ask(self, messages: list[Message], turn: int, attempt: int) -> Completion:
        seed = stable_seed(self._seed, turn, attempt)
        got = await self._client.complete(messages, tools=self._schemas, seed=seed)
        assert self._history is not None
        self._history.prompt_tokens = got.prompt_tokens
        return got

    def _made(
        self, got: Completion, read: Parsed | Unparsable, shown: Shown, spent: _Spent, attempts: list[Attempt]
    ) -> Generation:
        stops = isinstance(read, Unparsable) and self._config.unparsable == "stop"
        return Generation(
            action=read.action if isinstance(read, Parsed) else Action(text=got.text),
            text=got.text,
            message=got.message,
            reasoning=got.reasoning,
            tokens=_tokens(got, shown),
            usage=spent.usage,
            timings=spent.timings(),
            attempts=tuple(attempts),
            context=ContextRecord(
                policy=self._context.name,
                dropped_turns=shown.dropped,
                summary=shown.summary,
                prompt_tokens=got.prompt_tokens,
            ),
            stop=StopReason.UNPARSABLE if stops else None,
        )


def _bare(message: Message) -> Message:
    """Keep the text of a message that could not be parsed: calls that nothing answers would be refused."""
    return {"role": "assistant", "content": message.get("content") or ""}


def _tokens(got: Completion, shown: Shown) -> TurnTokens | None:
    if got.prompt_ids is None or got.completion_ids is None:
        return None
    known = got.logprobs is not None and len(got.logprobs) == len(got.completion_ids)
    return TurnTokens(
        prompt_ids=got.prompt_ids,
        completion_ids=got.completion_ids,
        logprobs=got.logprobs if known else None,
        pieces=got.pieces,
        rewritten=shown.rewritten,
    )


def _usage(got: Completion) -> Usage:
    return Usage(
        prompt_tokens=got.prompt_tokens,
        completion_tokens=got.completion_tokens,
        reasoning_tokens=got.reasoning_tokens,
        cached_tokens=got.cached_tokens,
        cost=got.cost,
        calls=got.calls,
    )


def total(one: Usage, other: Usage) -> Usage:
    """Add up what two calls cost; a cost that is unknown makes the sum unknown, unless nothing was called."""
    if one.calls == 0:
        return other
    if other.calls == 0:
        return one
    unknown = one.cost is None or other.cost is None
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        cost=None if unknown else (one.cost or 0.0) + (other.cost or 0.0),
        calls=one.calls + other.calls,
    )
