"""The authoring base class: dispatch, statuses, rewards, the end of an episode."""

import random

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from turnwise.envs import Action, Grade, InvalidCall, Snapshot, Status, StopReason, ToolCall, ToolEnv, ToolFailed, tool
from turnwise.errors import EnvError, TaskError
from turnwise.tasks import Task


class Number(BaseModel):
    low: int = 1
    high: int = 10


class GuessEnv(ToolEnv):
    name = "guess"
    version = "1"
    Data = Number
    PRESETS = {"default": {"outcome": 1.0, "close": 0.5}}

    async def begin(self) -> str:
        self.guesses: list[int] = []
        return f"{self.task.instruction} Between {self.data.low} and {self.data.high}."

    def state(self) -> list[int]:
        return sorted(self.guesses)

    async def grade(self) -> Grade:
        right = bool(self.guesses) and self.guesses[-1] == self.task.gold["number"]
        return Grade(float(right), right)

    @tool
    async def guess(self, number: int) -> str:
        """Guess the number.

        Args:
            number: Your guess.
        """
        if not self.data.low <= number <= self.data.high:
            raise InvalidCall("out of range")
        self.guesses.append(number)
        if number == self.task.gold["number"]:
            self.finish(StopReason.SOLVED)
        self.pay("close", 1.0 if abs(number - int(str(self.task.gold["number"]))) == 1 else 0.0)
        return "right" if number == self.task.gold["number"] else "wrong"

    @tool(blocking=True)
    def think(self) -> str:
        """Fail on purpose."""
        raise ToolFailed("a headache")


TASK = Task(id="g1", env="guess", instruction="Find it.", data={"low": 1, "high": 9}, gold={"number": 5})


def call(name: str, **arguments: object) -> Action:
    return Action(calls=(ToolCall(id="c1", name=name, arguments=arguments),))  # type: ignore[arg-type]


async def started() -> GuessEnv:
    env = GuessEnv()
    await env.reset(TASK, seed=0)
    return env


def test_an_episode_from_reset_to_solved() -> None:
    async def main() -> None:
        env = await started()
        near = await env.step("I say guess[4]")
        assert (near.observation.text, near.reward, near.terminated) == ("wrong", 0.5, False)
        done = await env.step(call("guess", number=5))
        assert (done.terminated, done.truncated, done.reward) == (True, False, 1.0)
        assert (done.info.score, done.info.success, done.info.stop_reason) == (1.0, True, StopReason.SOLVED)
        with pytest.raises(EnvError, match="over"):
            await env.step("guess[1]")

    anyio.run(main)


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (call("guess", number="many"), Status.INVALID),
        (call("guess", number=99), Status.INVALID),
        (call("guess"), Status.INVALID),
        (call("nothing"), Status.INVALID),
        (call("think"), Status.FAILED),
        (Action(text="hm"), Status.INVALID),
        (Action(calls=(ToolCall(id="x", name="guess", arguments="{oops"),)), Status.INVALID),
    ],
)
def test_what_the_agent_does_wrong_is_answered(action: Action, status: Status) -> None:
    async def main() -> None:
        env = await started()
        before = await env.state_key()
        result = await env.step(action)
        assert result.info.status is status
        assert result.observation.text
        assert await env.state_key() == before

    anyio.run(main)


def test_calls_after_the_end_are_skipped() -> None:
    async def main() -> None:
        env = await started()
        calls = tuple(ToolCall(id=f"c{n}", name="guess", arguments={"number": n}) for n in (5, 6))
        result = await env.step(Action(calls=calls))
        assert [r.status for r in result.observation.results] == [Status.OK, Status.SKIPPED]
        assert result.info.status is Status.OK

    anyio.run(main)


def test_truncation_grades_what_there_is() -> None:
    async def main() -> None:
        env = await started()
        result = await env.truncate(StopReason.TURN_LIMIT)
        assert (result.truncated, result.terminated, result.info.score) == (True, False, 0.0)

    anyio.run(main)


def test_snapshot_restores_into_a_fresh_instance_and_refuses_another_task() -> None:
    async def main() -> None:
        env = await started()
        await env.step("guess[4]")
        snapshot = await env.snapshot()
        other = GuessEnv()
        await other.restore(snapshot, TASK)
        assert await other.state_key() == await env.state_key()
        with pytest.raises(EnvError, match="is of task"):
            await other.restore(snapshot, TASK.model_copy(update={"instruction": "Another."}))

    anyio.run(main)


def test_bad_task_data_names_the_field() -> None:
    async def main() -> None:
        with pytest.raises(TaskError, match="low"):
            await GuessEnv().reset(TASK.model_copy(update={"data": {"low": "x"}}), seed=0)

    anyio.run(main)


def test_the_schema_comes_from_annotations_and_docstring() -> None:
    spec = GuessEnv().tools[0]
    assert spec.description == "Guess the number."
    assert spec.parameters["properties"] == {"number": {"description": "Your guess.", "type": "integer"}}
    assert spec.parameters["required"] == ["number"]


class NoteEnv(ToolEnv):
    """Keeps whatever the agent says: nothing of it may break hashing, records or snapshots."""

    name = "note"
    version = "1"

    async def begin(self) -> str:
        self.notes: list[JsonValue] = []
        return "Note."

    def state(self) -> JsonValue:
        return self.notes

    async def grade(self) -> Grade:
        return Grade(0.0, success=False)

    @tool
    def keep(self, what: JsonValue, weight: float = 1.0) -> str:
        """Keep anything."""
        self.notes.append([what, weight])
        return str(what)


def deep(levels: int) -> dict[str, object]:
    made: dict[str, object] = {}
    for _ in range(levels):
        made = {"a": made}
    return made


@settings(max_examples=100, deadline=None)
@given(
    what=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
@example(what="\ud800")
@example(what=float("nan"))
@example(what=2**70)
def test_whatever_an_agent_writes_can_be_hashed_stored_and_replayed(what: object) -> None:
    async def main() -> None:
        env, again = NoteEnv(), NoteEnv()
        task = Task(id="n", env="note", instruction="Note.")
        await env.reset(task, seed=0)
        result = await env.step(call("keep", what=what))
        assert result.observation.model_dump_json()
        stored = (await env.snapshot()).model_dump_json()
        await again.restore(Snapshot.model_validate_json(stored), task)
        assert await again.state_key() == await env.state_key() == result.info.state_key

    anyio.run(main)


def test_arguments_nested_beyond_reason_are_kept_as_text() -> None:
    assert isinstance(call("keep", what=deep(3000)).calls[0].arguments, str)
    assert isinstance(call("keep", what=deep(30)).calls[0].arguments, dict)


@pytest.mark.parametrize("text", ["keep[" + "[" * 5000, 'keep[{"what": ' + "[" * 900 + "]" * 900 + "}]", "\ud800]["])
def test_hostile_text_is_answered(text: str) -> None:
    async def main() -> None:
        env = NoteEnv()
        await env.reset(Task(id="n", env="note", instruction="Note."), seed=0)
        result = await env.step(text)
        assert result.observation.model_dump_json()
        assert (await env.snapshot()).model_dump_json()

    anyio.run(main)


def test_a_truncated_episode_is_restored_as_such() -> None:
    async def main() -> None:
        env, again = await started(), GuessEnv()
        await env.step("guess[4]")
        await env.truncate(StopReason.TURN_LIMIT)
        await again.restore(await env.snapshot(), TASK)
        assert await again.state_key() == await env.state_key()
        with pytest.raises(EnvError, match="over"):
            await again.step("guess[4]")

    anyio.run(main)


def test_a_limit_is_a_limit_and_a_reward_is_finite() -> None:
    async def main() -> None:
        env = await started()
        with pytest.raises(EnvError, match="takes the limit"):
            await env.truncate(StopReason.SOLVED)
        with pytest.raises(EnvError, match="must be finite"):
            env.pay("close", float("nan"))
        with pytest.raises(EnvError, match="no episode has begun"):
            await GuessEnv().step("guess[4]")

    anyio.run(main)


def test_random_actions_fit_the_schema_and_come_from_the_seed() -> None:
    async def main() -> None:
        env = await started()
        actions = [await env.sample_action(random.Random(seed)) for seed in range(20)]
        assert actions == [await env.sample_action(random.Random(seed)) for seed in range(20)]
        assert {action.calls[0].name for action in actions} == {"guess", "think"}
        assert all(isinstance(a.calls[0].arguments, dict) for a in actions)

    anyio.run(main)


def test_a_tool_without_annotations_is_refused_when_the_class_is_written() -> None:
    with pytest.raises(TypeError, match="a name of its own"):

        class Broken(NoteEnv):
            @tool
            def bad(self, *x: str) -> str:
                return ""


def test_gold_actions_may_be_written_as_text() -> None:
    async def main() -> None:
        env = GuessEnv()
        gold: dict[str, JsonValue] = {"number": 5, "actions": ["guess[5]", 3]}
        await env.reset(TASK.model_copy(update={"gold": gold}), seed=0)
        assert (await env.gold_action()).calls[0].arguments == {"number": "5"}
        await env.step("guess[1]")
        with pytest.raises(TaskError, match="is no action"):
            await env.gold_action()

    anyio.run(main)


def test_snapshot_blobs_survive_json() -> None:
    snapshot = Snapshot(
        env="e", version="1", config_digest="", task_key="", seed=0, actions=(), trace=(), blobs={"db": b"\x00\xff"}
    )
    assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
    assert Snapshot.model_validate(snapshot.model_dump()) == snapshot
