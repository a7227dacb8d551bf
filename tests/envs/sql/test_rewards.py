"""Partial credit: its parts, and that a right answer earns more than any wrong one."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnwise.envs import Action, ToolCall
from turnwise.envs.sql import CHINOOK, SqlConfig, SqlEnv
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.rewards import PARTS, PRESETS, check_weights, well_formed
from turnwise.envs.types import StepResult
from turnwise.errors import ConfigError
from turnwise.tasks import Task

TASK = Task(
    id="t",
    env="sql",
    instruction="Name the first three genres.",
    data={"database": CHINOOK, "name": "chinook"},
    gold={"sql": "SELECT Name FROM Genre WHERE GenreId < 4", "variants": [1, 2, 3]},
)
RIGHT = ["SELECT Name FROM Genre WHERE GenreId < 4", "WITH a AS (SELECT * FROM Genre) SELECT Name FROM a LIMIT 3"]
WRONG = [
    "SELECT Name FROM Genre WHERE GenreId < 5",
    "SELECT Name FROM Genre WHERE GenreId <= 4 AND GenreId <> 4 AND Name <> 'Opera' LIMIT 2",
    "SELECT 'Rock' UNION ALL SELECT 'Jazz' UNION ALL SELECT 'Metal'",
    "SELECT nope",
    "```sql\nSELECT Name FROM Genre WHERE GenreId < 4\n```",
    "",
]


def submitted(sql: str, config: SqlConfig, task: Task = TASK) -> StepResult:
    async def main() -> StepResult:
        async with SqlEnv(config) as env:
            await env.reset(task, seed=0)
            return await env.step(Action(calls=(ToolCall(id="c", name="submit", arguments={"sql": sql}),)))

    return anyio.run(main)


weights = st.dictionaries(st.sampled_from(PARTS), st.floats(0, 10), max_size=8)


@settings(max_examples=25, deadline=None)
@given(weights, st.floats(0.001, 5), st.sampled_from(RIGHT), st.sampled_from(WRONG))
def test_a_right_answer_beats_every_wrong_one(parts: dict[str, float], more: float, right: str, wrong: str) -> None:
    config = SqlConfig(weights={**parts, "outcome": sum(parts.values()) + more})
    assert submitted(right, config).reward > submitted(wrong, config).reward


def test_weights_that_could_break_it_are_refused() -> None:
    for weights in ({"syntax": 1.0}, {"syntax": -0.1}, {"nope": 0.1}, {"outcome": 0.0}, {"ngrams": float("nan")}):
        with pytest.raises(ConfigError):
            SqlEnv(SqlConfig(weights=weights))
    for preset in PRESETS.values():
        check_weights(preset)


def test_parts_of_a_near_miss() -> None:
    result = submitted("SELECT Name FROM Genre WHERE GenreId < 5", SqlConfig(rewards="reasoning_sql"))
    values = {part.name: part.value for part in result.info.reward_parts}
    assert values["syntax"] == values["linking"] == values["format"] == 1.0
    assert 0.5 < (values["ngrams"] or 0) < 1.0
    assert (values["cell_precision"], values["cell_recall"], values["cardinality"]) == (0.75, 1.0, 0.75)
    assert result.reward == pytest.approx(0.5 + 0.75 + 0.5 * (values["ngrams"] or 0) + 0.25)
    assert result.info.score == 0.0


def test_a_judge_is_never_asked_within_a_step() -> None:
    config = SqlConfig(weights={"outcome": 2.0, "judge": 1.0})
    part = next(part for part in submitted(RIGHT[0], config).info.reward_parts if part.name == "judge")
    assert (part.value, part.weight, part.amount) == (None, 1.0, 0.0)


def test_graded_comparisons_go_with_the_outcome_alone() -> None:
    task = TASK.model_copy(update={"data": {**TASK.data, "compare": "intercode"}})
    assert submitted("SELECT Name FROM Genre WHERE GenreId < 5", SqlConfig(), task).info.score == 0.75
    with pytest.raises(ConfigError, match="comparison only"):
        submitted(RIGHT[0], SqlConfig(rewards="think2sql"), task)


@pytest.mark.parametrize(("sql", "value"), [("select 1", 1.0), ("Sure! SELECT 1", 0.0), ("```SELECT 1```", 0.0)])
def test_format(sql: str, value: float) -> None:
    assert well_formed(sql) == value


def resemblance(answer: str, gold: str) -> tuple[float | None, float]:
    reply = ask_now({"op": "resemble", "answer": answer, "gold": gold, "dialect": "sqlite"})
    return reply["linking"], reply["ngrams"]


def test_resemblance() -> None:
    assert resemblance("SELECT a FROM t", "select A from T") == (1.0, 1.0)
    assert resemblance("SELECT a FROM t", "SELECT b FROM t")[0] == pytest.approx(1 / 3)
    assert resemblance("not sql (((", "SELECT 1")[0] == 0.0
    assert resemblance("x", "SELECT 1") == (0.0, 0.0)
    assert resemblance("SELECT " + "(" * 5000 + "1", "SELECT a FROM t")[0] == 0.0
