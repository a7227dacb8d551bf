"""The authoring base class: dispatch, statuses, rewards, the end of an episode."""

import anyio
import pytest
from pydantic import BaseModel

from turnwise.envs import Action, Grade, InvalidCall, Status, StopReason, ToolCall, ToolEnv, ToolFailed, tool
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
