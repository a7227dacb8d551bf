"""One episode: what ends it, what its record says, and what a failure is."""

import anyio
import pytest

from scripted_agent import Scripted
from tiny_env import CountEnv, tasks
from turnwise.agents import AgentFactory, Generation, make_agent
from turnwise.agents.limits import Limits
from turnwise.agents.rollout import Place, rollout
from turnwise.agents.tokens import TurnTokens
from turnwise.envs import Action, Grade, Status, StopReason, ToolCall
from turnwise.errors import AgentError, ModelResponseError
from turnwise.tasks import Task
from turnwise.trajectories import Trajectory, Usage

ADD = Action(calls=(ToolCall(id="c", name="add", arguments={"amount": 1}),))


def run(agent: AgentFactory, limits: Limits | None = None, task: Task | None = None, **place: object) -> Trajectory:
    async def main() -> Trajectory:
        async with CountEnv() as env:
            return await rollout(env, agent, task or tasks(1).tasks[0], 7, limits, place=Place(**place))  # type: ignore[arg-type]

    return anyio.run(main)


def plain(action: Action = ADD, **fields: object) -> Generation:
    return Generation(action=action, **fields)  # type: ignore[arg-type]


def test_the_oracle_solves_and_the_record_is_whole() -> None:
    episode = run(make_agent("oracle"), run="r", sample=2)
    assert (episode.stop_reason, episode.score, episode.success, episode.scored) == (StopReason.SOLVED, 1.0, True, True)
    assert episode.reward == sum(turn.reward for turn in episode.turns) == 1.0 + 3 * 0.125
    assert episode.components == {"step": 3.0, "outcome": 1.0}
    assert episode.component_weights == {"step": 0.125, "outcome": 1.0}
    assert [turn.observation.text for turn in episode.turns] == ["counter: 1", "counter: 2", "counter: 3"]
    assert (episode.run, episode.sample, episode.seed, episode.horizon_in_force) == ("r", 2, 7, 30)
    assert [tool.name for tool in episode.tools] == ["add"]


def test_keys_chain_from_turn_to_turn() -> None:
    episode = run(make_agent("oracle"))
    first, second, third = episode.turns
    assert episode.state_key == first.state_key
    assert (first.next_state_key, second.next_state_key) == (second.state_key, third.state_key)
    assert first.action_key == second.action_key
    assert len({turn.history_key for turn in episode.turns}) == 3
    assert episode.final_state_key == third.next_state_key
    again = run(make_agent("oracle"))
    assert [turn.history_key for turn in again.turns] == [turn.history_key for turn in episode.turns]


def test_an_action_s_key_ignores_ids_and_the_order_of_arguments() -> None:
    from turnwise.agents.keys import action_key

    def key(**arguments: object) -> str:
        call = ToolCall(id=str(arguments), name="add", arguments=arguments)  # type: ignore[arg-type]
        return action_key(Action(calls=(call,)))

    assert key(a=1, b=2) == key(b=2, a=1) != key(a=2, b=1)
    assert action_key(Action(text="x")) != action_key(Action(text="y"))
    assert key(a=10**400)


@pytest.mark.parametrize(
    ("limits", "reason", "turns"),
    [
        (Limits(turns=2), StopReason.TURN_LIMIT, 2),
        (Limits(calls=1), StopReason.CALL_LIMIT, 1),
        (Limits(tokens=25), StopReason.TOKEN_LIMIT, 3),
        (Limits(context=110), StopReason.CONTEXT_LIMIT, 1),
        (Limits(cost=0.15), StopReason.COST_LIMIT, 2),
        (Limits(turns=1, cost=0.01), StopReason.TURN_LIMIT, 1),
    ],
)
def test_a_limit_truncates_and_what_there_is_is_graded(limits: Limits, reason: StopReason, turns: int) -> None:
    agent = Scripted(plain(usage=Usage(prompt_tokens=100, completion_tokens=10, cost=0.1, calls=1)))
    episode = run(agent, limits, task=tasks(1, target=10).tasks[0])
    assert (episode.stop_reason, len(episode.turns)) == (reason, turns)
    assert episode.score == pytest.approx(turns / 10)
    assert episode.success is False
    assert episode.scored
    assert episode.final_reward == pytest.approx(turns / 10)
    assert episode.reward == pytest.approx(turns / 10 + turns * 0.125)
    assert episode.usage.completion_tokens == 10 * turns
    assert episode.usage.cost == pytest.approx(0.1 * turns)


def test_the_wall_clock_interrupts_an_agent_that_hangs() -> None:
    episode = run(Scripted(plain(), wait_s=60), Limits(wall_s=0.05))
    assert (episode.stop_reason, episode.turns, episode.score) == (StopReason.WALL_LIMIT, (), 0.0)


@pytest.mark.parametrize(
    ("error", "kind", "name"),
    [
        (ModelResponseError("half a JSON"), "model", "ModelResponseError"),
        (AgentError("lost"), "agent", "AgentError"),
        (ZeroDivisionError("oops"), "agent", "ZeroDivisionError"),
    ],
)
def test_what_is_not_the_agent_s_doing_is_a_failure_without_a_score(error: Exception, kind: str, name: str) -> None:
    episode = run(Scripted(plain(), error))
    assert episode.failure is not None
    assert (episode.failure.kind, episode.failure.error, episode.failure.turn) == (kind, name, 1)
    assert (episode.stop_reason, episode.score, episode.success, episode.reward) == (
        StopReason.FAILURE,
        None,
        None,
        None,
    )
    assert not episode.scored
    assert len(episode.turns) == 1


def test_an_environment_that_breaks_is_a_failure() -> None:
    episode = run(make_agent("oracle"), task=tasks(1, breaks_at=2).tasks[0])
    assert episode.failure is not None
    assert (episode.failure.kind, episode.failure.message) == ("env", "the counter jammed")


def test_a_task_that_does_not_fit_is_a_failure_of_the_task() -> None:
    episode = run(make_agent("null"), task=Task(id="t", env="count", instruction="?", data={}))
    assert episode.failure is not None
    assert (episode.failure.kind, episode.failure.turn) == ("task", None)


class BadGrades(CountEnv):
    name = "bad"

    async def grade(self) -> Grade:
        self.pay("wrong", float("nan"))
        self._weights["wrong"] = 1.0
        self.pay("wrong", float("nan"))
        return Grade(score=1.0, success=True)


def test_a_reward_that_is_no_number_is_a_failure() -> None:
    async def main() -> Trajectory:
        return await rollout(BadGrades(), make_agent("oracle"), tasks(1).tasks[0])

    failure = anyio.run(main).failure
    assert failure is not None
    assert "must be finite" in failure.message


def test_an_agent_that_gives_up_is_graded() -> None:
    answers = plain(), Generation(action=Action(), text="I cannot", stop=StopReason.GAVE_UP)
    episode = run(Scripted(*answers))
    assert (episode.stop_reason, episode.score) == (StopReason.GAVE_UP, pytest.approx(1 / 3))
    assert [turn.text for turn in episode.turns] == ["", "I cannot"]


def test_a_message_that_cannot_be_parsed_ends_the_episode() -> None:
    episode = run(Scripted(Generation(action=Action(), text="<<", stop=StopReason.UNPARSABLE)))
    assert (episode.stop_reason, episode.turns[0].status) == (StopReason.UNPARSABLE, Status.INVALID)


def test_half_a_surrogate_pair_reaches_neither_environment_nor_record() -> None:
    broken = Action(text="\ud83d oh", calls=(ToolCall(id="c", name="ad\ud800d", arguments={"\ud800": ["\udfff"]}),))
    agent = Scripted(Generation(action=broken, text="\ud83d oh", message={"content": "\ud800"}), plain())
    episode = run(agent)
    assert episode.failure is None
    assert episode.turns[0].status is Status.INVALID
    assert episode.turns[0].text == "\ufffd oh"
    assert Trajectory.model_validate_json(episode.model_dump_json()).turns[0].calls[0].name == "ad\ufffdd"


def test_tokens_become_sequences_and_spans() -> None:
    first = TurnTokens(prompt_ids=[1, 2], completion_ids=[3], logprobs=[-0.5])
    second = TurnTokens(prompt_ids=[1, 2, 3, 9], completion_ids=[4, 5], logprobs=[-1.0, -2.0])
    third = TurnTokens(prompt_ids=[7], completion_ids=[8], logprobs=[-1.0], rewritten="window")
    episode = run(Scripted(plain(tokens=first), plain(tokens=second), plain(tokens=third)))
    assert [sequence.token_ids.tolist() for sequence in episode.sequences] == [[1, 2, 3, 9, 4, 5], [7, 8]]
    assert episode.sequences[0].loss_mask.tolist() == [False, False, True, False, True, True]
    span, after = episode.turns[0].action_span, episode.turns[0].observation_span
    assert span is not None
    assert after is not None
    assert (span.sequence, span.start, span.end, after.start, after.end) == (0, 2, 3, 3, 4)


def test_the_same_sample_has_the_same_seed_in_every_run_and_samples_differ() -> None:
    one, two = run(make_agent("null"), Limits(turns=1), run="a"), run(make_agent("null"), Limits(turns=1), run="b")
    other = run(make_agent("null"), Limits(turns=1), run="a", sample=1)
    assert one.agent_seed == two.agent_seed != other.agent_seed
    assert one.group_uid == other.group_uid != two.group_uid
    assert len({one.episode_id, two.episode_id, other.episode_id}) == 3


def test_the_agent_sees_the_conversation_grow() -> None:
    agent = Scripted(plain())
    run(agent)
    assert agent.seen == [0, 1, 2]
