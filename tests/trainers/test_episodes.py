"""Episodes of training against a fake token server: retries, what hangs, what was made already, probes."""

import contextlib
import subprocess
import threading
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

from turnwise.envs import StopReason, tool
from turnwise.errors import EnvError, StoreError
from turnwise.tasks import Task
from turnwise.trainers.episodes import Ask, EpisodeMaker
from turnwise.trainers.fakeserver import FakeTokenServer
from turnwise.trainers.liveprobes import UNPROBED
from turnwise.trainers.recipe import Recipe, parse_recipe
from turnwise.trajectories import Store, Trajectory
from word_env import Word, word_tokenizer

pytestmark = pytest.mark.train
TOKENIZER: Any = word_tokenizer()
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": -1}


class Gate(Word):
    """Opens at the word; can be told to break or to hang, and counts what was closed."""

    name = "gate"
    version = "1"
    breaks: ClassVar[int] = 0
    closed: ClassVar[int] = 0
    held: ClassVar[threading.Event] = threading.Event()

    async def close(self) -> None:
        Gate.closed += 1

    @tool
    async def say(self, word: str) -> str:
        """Say a word."""
        if Gate.breaks > 0:
            Gate.breaks -= 1
            raise EnvError("the hinge broke")
        self.said.append(word)
        if word == "yes":
            self.finish(StopReason.SOLVED)
        return f"you said {word}"

    @tool(blocking=True)
    def hang(self, how: str) -> str:
        """Wait for ever."""
        Gate.held.wait()
        return how

    @tool
    async def sleep(self, how: str) -> str:
        """Wait for ever, politely."""
        await anyio.sleep_forever()
        return how


TASK = Task(id="g", env=f"{__name__}:Gate", instruction="Say the word.", gold={"answers": ["yes"]})


@pytest.fixture(autouse=True)
def _whole() -> Any:
    Gate.breaks = Gate.closed = 0
    Gate.held = threading.Event()
    yield
    Gate.held.set()


def recipe(rl: dict[str, Any] | None = None, **parts: Any) -> Recipe:
    document = {
        "name": "gate",
        "env": {"name": TASK.env, "call_seconds": 0.3} | parts.pop("env", {}),
        "model": {"path": "none"},
        "agent": {"turn_tokens": 40} | parts.pop("agent", {}),
        "rl": {"steps": 4, "horizon": {"at": [0, 2], "turns": [2, 4]}} | (rl or {}),
    }
    return parse_recipe(document | parts, "test")


def make(tmp_path: Path, server: FakeTokenServer, chosen: Recipe, ask: Ask | None = None) -> Trajectory:
    maker = EpisodeMaker(chosen, tmp_path / "s.db", TOKENIZER, server)
    return anyio.run(maker.episode, ask or Ask(task=TASK, step=1, sample=0), SAMPLING)


def stored(tmp_path: Path) -> list[Trajectory]:
    with Store.open(tmp_path / "s.db") as store:
        return list(store.episodes(attempts=True))


def test_an_episode_is_stored_with_its_tokens_and_the_policys_version(tmp_path: Path) -> None:
    record = make(tmp_path, FakeTokenServer(TOKENIZER, ["say[no]", "say[yes]"], version=3), recipe())
    assert record.success
    assert {turn.policy_version for turn in record.turns} == {3}
    assert [episode.episode_id for episode in stored(tmp_path)] == [record.episode_id]
    assert Gate.closed == 1


def test_the_horizon_follows_the_step(tmp_path: Path) -> None:
    for step, turns in ((1, 2), (2, 4)):
        server = FakeTokenServer(TOKENIZER, lambda *_: "say[no]")
        record = make(tmp_path, server, recipe(), Ask(task=TASK, step=step, sample=0))
        assert (len(record.turns), record.stop_reason) == (turns, StopReason.TURN_LIMIT)


def test_sampling_seeds_are_given_only_to_deterministic_runs(tmp_path: Path) -> None:
    for deterministic in (False, True):
        asked = []
        for sample in (0, 1, 0):
            server = FakeTokenServer(TOKENIZER, lambda *_: "say[no]")
            folder = tmp_path / f"{deterministic}-{len(asked)}"
            folder.mkdir()
            make(folder, server, recipe(deterministic=deterministic), Ask(task=TASK, step=1, sample=sample))
            asked.append([params.get("seed") for _, _, params in server.asked])
        if deterministic:
            assert asked[0] == asked[2] != asked[1]
            assert len(set(asked[0])) == len(asked[0])
        else:
            assert all(seed is None for seeds in asked for seed in seeds)


def test_a_broken_environment_is_tried_again_and_every_attempt_is_kept(tmp_path: Path) -> None:
    Gate.breaks = 1
    record = make(tmp_path, FakeTokenServer(TOKENIZER, lambda *_: "say[yes]"), recipe())
    assert record.success
    assert [(episode.attempt, episode.scored) for episode in stored(tmp_path)] == [(0, False), (1, True)]
    assert Gate.closed == 2


def test_an_environment_that_stays_broken_gives_a_failure_and_no_score(tmp_path: Path) -> None:
    Gate.breaks = 99
    record = make(tmp_path, FakeTokenServer(TOKENIZER, lambda *_: "say[yes]"), recipe())
    assert record.failure
    assert (record.failure.kind, record.score, record.reward) == ("env", None, None)
    assert len(stored(tmp_path)) == 3


@pytest.mark.parametrize("call", ["hang[x]", "sleep[x]"])
def test_a_tool_that_hangs_is_a_failure_of_the_environment(tmp_path: Path, call: str) -> None:
    chosen = recipe(env={"attempts": 1})
    record = make(tmp_path, FakeTokenServer(TOKENIZER, ["say[no]", call]), chosen)
    assert record.failure
    assert record.failure.kind == "env"
    assert "did not end within 0.3 s" in record.failure.message
    assert len(record.turns) == 1


def test_a_server_that_hangs_or_dies_is_a_failure_of_the_model(tmp_path: Path) -> None:
    chosen = recipe(agent={"message_seconds": 0.2}, env={"attempts": 1})
    record = make(tmp_path, FakeTokenServer(TOKENIZER, ["say[no]"], hangs=True), chosen)
    assert record.failure
    assert (record.failure.kind, record.failure.error) == ("model", "ModelUnavailableError")
    record = make(tmp_path, FakeTokenServer(TOKENIZER, lambda *_: "say[yes]", fails=1), recipe())
    assert record.success
    assert record.attempt == 2
    messages = [episode.failure.message for episode in stored(tmp_path) if episode.failure]
    assert messages[1] == "the rollout server failed: ConnectionError: the server is gone"


def test_what_the_store_has_is_not_made_again(tmp_path: Path) -> None:
    first = make(tmp_path, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe())
    server = FakeTokenServer(TOKENIZER, [])
    again = make(tmp_path, server, recipe())
    assert server.asked == []
    assert again.model_dump(mode="json") == first.model_dump(mode="json")
    other = make(tmp_path, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe(), Ask(task=TASK, step=2, sample=0))
    assert other.episode_id != first.episode_id


def test_evaluations_are_runs_of_their_own(tmp_path: Path) -> None:
    ask = Ask(task=TASK, step=2, sample=0, purpose="eval")
    record = make(tmp_path, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe(), ask)
    assert (record.run, record.step) == ("gate-eval-2", None)


def test_a_store_that_takes_no_more_is_an_error_and_no_episode(tmp_path: Path) -> None:
    (tmp_path / "s.db").mkdir()
    with pytest.raises(StoreError):
        make(tmp_path, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe())


def test_a_cancelled_session_closes_its_environment(tmp_path: Path) -> None:
    server = FakeTokenServer(TOKENIZER, [], hangs=True)

    async def main() -> None:
        maker = EpisodeMaker(recipe(), tmp_path / "s.db", TOKENIZER, server)
        with anyio.move_on_after(0.2):
            await maker.episode(Ask(task=TASK, step=1, sample=0), SAMPLING)

    anyio.run(main)
    assert Gate.closed == 1
    assert not (tmp_path / "s.db").exists()


def by_temperature(_prompt: str, params: dict[str, Any]) -> str:
    return "say[yes]" if params["temperature"] == 0 else "say[no]"


def test_the_greedy_baseline_is_played_once_for_its_group(tmp_path: Path) -> None:
    server = FakeTokenServer(TOKENIZER, by_temperature)
    chosen = recipe({"credit": {"method": "remax"}})
    records: list[Trajectory] = []

    async def main() -> None:
        async def one(sample: int) -> None:
            maker = EpisodeMaker(chosen, tmp_path / "s.db", TOKENIZER, server)
            records.append(await maker.episode(Ask(task=TASK, step=1, sample=sample), SAMPLING))

        async with anyio.create_task_group() as group:
            for sample in range(3):
                group.start_soon(one, sample)

    anyio.run(main)
    assert [record.extra["baseline_reward"] for record in records] == [1.0] * 3
    assert sum(params["temperature"] == 0 for _, _, params in server.asked) == 1


def test_forks_measure_the_value_before_each_turn(tmp_path: Path) -> None:
    said = iter(["say[no]", "say[no]"])
    server = FakeTokenServer(TOKENIZER, lambda *_: next(said, "say[yes]"))
    chosen = recipe({"credit": {"method": "fork_value"}, "probe": {"branches": 2}})
    record = make(tmp_path, server, chosen)
    assert [turn.probes["fork_value"]["value"] for turn in record.turns] == [1.0, 1.0]  # type: ignore[index,call-overload]
    assert [turn.probes for turn in stored(tmp_path)[0].turns] == [turn.probes for turn in record.turns]


def test_a_probe_that_fails_leaves_score_and_says_so(tmp_path: Path) -> None:
    said = iter(["say[no]", "say[no]"])
    server = FakeTokenServer(TOKENIZER, lambda *_: next(said))
    record = make(tmp_path, server, recipe({"credit": {"method": "fork_value"}, "probe": {"branches": 2}}))
    assert record.scored
    assert "StopIteration" in str(record.extra[UNPROBED]) or "ModelUnavailable" in str(record.extra[UNPROBED])


def test_coalitions_are_played_from_the_record(tmp_path: Path) -> None:
    server = FakeTokenServer(TOKENIZER, ["say[no]", "say[yes]"])
    record = make(tmp_path, server, recipe({"credit": {"method": "shapley"}}))
    found: Any = record.extra["coalitions"]
    assert {tuple(each["turns"]): each["value"] for each in found} == {(): 0.0, (0,): 0.0, (1,): 1.0, (0, 1): 1.0}


def test_a_full_disk_loses_no_earlier_episode(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.decode().strip()}")
    try:
        first = make(disk, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe())
        with contextlib.suppress(OSError), (disk / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(4096))
                filler.flush()
        with pytest.raises(StoreError, match=r"full|No space"):
            make(disk, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe(), Ask(task=TASK, step=1, sample=1))
        (disk / "filler").unlink()
        make(disk, FakeTokenServer(TOKENIZER, ["say[yes]"]), recipe(), Ask(task=TASK, step=1, sample=2))
        found = stored(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert [episode.sample for episode in found] == [0, 2]
    assert found[0].episode_id == first.episode_id
