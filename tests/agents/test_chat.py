"""The chat agent against the fake endpoint, in a real environment."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from turnwise.agents import Conversation, Exchange, Generation, build_sequences, make_agent
from turnwise.envs import Grade, Status, StopReason, ToolEnv, tool
from turnwise.errors import ConfigError, ModelUnavailableError
from turnwise.models.fake import FakeServer, Faults, Reply, Rule, Script, call, say
from turnwise.tasks import Task

TASK = Task(id="d", env="door", instruction="", data={}, gold={})


class Door(ToolEnv):
    """Opens at the digit 7."""

    name = "door"
    version = "1"

    async def begin(self) -> str:
        self.open = False
        return "Open the door: dial a digit."

    def state(self) -> bool:
        return self.open

    async def grade(self) -> Grade:
        return Grade(float(self.open), self.open)

    @tool
    def dial(self, digit: int) -> str:
        """Dial."""
        self.open = digit == 7
        if self.open:
            self.finish(StopReason.SOLVED)
        return "open" if self.open else "shut"


def play(
    rule: Rule, turns: int = 8, faults: Faults | None = None, **config: Any
) -> tuple[list[Generation], FakeServer]:
    async def main(url: str) -> list[Generation]:
        factory = make_agent("chat", model="fake", base_url=url, longest_wait_s=0.05, **config)
        env, made = Door(), list[Generation]()
        first, _ = await env.reset(TASK, seed=0)
        agent = factory.start(5)
        conversation = Conversation(system_prompt=agent.system_prompt(env.tools), first=first)
        try:
            while len(made) < turns:
                made.append(await agent.act(conversation, env.tools))
                if made[-1].stop:
                    break
                result = await env.step(made[-1].action)
                conversation.turns.append(
                    Exchange(action=made[-1].action, observation=result.observation, message=made[-1].message)
                )
                if result.terminated:
                    break
        finally:
            await factory.aclose()
        return made

    with FakeServer(rule, faults=faults) as server:
        return anyio.run(main, server.url), server


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("native", [call("dial", digit=1), call("dial", digit=7)]),
        ("tags", [say("hm <dial>1</dial>"), say('<dial>{"digit": 7}</dial>')]),
        ("brackets", [say("dial[1]"), say("dial[7]")]),
        ("json", [say('{"tool": "dial", "arguments": {"digit": %d}}' % digit) for digit in (1, 7)]),  # noqa: UP031
    ],
)
def test_every_format_solves_a_task_token_for_token(name: str, messages: list[Reply]) -> None:
    made, server = play(Script(messages), format=name, token_ids=True)
    assert [[c.name for c in turn.action.calls] for turn in made] == [["dial"], ["dial"]]
    assert server.counts == {"requests": 2}
    sequences, spans = build_sequences([turn.tokens for turn in made])
    assert [sequence.opened_by for sequence in sequences] == ["start"]
    assert sequences[0].logprobs is not None
    assert spans[0] is not None
    assert sum(turn.usage.completion_tokens for turn in made) == int(sequences[0].loss_mask.sum())
    assert made[0].context is not None
    assert made[0].usage.calls == 1
    assert made[0].timings.generation_s is not None


def test_wrong_tools_and_arguments_are_the_environments_to_answer() -> None:
    made, server = play(
        Script(
            [Reply(calls=(("fly", "{}"),)), Reply(calls=(("dial", '{"digit": '),)), say("hm"), call("dial", digit=7)]
        )
    )
    assert [turn.stop for turn in made] == [None] * 4
    assert server.counts["status_400"] == 0
    told = [message["content"] for message in server.bodies[-1]["messages"] if message["role"] in ("tool", "user")]
    assert "There is no tool 'fly'" in told[1]
    assert "not a JSON object" in told[2]
    assert "No tool was called" in told[3]


def test_an_unparsable_message_stops_the_episode() -> None:
    made, _ = play(Script([say("let me think")]), format="tags")
    assert [turn.stop for turn in made] == [StopReason.UNPARSABLE]
    assert made[0].text == "let me think"


def test_or_is_passed_on_for_the_environment_to_answer() -> None:
    made, server = play(Script([say("hm"), say("<dial>7</dial>")]), format="tags", unparsable="answer")
    assert [turn.stop for turn in made] == [None, None]
    assert "No tool was called" in server.bodies[-1]["messages"][-1]["content"]


def test_resampling_keeps_what_was_thrown_away_and_counts_it() -> None:
    replies = iter([say("hm"), say("well"), say("<dial>7</dial>")])
    made, server = play(
        lambda _: next(replies), format="tags", resample=2, prices={"fake": {"input": 1.0, "output": 1.0}}
    )
    [turn] = made
    assert [attempt.text for attempt in turn.attempts] == ["hm", "well"]
    assert {attempt.status for attempt in turn.attempts} == {"unparsable"}
    assert turn.usage.calls == 3
    assert turn.usage.completion_tokens == 3 + 5 + 15
    assert turn.usage.cost == pytest.approx((turn.usage.prompt_tokens + turn.usage.completion_tokens) / 1e6)
    assert len({body["seed"] for body in server.bodies}) == 3
    assert [len(body["messages"]) for body in server.bodies] == [2, 2, 2]


def test_a_window_opens_sequences_and_says_what_was_dropped() -> None:
    made, _ = play(Script([call("dial", digit=1)]), turns=4, context="window:1", token_ids=True)
    assert [turn.context.dropped_turns for turn in made if turn.context] == [(), (), (0,), (0, 1)]
    sequences, _ = build_sequences([turn.tokens for turn in made])
    assert [sequence.opened_by for sequence in sequences] == ["start", "window", "window"]


def test_a_summary_is_asked_of_the_model_and_counted() -> None:
    def rule(request: Any) -> Reply:
        return say("door shut so far") if "Write down what" in request.last else call("dial", digit=1)

    made, server = play(rule, turns=4, context="summary:keep=1,every=2")
    assert [turn.usage.calls for turn in made] == [1, 1, 1, 2]
    assert made[-1].context is not None
    assert made[-1].context.summary == "door shut so far"
    assert "door shut so far" in str(server.bodies[-1]["messages"])


def test_a_chat_too_long_ends_at_the_context_limit() -> None:
    made, _ = play(Script([call("dial", digit=1), Reply(status=400, content="maximum context length is 9")]))
    assert [turn.stop for turn in made] == [None, StopReason.CONTEXT_LIMIT]


def test_a_server_that_stays_down_is_a_model_error() -> None:
    with pytest.raises(ModelUnavailableError, match="answered 500"):
        play(Script([Reply(fault="server_error")]), retries=1)


def test_two_runs_send_the_same_bytes() -> None:
    def sent(faults: Faults | None = None) -> Sequence[Any]:
        return list(play(Script([call("dial", digit=1)]), turns=3, faults=faults)[1].bodies)

    assert sent() == sent()
    mended = sent(Faults(0.3, seed=1, kinds=("server_error", "cut", "malformed")))
    assert [body for i, body in enumerate(mended) if body not in mended[:i]] == sent()


def test_wrong_calls_from_the_server_reach_the_environment() -> None:
    made, _ = play(Script([call("dial", digit=7)]), turns=3, faults=Faults(1.0, kinds=("wrong_tool", "bad_arguments")))
    assert len(made) == 3
    assert all(turn.action.calls for turn in made)


def test_settings_are_checked_and_secrets_left_out() -> None:
    agent = make_agent("chat", model="m", base_url="http://u:canary-pw@127.0.0.1:9/v1", api_key="canary-key", top_p=0.5)
    told = str(agent.describe()) + str(agent.running()) + str(agent.base_url) + repr(agent.config)
    assert agent.base_url == "http://127.0.0.1:9/v1"
    assert "canary" not in told
    assert "'top_p': 0.5" in told
    for wrong in ({"format": "tagz"}, {"context": "window:x"}, {"temperature": -1}, {"resampel": 1}):
        with pytest.raises((ConfigError, LookupError)):
            make_agent("chat", model="m", base_url="http://127.0.0.1:9/v1", **wrong)
    with pytest.raises(ConfigError, match="'model'"):
        make_agent("chat", base_url="http://127.0.0.1:9/v1")


def test_the_environment_answers_invalid_calls_in_the_chat() -> None:
    async def main() -> Status:
        env = Door()
        await env.reset(TASK, seed=0)
        return (await env.step("dial[x]")).info.status

    assert anyio.run(main) is Status.INVALID
