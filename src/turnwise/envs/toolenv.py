"""The base class authors write environments on: a data model, one method per tool, a grader.

The base parses and validates calls, dispatches them in order, counts turns, records reward parts and the action log,
and answers everything an agent can do wrong.
"""

import math
import random
import time
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import anyio
import anyio.to_thread
from pydantic import BaseModel, JsonValue, ValidationError

from turnwise.envs.base import Env, EnvConfig
from turnwise.envs.sampling import sample_arguments
from turnwise.envs.textformat import parse_call
from turnwise.envs.tools import InvalidCall, Tool, ToolFailed, ToolOutput, tools_of
from turnwise.envs.types import (
    Action,
    Grade,
    Observation,
    Part,
    RewardPart,
    Snapshot,
    Status,
    StepInfo,
    StepResult,
    StopReason,
    TextPart,
    ToolCall,
    ToolResult,
    ToolSpec,
    Trace,
    clean,
)
from turnwise.errors import EnvError, ReplayDiverged, TaskError, TurnwiseError, UnknownNameError
from turnwise.tasks.base import Task
from turnwise.tasks.canonical import digest, fingerprint


class NoData(BaseModel):
    """The data of a task that needs none."""


class ToolEnv(Env):
    """An environment made of tools.

    A subclass sets ``name``, ``version`` and ``Data``, marks methods with ``@tool``, and writes ``begin``, ``state``
    and ``grade``. Inside a tool it may call ``self.pay`` and ``self.finish``, and raise ``InvalidCall`` or
    ``ToolFailed``.
    """

    Data: ClassVar[type[BaseModel]] = NoData
    """Validates ``task.data``; the tools find it as ``self.data``."""
    PRESETS: ClassVar[dict[str, dict[str, float]]] = {"default": {"outcome": 1.0}}
    """Weights of the reward parts, by preset name; a part that a preset does not name has weight 0."""
    limiter: ClassVar[anyio.CapacityLimiter | None] = None
    """Bounds the worker threads of blocking tools; None: anyio's default."""

    _tools: ClassVar[dict[str, Tool]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._tools = tools_of(cls)

    def __init__(self, config: EnvConfig | None = None) -> None:
        super().__init__(config)
        if self.config.rewards not in self.PRESETS:
            raise UnknownNameError.of(f"reward preset of {self.name}", self.config.rewards, self.PRESETS)
        self._weights = self.PRESETS[self.config.rewards] | self.config.weights
        self._task: Task | None = None
        self._over: StopReason | None = None

    @classmethod
    def listed_tools(cls) -> tuple[ToolSpec, ...]:
        """Return all tools the class has; an episode may offer fewer."""
        return tuple(tool.spec for tool in cls._tools.values())

    def _begin_history(self) -> None:
        # Two and a half kilobytes, which most environments never use.
        self._rng: random.Random | None = None
        self._truncated: StopReason | None = None
        self._log: list[Action] = []
        self._trace: list[Trace] = []
        self._parts: list[RewardPart] = []
        self._queued: float | None = None

    # What authors write.

    @abstractmethod
    async def begin(self) -> Observation | str:
        """Set the episode up from ``self.task``, ``self.data`` and ``self.rng``; return the first user message."""

    @abstractmethod
    def state(self) -> JsonValue:
        """Return what decides the future as plain JSON; neither gold, nor turn count, nor random stream."""

    @abstractmethod
    async def grade(self) -> Grade:
        """Grade the finished episode; called once."""

    async def on_text(self, text: str) -> ToolOutput:
        """Answer a turn that calls no tool; by default it is invalid and the tools are named."""
        names = ", ".join(f"{spec.name}({', '.join(_properties(spec))})" for spec in self.tools)
        return ToolOutput.of(f"No tool was called. Call one of: {names}", Status.INVALID)

    async def beside(self, observation: Observation) -> Observation:
        """Add to a turn's answers what is shown once a turn, such as a page; by default nothing."""
        return observation

    def offered(self) -> tuple[str, ...]:
        """Return the names of the tools this task offers; by default all."""
        return tuple(self._tools)

    def metrics(self) -> dict[str, float]:
        """Return numbers to record with the step, the same on every machine."""
        return {}

    def parse(self, text: str) -> Action:
        """Turn plain text into an action; by default ``tool[argument]`` anywhere in it, the last one winning."""
        call = parse_call(text, self.tools, call_id=f"t{self._turn + 1}")
        return Action(text=text, calls=(call,) if call else ())

    async def teardown(self) -> None:
        """Free what ``begin`` made; called before the next ``begin`` and on close, perhaps twice."""

    # What authors use.

    @property
    def task(self) -> Task:
        """The episode's task."""
        if self._task is None:
            raise EnvError(f"{self.name}: no episode has begun; call reset() first")
        return self._task

    @property
    def rng(self) -> random.Random:
        """The episode's random stream, from environment, seed and data; made when it is first used."""
        if self._rng is None:
            self._rng = random.Random(digest({"env": self.name, "seed": self.seed, "data": self.task.data}))
        return self._rng

    def pay(self, name: str, value: float | None, provenance: JsonValue = "rule") -> None:
        """Record a reward part of this turn; the preset gives its weight.

        Raises:
            EnvError: The value is not a finite number.
        """
        if value is not None and not math.isfinite(value):
            raise EnvError(f"{self.name}: reward part {name!r} is {value!r}; it must be finite, or None where unknown")
        self._parts.append(
            RewardPart(name=name, value=value, weight=self._weights.get(name, 0.0), provenance=provenance)
        )

    def finish(self, reason: StopReason = StopReason.ENDED) -> None:
        """End the episode after the present call."""
        self._over = reason

    def resume(self, snapshot: Snapshot, task: Task, over: StopReason | None) -> None:
        """Take over a snapshot's history, in a ``restore`` that copies the state instead of replaying.

        Args:
            snapshot: Checked against this environment and the task, or refused.
            task: Its task.
            over: Why the episode had ended, None if it had not.

        Raises:
            EnvError: The snapshot is of another environment, version, configuration or task.
        """
        self.check_snapshot(snapshot, task)
        if self._task is not task:
            self.data = self._parse_data(task)
        self._task, self.seed, self._turn, self._over = task, snapshot.seed, len(snapshot.actions), over
        self._begin_history()
        self._truncated, self._log, self._trace = snapshot.truncated, list(snapshot.actions), list(snapshot.trace)

    # The contract.

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools of this episode."""
        return tuple(self._tools[name].spec for name in self.offered())

    async def reset(self, task: Task, *, seed: int) -> tuple[Observation, StepInfo]:
        """Begin an episode on a task."""
        await self.teardown()
        self._task, self.seed, self._turn, self._over = task, seed, 0, None
        self._begin_history()
        self.data = self._parse_data(task)
        with _boundary(f"{self.name} could not begin task {task.id!r}"):
            first = await self.begin()
        observation = Observation.of(first) if isinstance(first, str) else first
        info = StepInfo(state_key=await self.state_key(), metrics=self.metrics())
        self._trace = [_trace(observation, info)]
        return observation, info

    async def step(self, action: Action | str) -> StepResult:
        """Run the action's calls one after another and answer each."""
        self._require_running()
        parsed = self.parse(clean(action)) if isinstance(action, str) else action
        self._log.append(parsed)
        self._turn += 1
        self._parts, self._queued = [], None
        started = time.perf_counter()
        with _boundary(f"{self.name} broke on task {self.task.id!r}"):
            observation, status = await self._act(parsed)
            observation = await self.beside(observation)
            return await self._conclude(observation, status, exec_s=time.perf_counter() - started)

    async def truncate(self, reason: StopReason) -> StepResult:
        """End the episode from outside and grade what there is."""
        self._require_running()
        if not (reason.truncates or reason is StopReason.GAVE_UP):
            raise EnvError(
                f"{self.name}: truncate() takes the limit that was reached, or gave_up; not {reason.value!r}"
            )
        self._parts, self._queued = [], None
        self._over = self._truncated = reason
        with _boundary(f"{self.name} could not grade task {self.task.id!r}"):
            return await self._conclude(Observation(), Status.OK, exec_s=None)

    async def state_key(self) -> str:
        """Hash the state."""
        return fingerprint({"state": self.state(), "over": self._over is not None})

    async def snapshot(self) -> Snapshot:
        """Return the action log; override it where the state can be copied."""
        return Snapshot(
            env=self.name,
            version=self.version,
            config_digest=self.config_digest,
            task_key=self.task.key,
            seed=self.seed,
            actions=tuple(self._log),
            trace=tuple(self._trace),
            truncated=self._truncated,
        )

    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Replay the action log and compare observation and state at every turn."""
        self.check_snapshot(snapshot, task)
        await self.reset(task, seed=snapshot.seed)
        self._compare(snapshot, 0)
        for index, action in enumerate(snapshot.actions, start=1):
            await self.step(action)
            self._compare(snapshot, index)
        if snapshot.truncated is not None:
            await self.truncate(snapshot.truncated)

    async def close(self) -> None:
        """Free what the episode holds."""
        await self.teardown()

    async def gold_action(self) -> Action:
        """Return the next action of ``task.gold["actions"]``, by turn: an action, or a text to be parsed."""
        actions = self.task.gold.get("actions")
        if not isinstance(actions, list) or self._turn >= len(actions):
            raise EnvError(f"{self.name}: task {self.task.id!r} has no gold action for turn {self._turn + 1}")
        action = actions[self._turn]
        try:
            return self.parse(action) if isinstance(action, str) else Action.model_validate(action)
        except ValidationError as error:
            raise TaskError(f"task {self.task.id!r}: gold.actions.{self._turn} is no action: {error}") from error

    async def sample_action(self, rng: random.Random) -> Action:
        """Return one random call that fits the schema of a tool; texts are made of the instruction's words."""
        spec = rng.choice(self.tools)
        arguments = sample_arguments(spec, rng, self.task.instruction.split())
        return Action(calls=(ToolCall(id=f"r{self._turn + 1}", name=spec.name, arguments=arguments),))

    # How it works.

    def check_snapshot(self, snapshot: Snapshot, task: Task) -> None:
        """Refuse a snapshot of another environment, version, configuration or task.

        Raises:
            EnvError: With what the snapshot carries and what is here.
        """
        carried = (snapshot.env, snapshot.version, snapshot.config_digest, snapshot.task_key)
        present = (self.name, self.version, self.config_digest, task.key)
        for what, theirs, ours in zip(
            ("environment", "version", "configuration", "task"), carried, present, strict=True
        ):
            if theirs != ours:
                raise EnvError(f"cannot restore: the snapshot is of {what} {theirs!r}, this is {ours!r}")

    def _parse_data(self, task: Task) -> Any:
        try:
            return self.Data.model_validate(task.data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "data"
            raise TaskError(f"task {task.id!r} does not fit {self.name}: {where}: {first['msg']}") from error

    def _require_running(self) -> None:
        if self.task and self._over is not None:
            raise EnvError(f"{self.name}: the episode is over ({self._over.value}); call reset() first")

    async def _act(self, action: Action) -> tuple[Observation, Status]:
        if not action.calls:
            output = await self.on_text(action.text)
            return Observation(parts=output.parts), output.status
        results = [await self._answer(call) for call in action.calls]
        return Observation(results=tuple(results)), Status.worst([result.status for result in results])

    async def _answer(self, call: ToolCall) -> ToolResult:
        if self._over is not None:
            return _result(call, "Not run: the episode had ended.", Status.SKIPPED)
        try:
            output = await self._run(call)
        except InvalidCall as error:
            return _result(call, str(error), Status.INVALID)
        except ToolFailed as error:
            return _result(call, str(error), Status.FAILED)
        return ToolResult(call_id=call.id, parts=output.parts, status=output.status)

    async def _run(self, call: ToolCall) -> ToolOutput:
        if call.name not in self.offered():
            raise InvalidCall(f"There is no tool {call.name[:80]!r}. Tools: {', '.join(self.offered())}")
        tool = self._tools[call.name]
        method = partial(getattr(self, tool.method), **tool.validate(call.arguments))
        if tool.blocking:
            return _output(await self._in_thread(method))
        made = method()
        return _output(await made if hasattr(made, "__await__") else made)

    async def _in_thread(self, method: Callable[[], object]) -> object:
        asked = time.perf_counter()

        def work() -> object:
            self._queued = (self._queued or 0.0) + time.perf_counter() - asked
            return method()

        return await anyio.to_thread.run_sync(work, limiter=self.limiter)

    async def _conclude(self, observation: Observation, status: Status, exec_s: float | None) -> StepResult:
        grade = await self._graded() if self._over is not None else None
        reason = self._over
        truncated = reason is not None and reason.truncates
        info = StepInfo(
            status=status,
            reward_parts=tuple(self._parts),
            state_key=await self.state_key(),
            stop_reason=reason,
            score=grade.score if grade else None,
            success=grade.success if grade else None,
            metrics=self.metrics(),
            exec_s=None if exec_s is None else exec_s - (self._queued or 0.0),
            queue_s=self._queued,
        )
        if self._truncated is None:
            self._trace.append(_trace(observation, info))
        reward = float(sum(part.amount for part in self._parts))
        return StepResult(observation, reward, reason is not None and not truncated, truncated, info)

    async def _graded(self) -> Grade:
        grade = await self.grade()
        if not 0.0 <= grade.score <= 1.0:
            raise EnvError(f"{self.name}: the grader gave a score of {grade.score!r}; it must lie in [0, 1]")
        self.pay("outcome", grade.score)
        return grade

    def _compare(self, snapshot: Snapshot, index: int) -> None:
        expected, got = snapshot.trace[index], self._trace[index]
        if expected != got:
            what = "observation" if expected.observation != got.observation else "state"
            raise ReplayDiverged(
                f"{self.name}: the replay of task {self.task.id!r} gave another {what} at turn {index}"
            )


class _boundary:  # noqa: N801 - reads as a statement
    """Attribute whatever an author's code lets escape to the environment."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, TurnwiseError):
            raise EnvError(f"{self.what}: {type(error).__name__}: {error}") from error


def _output(made: object) -> ToolOutput:
    if isinstance(made, ToolOutput):
        return made
    if isinstance(made, tuple):
        parts: tuple[Part, ...] = made
        return ToolOutput(parts=parts)
    return ToolOutput.of(str(made))


def _result(call: ToolCall, text: str, status: Status) -> ToolResult:
    return ToolResult(call_id=call.id, parts=(TextPart(text=text),), status=status)


def _properties(spec: ToolSpec) -> list[str]:
    properties = spec.parameters.get("properties", {})
    return list(properties) if isinstance(properties, dict) else []


def _trace(observation: Observation, info: StepInfo) -> Trace:
    return Trace(observation=fingerprint(observation.model_dump(mode="json")), state_key=info.state_key)
