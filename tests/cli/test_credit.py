"""``turnwise credit`` as its user meets it, also wrongly."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tiny_env import CountEnv, tasks
from turnwise.agents import make_agent
from turnwise.agents.rollout import Place, rollout
from turnwise.trainers import credit
from turnwise.trajectories import RunRecord, Store, Trajectory
from turnwise.trajectories.lines import to_line
from turnwise_cli import Ran, assert_one_clear_line, turnwise

ROWS = [
    {"group_uid": "g", "traj_uid": "a", "outcome": 1.0, "turns": [{"state_key": "s"}, {"state_key": "t"}]},
    {"group_uid": "g", "traj_uid": "b", "outcome": 0.0, "turns": [{"state_key": "s", "x_note": "mine"}]},
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    return path


def episodes() -> list[Trajectory]:
    """A group of four: two count to three, two do nothing; and one of another group that fails."""

    async def play(agent: str, sample: int, **data: object) -> Trajectory:
        async with CountEnv() as env:
            return await rollout(
                env, make_agent(agent), tasks(1, **data).tasks[0], 7, place=Place(sample=sample, run="r")
            )

    async def main() -> list[Trajectory]:
        good = [await play(agent, sample) for sample, agent in enumerate(["oracle", "oracle", "null", "null"])]
        return [*good, await play("oracle", 0, breaks_at=2)]

    return anyio.run(main)


def stored(path: Path, found: list[Trajectory]) -> Path:
    record = RunRecord(
        run="r", env="count", env_version="1", config_digest="c", agent="oracle", seed=7, samples=4, created_at=0.0,
        kind="eval", config={}, versions={}, machine={},
    )  # fmt: skip
    with Store.open(path, "a") as store:
        store.append([record, *found])
    return path


def test_methods_lists_every_name_with_defaults_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(turnwise(capsys, "credit", "--methods", "--json").out)
    by_name = {row["name"]: row for row in listed["methods"]}
    assert sorted(by_name) == credit.names()
    weights = {p["name"]: p.get("default") for p in by_name["gigpo"]["parameters"]}
    assert (weights["step_advantage_w"], weights["mode"], weights["gamma"]) == (1.0, "mean_norm", 0.95)
    assert by_name["gae"]["required_fields"] == ["action_tokens", "values"]
    assert by_name["turn_rloo"]["unbiased"]
    assert "state_key" in listed["fields"]
    assert "gigpo" in turnwise(capsys, "credit", "--methods").out


def test_documents_fit_their_schemas(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from turnwise.cli.creditdocs import CreditDocument, Methods

    Methods.model_validate_json(turnwise(capsys, "credit", "--methods", "--json").out)
    path = written(tmp_path / "rows.jsonl", ROWS)
    both = turnwise(capsys, "credit", "--input", path, "--method", "gigpo", "--vs", "grpo", "--json")
    assert CreditDocument.model_validate_json(both.out).difference is not None


def test_rows_in_advantages_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    got = json.loads(turnwise(capsys, "credit", "--input", path, "--method", "turn_rloo", "--json").out)
    assert got["advantages"] == [
        {"trajectory": "a", "turn": 0, "value": 1.0},
        {"trajectory": "a", "turn": 1, "value": 1.0},
        {"trajectory": "b", "turn": 0, "value": -1.0},
    ]
    assert {"returns", "weights", "diagnostics"} <= set(got)
    assert "tokens" not in got


def test_rewards_that_do_not_add_up_are_noted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"group_uid": "g", "outcome": 1.0, "turns": [{"reward": 0.0}, {"reward": 0.0}]}]
    ran = turnwise(capsys, "credit", "--input", written(tmp_path / "rows.jsonl", rows), "--json")
    assert "in 1 of 1 trajectories the turn rewards do not add up" in ran.err
    assert [turn["value"] for turn in json.loads(ran.out)["advantages"]] == [0.0, 0.0]
    fine = turnwise(capsys, "credit", "--input", written(tmp_path / "rows.jsonl", ROWS), "--json")
    assert fine.err == ""


def test_tokens_come_out_where_the_method_has_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"group_uid": "g", "turns": [{"reward": 0, "values": [0.5, 0.25]}, {"reward": 1, "values": [0.5]}]}]
    path = written(tmp_path / "rows.jsonl", rows)
    options = ("--method", "gae", "--params", '{"whiten": false}', "--json")
    got = json.loads(turnwise(capsys, "credit", "--input", path, *options).out)
    assert got["tokens"] == [
        {"trajectory": "0", "turn": 0, "values": [0.5, 0.75]},
        {"trajectory": "0", "turn": 1, "values": [0.5]},
    ]


def test_comparing_two_methods(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    ran = turnwise(capsys, "credit", "--input", path, "--method", "gigpo", "--vs", "grpo")
    assert ran.code == 0
    for words in ("gigpo", "grpo", "correlation", "sign differs"):
        assert words in ran.out
    both = json.loads(turnwise(capsys, "credit", "--input", path, "--method", "gigpo", "--vs", "grpo", "--json").out)
    assert [turn["difference"] for turn in both["difference"]["turns"]] == pytest.approx(
        [a["value"] - b["value"] for a, b in zip(both["advantages"], both["vs"]["advantages"], strict=True)]
    )


def test_a_method_against_itself_with_other_parameters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    options = ("--method", "gigpo", "--vs", "gigpo", "--vs-params", '{"step_advantage_w": 0}', "--json")
    both = json.loads(turnwise(capsys, "credit", "--input", path, *options).out)
    assert both["difference"]["largest_difference"] > 0


def test_stored_episodes_are_credited_again_beside_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = stored(tmp_path / "episodes.db", episodes())
    with Store.open(path) as store:
        before = [episode.model_dump_json() for episode in store.episodes("r")]
    ran = turnwise(capsys, "credit", "r", "--store", path, "--method", "gigpo", "--vs", "grpo", "--json")
    got = json.loads(ran.out)
    assert [(row["why"].split()[0]) for row in got["lacking"]] == ["not"]
    with Store.open(path) as store:
        assert [episode.model_dump_json() for episode in store.episodes("r")] == before
        rows = store.credit("r")
    assert sorted({row.method for row in rows}) == ["gigpo", "grpo"]
    assert len(rows) == 8
    mine = next(row for row in rows if row.method == "gigpo")
    values = [a["value"] for a in got["advantages"] if a["trajectory"] == mine.episode_id]
    assert mine.advantages == pytest.approx(values)
    weighted = turnwise(
        capsys, "credit", "r", "--store", path, "--weights", '{"outcome": 2, "step": 0}', "--no-save", "--json"
    )
    first = json.loads(weighted.out)["returns"][0]
    assert first["value"] == 2.0
    assert "left out" in turnwise(capsys, "credit", "r", "--store", path, "--no-save").out


def test_exported_episodes_are_rows_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = episodes()[:4]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(to_line(episode) for episode in found), encoding="utf-8")
    bare = written(tmp_path / "bare.jsonl", [episode.model_dump(mode="json") for episode in found])
    outs = [json.loads(turnwise(capsys, "credit", "--input", path, "--json").out) for path in (lines, bare)]
    assert outs[0] == outs[1]
    assert len(outs[0]["advantages"]) == sum(len(episode.turns) for episode in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "gigp"), "Did you mean 'gigpo'?"),
        (("--method", "igpo"), "needs the field 'gold_logprob'"),
        (("--params", "{"), "--params is not JSON"),
        (("--params", "[]"), "must be a JSON object"),
        (("--params", '{"gama": 1}'), "Did you mean 'gamma'?"),
        (("--params", '{"gamma": 2}'), "must lie in [0, 1]"),
        (("--params", '{"gamma": "one"}'), "must be a number"),
        (("--pipeline", '{"base": {"method": "grpo"}, "turn": {"method": "gigpo"}}'), "does not compose"),
        (("--weights", '{"style": 1}'), "'components'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS)
    assert_one_clear_line(turnwise(capsys, "credit", "--input", path, *options), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1: not JSON"),
        ("3", "expected an object, got int"),
        ('{"turns": []}', "row 1 has no group_uid"),
        ('{"group_uid": "g", "turns": 3}', "needs turns: a list of objects"),
        ('{"group_uid": "g", "turns": [{}]}', "neither an outcome nor a turn with a reward"),
        ('{"group_uid": "g", "turns": [{"reward": "high"}]}', "must be a number"),
        ('{"group_uid": "g", "turns": [{"reward": true}]}', "must be a number"),
        ('{"group_uid": "g", "turns": [{"reward": NaN}]}', "not finite"),
        ('{"group_uid": "g", "turns": [{"reward": 1, "stat_key": 1}]}', "'stat_key' is no field of a turn"),
        ('{"group_uid": "g", "outcome": 1, "values": [1], "turns": []}', "'values' is no field of a trajectory"),
        ('{"group_uid": "g", "turns": [{"reward": 1, "values": [1], "logprobs": [1, 2]}]}', "different lengths"),
        (
            '{"group_uid": "g", "turns": [{"reward": 1, "values": [1]}, {"reward": 1}]}',
            "values of 0, turn 1 must be a list",
        ),
        ('{"group_uid": "g", "turns": [{"reward": 1, "action_tokens": 1}, {"reward": 1}]}', "has no action_tokens"),
        ('{"group_uid": "g", "turns": [{"reward": 1, "action_tokens": -1}]}', "whole number"),
        ('{"group_uid": "g", "outcome": 1, "components": 3, "turns": [{}]}', "must be an object of numbers"),
        ('{"episode_id": "e", "task_key": "k"}', "row 1 is no trajectory"),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    assert_one_clear_line(turnwise(capsys, "credit", "--input", path), words)


def test_what_is_missing_is_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert_one_clear_line(turnwise(capsys, "credit"), "give either a run")
    assert_one_clear_line(turnwise(capsys, "credit", "--input", tmp_path / "none.jsonl"), "cannot read")
    assert_one_clear_line(turnwise(capsys, "credit", "r", "--store", tmp_path / "none.db"), "none.db")
    path = stored(tmp_path / "episodes.db", episodes()[4:])
    assert_one_clear_line(turnwise(capsys, "credit", "r", "--store", path), "none of 1 episodes can be credited")
    assert_one_clear_line(turnwise(capsys, "credit", "other", "--store", path), "other")


def test_rows_fit_their_schema(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(turnwise(capsys, "credit", "--schema").out)
    full = {"reward": 1, "values": [1.0], "entropy": [0.1], "state_key": "s", "x_mine": {}}
    for row in [*ROWS, {"group_uid": 3, "turns": [full], "components": {"a": 1}}]:
        jsonschema.validate(row, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"group_uid": "g", "turns": [{"rewards": 1}]}, schema)


def test_a_gain_that_is_not_a_number_counts_as_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def row(gain: str) -> str:
        turns = f'[{{"info_gain": {gain}}}, {{"info_gain": 0.5}}, {{}}]'
        return f'{{"group_uid": "g", "traj_uid": "a", "outcome": 1, "turns": {turns}}}'

    def values(gain: str) -> list[float]:
        path = tmp_path / "rows.jsonl"
        path.write_text(row(gain), encoding="utf-8")
        ran = turnwise(capsys, "credit", "--input", path, "--method", "igpo", "--json")
        return [turn["value"] for turn in json.loads(ran.out)["advantages"]]

    assert values("NaN") == values("Infinity") == values("0.0") != values("0.1")
    path = tmp_path / "rows.jsonl"
    path.write_text(row("null"), encoding="utf-8")
    assert_one_clear_line(turnwise(capsys, "credit", "--input", path, "--method", "igpo"), "trajectory 'a', turn 0")


def test_an_empty_file_gives_an_empty_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [])
    ran: Ran = turnwise(capsys, "credit", "--input", path, "--json")
    assert json.loads(ran.out)["advantages"] == []
