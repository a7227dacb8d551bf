"""How answers are compared."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnwise.envs.search import rewards, scoring

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "search" / "search_r1_cases.jsonl").read_text().splitlines()
]


def test_the_rule_agrees_with_search_r1_on_200_cases() -> None:
    assert len(CASES) == 200
    assert {case["score"] for case in CASES} == {0.0, 1.0}
    for case in CASES:
        assert scoring.search_r1_score(case["response"], case["golds"]) == case["score"], case


def test_one_answer_tag_is_enough() -> None:
    assert scoring.search_r1_score("<answer>Paris</answer>", ["paris"]) == 1.0
    assert scoring.search_r1_score("<answer>Rome</answer>", ["paris"], format_score=0.1) == 0.1
    assert scoring.search_r1_score("Paris", ["paris"], format_score=0.1) == 0.0


@pytest.mark.parametrize(
    ("answer", "golds", "f1"),
    [
        ("the red house", ["red house"], 1.0),
        ("red red house", ["red house"], 0.8),
        ("blue", ["red house", "blue sky"], 2 / 3),
        ("", ["red"], 0.0),
        ("the", ["a"], 1.0),
        ("x", [], 0.0),
    ],
)
def test_token_f1(answer: str, golds: list[str], f1: float) -> None:
    assert scoring.token_f1(answer, golds) == pytest.approx(f1)


@given(st.text(), st.lists(st.text(), max_size=3))
def test_f1_is_bounded_and_exact_match_implies_one(answer: str, golds: list[str]) -> None:
    f1 = scoring.token_f1(answer, golds)
    assert 0.0 <= f1 <= 1.0
    if scoring.exact_match(answer, golds):
        assert f1 == 1.0
    assert scoring.normalize(scoring.normalize(answer)) == scoring.normalize(answer) or "\u0130" in answer.upper()


def test_arena() -> None:
    assert rewards.relevance(["a", "b"], ["b", "a"]) == 1.0
    assert rewards.relevance(["a", "c"], ["b", "a"]) == 0.5
    assert rewards.relevance([], ["b"]) == 0.0
    assert rewards.relevance([], []) == 1.0
    assert rewards.bonus(1, 1, 1) == 10.0
    assert rewards.bonus(1, 1, 0.5) == 0.0


GOOD = "<think>a</think><search>b</search><information>c\nd</information><think>e</think><answer>f</answer>"


@pytest.mark.parametrize(
    ("response", "score"),
    [
        (GOOD, 1.0),
        (GOOD.replace("<think>e</think>", ""), 0.25),
        (GOOD.replace("b", "b\nc", 1), 0.0),
        (GOOD.replace("<search>b", "<search>query"), 0.0),
        (GOOD.replace("<think>a", "hello<think>a"), 0.0),
        (GOOD.replace("<think>a</think>", ""), 0.0),
        (GOOD.replace("<information>c\nd</information>", ""), 0.0),
        (GOOD + "<answer>g</answer>", 0.0),
        (GOOD.replace("<think>e</think>", "<think>e</think>" * 9), 0.0),
        (GOOD.replace("</answer>", ""), 0.0),
        ("<think>a</think><answer>f</answer>", 0.0),
    ],
)
def test_ssrl_format(response: str, score: float) -> None:
    assert rewards.ssrl_format(response) == pytest.approx(score)
