"""The agents that ask no model, played against a small environment."""

import random

import anyio
import pytest

from turnwise.agents import AgentFactory, Conversation, Exchange, Stage, agent_names, make_agent
from turnwise.agents.scripted import Replay
from turnwise.envs import Action, Grade, StepResult, StopReason, ToolCall, ToolEnv, tool
from turnwise.errors import AgentError, ConfigError, UnknownNameError
from turnwise.tasks import Task
from turnwise.trajectories import Trajectory
from turnwise.trajectories.records import Turn


class Door(ToolEnv):
    """Opens at the right digit."""

    name = "door"
    version = "1"

    async def begin(self) -> str:
        self.open = False
        return "Open the door."

    def state(self) -> bool:
        return self.open

    async def grade(self) -> Grade:
        return Grade(float(self.open), self.open)

    async def sample_action(self, rng: random.Random) -> Action:
        return Action(calls=(ToolCall(id="r", name="dial", arguments={"digit": rng.randint(0, 9)}),))

    @tool
    def dial(self, digit: int) -> str:
        """Dial."""
        self.open = digit == 7
        if self.open:
            self.finish(StopReason.SOLVED)
        return "open" if self.open else "shut"


GOLD = Action(calls=(ToolCall(id="g", name="dial", arguments={"digit": 7}),))
TASK = Task(id="d", env="door", instruction="", data={}, gold={"actions": [GOLD.model_dump(mode="json")]})


def play(factory: AgentFactory, seed: int = 0, turns: int = 5) -> list[Action]:
    async def main() -> list[Action]:
        env = Door()
        first, _ = await env.reset(TASK, seed=0)
        agent = factory.start(seed, stage=Stage(env=env, task=TASK))
        conversation = Conversation(system_prompt=agent.system_prompt(env.tools), first=first)
        for _ in range(turns):
            made = await agent.act(conversation, env.tools)
            if made.stop:
                break
            result: StepResult = await env.step(made.action)
            conversation.turns.append(Exchange(action=made.action, observation=result.observation))
            if result.terminated:
                break
        return [turn.action for turn in conversation.turns]

    return anyio.run(main)


def test_oracle_takes_the_gold_actions() -> None:
    assert play(make_agent("oracle")) == [GOLD]


def test_random_is_decided_by_its_seed() -> None:
    assert play(make_agent("random"), seed=1) == play(make_agent("random"), seed=1)
    assert any(play(make_agent("random"), seed=seed) != play(make_agent("random"), seed=1) for seed in range(2, 6))


def test_null_does_nothing() -> None:
    assert play(make_agent("null")) == [Action()] * 5


def _recorded(actions: list[Action], agent_seed: int) -> Trajectory:
    turns = tuple(Turn(index=i, text=a.text, calls=a.calls) for i, a in enumerate(actions))
    return Trajectory(
        episode_id="e", run="r", env="door", env_version="1", config_digest="c", agent="x", task_id="d",
        task_key=TASK.key, seed=0, agent_seed=agent_seed, group_uid="g", turns=turns, stop_reason=StopReason.ENDED,
    )  # fmt: skip


def test_replay_does_what_was_recorded_and_then_gives_up() -> None:
    talk, dial = Action(text="hm"), Action(calls=(ToolCall(id="x", name="dial", arguments={"digit": 1}),))
    factory = Replay(episodes=[_recorded([talk, dial], 3), _recorded([dial], 4)])
    assert play(factory, seed=3) == [talk, dial]
    assert play(factory, seed=4) == [dial]
    assert play(factory, seed=99) == [talk, dial]
    with pytest.raises(AgentError, match="no recorded episode"):
        play(Replay())


def test_scripted_agents_say_what_they_need() -> None:
    with pytest.raises(AgentError, match="stage"):
        make_agent("oracle").start(0)


def test_agents_are_found_by_name() -> None:
    assert {"oracle", "random", "null", "replay"} <= set(agent_names())
    assert make_agent("turnwise.agents.scripted:Null").name == "null"
    with pytest.raises(UnknownNameError, match="Did you mean 'oracle'"):
        make_agent("oracel")
    with pytest.raises(UnknownNameError, match="no module"):
        make_agent("no_such_module_here:Agent")
    with pytest.raises(UnknownNameError, match="has no"):
        make_agent("turnwise.agents.scripted:Nobody")
    with pytest.raises(ConfigError, match="is no agent"):
        make_agent("turnwise.tasks.base:Task")
    with pytest.raises(ConfigError, match="settings: none"):
        make_agent("null", temperature=1)
