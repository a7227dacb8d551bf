"""Checks of the step: whatever an agent does is answered, and the end is the end."""

import time
from collections.abc import Awaitable, Callable, Iterator

import anyio
from pydantic import JsonValue

from turnwise.envs.base import Env
from turnwise.envs.check.episodes import Subject, gold_walk, random_action, walks
from turnwise.envs.check.report import CheckFailed, CheckSkipped
from turnwise.envs.types import Action, Status, StepResult, StopReason, ToolCall, ToolSpec
from turnwise.errors import EnvError

_HOSTILE: tuple[JsonValue, ...] = (
    None,
    True,
    -1,
    2**63,
    -1.5,
    float("inf"),
    "",
    " ",
    "x" * 10_000,
    "\x00",
    "\ud800",
    [],
    {"a": []},
)
_HOSTILE_TEXTS = (
    "",
    "hello",
    "[]",
    "a[b",
    "\ud800",
    "]" * 50,
    "\x00" * 10,
    "' OR 1=1 --",
    "</tool><script>",
    "9" * 5000,
)


def hostile_actions(tools: tuple[ToolSpec, ...]) -> Iterator[Action]:
    """Return what broken or malicious agents send."""

    def call(name: str, arguments: dict[str, JsonValue] | str) -> Action:
        return Action(calls=(ToolCall(id="x", name=name, arguments=arguments),))

    yield call("no_such_tool", {})
    yield call("", {})
    yield call("__init__", {})
    yield Action(calls=())
    for spec in tools:
        properties = spec.parameters.get("properties")
        names = list(properties) if isinstance(properties, dict) else []
        yield call(spec.name, "{not json")
        yield call(spec.name, {"no_such_argument": 1})
        yield call(spec.name, {})
        for value in _HOSTILE:
            yield call(spec.name, dict.fromkeys(names, value))


async def invalid_never_raises(subject: Subject) -> None:
    """Unknown tools, wrong, missing and hostile arguments and texts are answered, one result per call, never raised."""
    task = subject.tasks[0]
    async with subject.env() as env:
        await env.reset(task, seed=subject.seed)
        attacks: list[Action | str] = [*hostile_actions(env.tools), *_HOSTILE_TEXTS]
        for action in attacks:
            result = await _attacked(env, action)
            if result.terminated or result.truncated:
                await env.reset(task, seed=subject.seed)


async def unknown_tool_explained(subject: Subject) -> None:
    """The call of an unknown tool is invalid, and the answer names the tools there are."""
    async with subject.env() as env:
        await env.reset(subject.tasks[0], seed=subject.seed)
        unknown = Action(calls=(ToolCall(id="x", name="no_such_tool"),))
        result = await env.step(unknown)
        if result.info.status is not Status.INVALID:
            raise CheckFailed(f"the call of an unknown tool has the status {result.info.status.value!r}, not 'invalid'")
        if env.tools and not any(spec.name in result.observation.text for spec in env.tools):
            raise CheckFailed("the answer to an unknown tool does not name the tools there are")


async def _attacked(env: Env, action: Action | str) -> StepResult:
    shown = (action if isinstance(action, str) else action.model_dump_json())[:200]
    try:
        result = await env.step(action)
        result.observation.model_dump_json()
    except Exception as error:
        raise CheckFailed(f"{type(error).__name__} for what an agent did: {error}; the action was {shown}") from error
    if isinstance(action, Action) and [r.call_id for r in result.observation.results] != [c.id for c in action.calls]:
        raise CheckFailed(f"not one result per call, in order; the action was {shown}")
    return result


async def several_calls(subject: Subject) -> None:
    """Several calls in one action are answered in order; those after the end are skipped."""
    task = subject.tasks[0]
    async with subject.env() as env:
        await env.reset(task, seed=subject.seed)
        rng = subject.rng(task)
        calls = [call for _ in range(4) for call in (await random_action(env, rng)).calls]
        if not calls:
            raise CheckSkipped("its actions are texts, without calls")
        await _answered(env, calls)
        gold = await gold_walk(env, task, subject)
        if not gold or not gold[-1].calls:
            return
        await env.reset(task, seed=subject.seed)
        for action in gold[:-1]:
            await env.step(action)
        extra = ToolCall(id="late", name=env.tools[0].name)
        result = await _answered(env, [*gold[-1].calls, extra])
        if result.terminated and result.observation.results[-1].status is not Status.SKIPPED:
            raise CheckFailed("a call after the one that ended the episode was not answered 'skipped'")


async def _answered(env: Env, calls: list[ToolCall]) -> StepResult:
    named = tuple(call.model_copy(update={"id": f"c{index}"}) for index, call in enumerate(calls))
    result = await env.step(Action(calls=named))
    if [r.call_id for r in result.observation.results] != [call.id for call in named]:
        raise CheckFailed("not one result per call, in the order of the calls")
    worst = Status.worst([r.status for r in result.observation.results])
    if result.info.status is not worst:
        raise CheckFailed(f"the turn's status is {result.info.status.value!r}, the worst of its calls {worst.value!r}")
    return result


async def no_calls(subject: Subject) -> None:
    """An action without calls is answered with something to read."""
    async with subject.env() as env:
        await env.reset(subject.tasks[0], seed=subject.seed)
        result = await env.step(Action(text="Let me think."))
        if not (result.observation.text or result.terminated):
            raise CheckFailed("the observation is empty and the episode goes on")


async def step_after_end_raises(subject: Subject) -> None:
    """A step before the reset or after the end raises EnvError."""
    async with subject.env() as env:
        await _must_raise(lambda: env.step(Action(text="early")), "a step before the first reset")
        await env.reset(subject.tasks[0], seed=subject.seed)
        await env.truncate(StopReason.TURN_LIMIT)
        await _must_raise(lambda: env.step(Action(text="late")), "a step after the end")
        await _must_raise(lambda: env.truncate(StopReason.TURN_LIMIT), "truncating an episode that is over")


async def _must_raise(act: Callable[[], Awaitable[StepResult]], what: str) -> None:
    try:
        await act()
    except EnvError:
        return
    except Exception as error:
        raise CheckFailed(f"{what} raised {type(error).__name__}, not EnvError") from error
    raise CheckFailed(f"{what} did not raise EnvError")


async def truncation_grades(subject: Subject) -> None:
    """An episode cut off at any turn has a score in [0, 1], success, and the limit as its stop reason."""
    async with subject.env() as env:
        for task in subject.tasks:
            walk = (await walks(env, task, subject))[0]
            for turns in range(min(3, len(walk))):
                await env.reset(task, seed=subject.seed)
                for action in walk[:turns]:
                    await env.step(action)
                _require_graded(await env.truncate(StopReason.TURN_LIMIT), f"task {task.id!r} after {turns} turns")


def _require_graded(result: StepResult, where: str) -> None:
    info = result.info
    if (result.terminated, result.truncated) != (False, True):
        raise CheckFailed(f"{where}: terminated={result.terminated}, truncated={result.truncated}")
    if info.score is None or not 0 <= info.score <= 1 or info.success is None:
        raise CheckFailed(f"{where}: score={info.score!r}, success={info.success!r}")
    if info.stop_reason is not StopReason.TURN_LIMIT:
        raise CheckFailed(f"{where}: the stop reason is {info.stop_reason!r}, not the limit")


async def loop_not_blocked(subject: Subject) -> None:
    """A step never holds up the event loop: other episodes go on meanwhile."""
    task = subject.tasks[0]
    async with subject.env() as env:
        sequences = await walks(env, task, subject)
        if not sequences:
            raise CheckSkipped("no action to measure")
        # A busy machine delays a heartbeat too, so only a delay that every repetition shows counts.
        gap = float("inf")
        for _ in range(4):
            gap = min(gap, await _longest_gap(env, subject, sequences))
            if gap <= subject.lag_s:
                return
        raise CheckFailed(
            f"a reset or step held up the event loop for {gap:.2f} s in each of 4 repetitions "
            f"(limit {subject.lag_s} s); mark slow tools @tool(blocking=True)"
        )


async def _longest_gap(env: Env, subject: Subject, sequences: list[list[Action]]) -> float:
    gap, last = 0.0, time.perf_counter()

    async def beat() -> None:
        nonlocal gap, last
        while True:
            await anyio.sleep(0.002)
            now = time.perf_counter()
            gap, last = max(gap, now - last), now

    async with anyio.create_task_group() as group:
        group.start_soon(beat)
        await anyio.sleep(0.005)
        for walk in sequences:
            await env.reset(subject.tasks[0], seed=subject.seed)
            for action in walk:
                result = await env.step(action)
                await anyio.sleep(0.003)
                if result.terminated or result.truncated:
                    break
        group.cancel_scope.cancel()
    return gap


async def closes_twice(subject: Subject) -> None:
    """An environment can be closed twice, before an episode, during one and after."""
    for begun in (False, True):
        env = subject.make()
        if begun:
            await env.reset(subject.tasks[0], seed=subject.seed)
        try:
            await env.close()
            await env.close()
        except Exception as error:
            raise CheckFailed(f"closing raised {type(error).__name__}: {error}") from error
