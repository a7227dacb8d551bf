"""Generators: the same tasks everywhere, splits that share no question, knobs that are checked."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.errors import ConfigError, TaskError, UnknownNameError
from turnwise.tasks import Generator, Knobs, Task, TaskSet, import_tasks, make_generator


class SumKnobs(Knobs):
    largest: int = 30


class Sums(Generator):
    name = "sums"
    version = "1"
    env = "calculator"
    Knobs = SumKnobs
    WORDINGS = ("What is {} plus {}?", "Add {} and {}.")

    def draw(self, rng: random.Random) -> Task | None:
        a, b = rng.randint(0, self.knobs.largest), rng.randint(0, self.knobs.largest)
        if a == b:
            return None
        text = rng.choice(self.WORDINGS).format(a, b)
        return Task(id="", env=self.env, instruction=text, data={"a": a, "b": b}, gold={"sum": a + b})

    def identity(self, task: Task) -> str:
        return f"{task.data['a']}+{task.data['b']}"


HERE = f"{__name__}:Sums"
PINNED = "7df6239a8cbfa64ec872a528279ef5c5adab247e523f17ef38b8d935cf37ca65"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), other=st.integers(0, 1000))
def test_no_question_crosses_a_split_whatever_the_seeds(seed: int, other: int) -> None:
    sums = Sums()
    train = {sums.identity(task) for task in sums.generate(40, seed=seed, split="train")}
    test = {sums.identity(task) for task in sums.generate(20, seed=other, split="test")}
    assert len(train) == 40
    assert not train & test


def test_the_same_seed_gives_the_same_panel_and_another_seed_another() -> None:
    panel = Sums().panel({"train": 5, "test": 3}, seed=1)
    assert panel == Sums().panel({"train": 5, "test": 3}, seed=1)
    assert panel.digest != Sums().panel({"train": 5, "test": 3}, seed=2).digest
    assert panel.digest == PINNED
    assert panel.tasks[0].id == "sums-train-0000"
    assert panel.tasks[0].source == "sums@1 seed=1"


def test_fewer_tasks_are_the_first_of_more() -> None:
    assert Sums().generate(10, seed=0)[:4] == Sums().generate(4, seed=0)


def test_knobs_reach_the_tasks_and_their_source() -> None:
    tasks = Sums(SumKnobs(largest=9)).generate(12, seed=0)
    assert max(int(str(task.data["a"])) for task in tasks) <= 9
    assert tasks[0].source == 'sums@1 seed=0 knobs={"largest":9}'


def test_knobs_too_narrow_say_so() -> None:
    with pytest.raises(TaskError, match=r"found only .* of 50"):
        Sums(SumKnobs(largest=2)).generate(50, seed=0)
    with pytest.raises(TaskError, match="no split 'tset'"):
        Sums().generate(1, seed=0, split="tset")


def test_a_generator_by_name_with_checked_knobs() -> None:
    assert make_generator(HERE, largest="12").knobs.largest == 12
    with pytest.raises(ConfigError, match=r"knob 'larges'.*knobs: largest"):
        make_generator(HERE, larges=3)
    with pytest.raises(UnknownNameError, match="no generator is named 'nope'"):
        make_generator("nope")
    with pytest.raises(ConfigError, match="does not inherit"):
        make_generator(f"{__name__}:SumKnobs")


def lines(path: Path, *, limit: int = 5, split: str = "train") -> TaskSet:
    """Import one task per line of a text file."""
    texts = path.read_text().splitlines()[:limit]
    made = (Task(id=str(n), env="calculator", split=split, instruction=text) for n, text in enumerate(texts))
    return TaskSet(name=path.stem, tasks=tuple(made))


def test_an_importer_takes_a_path_and_checked_options(tmp_path: Path) -> None:
    source = tmp_path / "sums.txt"
    source.write_text("1+1\n2+2\n3+3\n")
    assert [task.instruction for task in import_tasks(f"{__name__}:lines", source, limit="2")] == ["1+1", "2+2"]
    with pytest.raises(ConfigError, match="option 'limit'"):
        import_tasks(f"{__name__}:lines", source, limit="many")
    with pytest.raises(ConfigError, match="no option 'lmit'; it has limit, split"):
        import_tasks(f"{__name__}:lines", source, lmit=3)
    with pytest.raises(TaskError, match="no such file"):
        import_tasks(f"{__name__}:lines", tmp_path / "none")
