"""Claims hold everywhere, biases are found where they are, and the documentation shows what is measured."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from turnwise.errors import CreditError, UnknownNameError
from turnwise.trainers.credit import Credit, CreditBatch, Estimator, NoParams, get, names
from turnwise.trainers.lab import (
    Case,
    LabTable,
    Setting,
    case,
    cases,
    environment,
    markdown,
    measure,
    run_table,
    summary,
)
from turnwise.trainers.lab.cases import UNMEASURED
from turnwise.trainers.lab.measure import EXACT_ZERO, HALF_WIDTH
from turnwise.trainers.lab.table import percent, summary_rows

ROOT = Path(__file__).parent.parent.parent.parent
BIASED = (
    "grpo",
    "per turn index",
    "per turn index, centred",
    "per length",
    "gigpo, deviation",
    "turn_gae",
    "wrong critic, λ = 0",
)


@pytest.fixture(scope="module")
def table() -> LabTable:
    return run_table(cases())


def test_a_claim_of_no_bias_holds_everywhere(table: LabTable) -> None:
    claimed = [name for name, claim in table.claims.items() if claim]
    assert {"turn_rloo", "rloo", "dr_grpo", "remax", "fork_value", "true advantage"} <= set(claimed)
    assert table.broken_claims() == ()
    assert {cell.estimator for cell in table.cells if not cell.exact} == {"shapley, sampled"}
    assert all(cell.half_width <= HALF_WIDTH for cell in table.cells)


WITHOUT_CLAIM = {"archer": "unbiased where its critics are exact, as they are here: no claim about a trained one's"}
"""Estimators that declare no claim although nothing is found against them, and why."""


def test_what_declares_no_claim_is_biased_somewhere(table: LabTable) -> None:
    silent = {name for name in table.estimators if not table.claims[name]}
    assert {name for name in silent if table.worst(name) <= HALF_WIDTH} == set(WITHOUT_CLAIM)


def test_every_method_is_measured_and_its_declaration_is_its_row(table: LabTable) -> None:
    assert set(names()) - set(table.estimators) == set(UNMEASURED) == {"grpo_vectorized", "rloo_vectorized"}
    for name in set(names()) - set(UNMEASURED):
        assert table.claims[name] == get(name).unbiased
        assert any(cell.estimator == name for cell in table.cells)
    for name in UNMEASURED:
        assert get(name).unbiased == get(name.removesuffix("_vectorized")).unbiased


def test_sampled_attribution_agrees_with_exact(table: LabTable) -> None:
    for name in table.environments:
        exact, sampled = (table.cell(label, name, 4) for label in ("shapley", "shapley, sampled"))
        assert exact is not None
        assert sampled is not None
        assert abs(exact.gradient_bias - sampled.gradient_bias) <= sampled.half_width + EXACT_ZERO


@pytest.mark.parametrize("name", BIASED)
def test_what_is_called_biased_is_biased_somewhere(table: LabTable, name: str) -> None:
    assert table.worst(name) > 0.05


def test_normalising_per_turn_index_fails_where_lengths_differ(table: LabTable) -> None:
    for name in ("early_stop", "noisy_tool", "information"):
        cell = table.cell("per turn index, centred", name, 4)
        assert cell is not None
        assert cell.gradient_bias > 0.1
    fixed = table.cell("per turn index, centred", "key_door", 4)
    assert fixed is not None
    assert fixed.gradient_bias < EXACT_ZERO, "where all episodes are equally long the constant is one"


def test_the_exact_advantage_is_exact(table: LabTable) -> None:
    for cell in table.cells:
        if cell.estimator == "true advantage":
            assert cell.advantage_bias == pytest.approx(0, abs=1e-9)
            assert cell.sign_error == 0
            assert (cell.scale, cell.cosine) == (pytest.approx(1), pytest.approx(1))


def test_more_episodes_per_group_mean_less_variance(table: LabTable) -> None:
    for name in table.environments:
        two, four = (table.cell("turn_rloo", name, n) for n in (2, 4))
        assert two is not None
        assert four is not None
        assert four.variance is not None
        assert two.variance is not None
        assert four.variance < two.variance


def test_what_a_method_lacks_is_said(table: LabTable) -> None:
    lacking = {(entry.estimator, entry.environment): entry.why for entry in table.missing}
    assert "gold_logprob" in lacking["igpo", "chain"]
    assert ("igpo", "information") not in lacking


@pytest.mark.parametrize("name", ["turn_rloo", "grpo", "per turn index"])
def test_sampling_agrees_with_listing_within_its_interval(name: str) -> None:
    setting = Setting(environment("early_stop"))
    exact = measure(case(name), setting, 4)
    sampled = measure(case(name), setting, 4, samples=40_000, seed=3, cells=100)
    assert not sampled.exact
    assert abs(sampled.gradient_bias - exact.gradient_bias) <= sampled.half_width + 1e-9
    assert sampled.mse is not None
    assert sampled.variance == pytest.approx(exact.variance, rel=0.1)
    assert sampled.mse == pytest.approx(exact.mse, rel=0.1)


def test_groups_too_many_to_list_are_sampled_until_the_interval_is_narrow() -> None:
    cell = measure(case("turn_rloo"), Setting(environment("noisy_tool")), 8, cells=400)
    assert not cell.exact
    assert cell.half_width <= HALF_WIDTH
    assert not cell.biased


class Mine(Estimator[NoParams]):
    """A user's own: the reward of the turn, and nothing of what follows."""

    unbiased = True
    Params = NoParams

    def credit(self, batch: CreditBatch, params: NoParams) -> Credit:
        return Credit(advantages=batch.reward, returns=batch.reward, weights=np.ones(batch.turns))


def test_a_users_own_estimator_is_measured_and_its_claim_checked() -> None:
    mine = case(f"{__name__}:Mine")
    made = run_table([mine], ["key_door", "durations"], [2])
    assert {cell.environment for cell in made.broken_claims()} == {"key_door", "durations"}


def test_wrong_use_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'turn_rloo'"):
        case("turn_rlo")
    with pytest.raises(CreditError, match="at least one episode"):
        run_table([case("rloo")], ["chain"], [0])


def test_a_group_of_one_is_defined_for_every_estimator() -> None:
    made = run_table(cases(), ["early_stop"], [1])
    assert not any(math.isnan(cell.gradient_bias) for cell in made.cells)


def shown(name: str) -> str:
    text = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- lab:{name} -->\n(.*?)\n<!-- lab:end -->", text, flags=re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_documentation_shows_what_is_measured(table: LabTable) -> None:
    advice = "docs/lab.md is out of date: put the output of `turnwise lab --markdown` between its markers"
    assert shown("bias") == markdown(table, 4), advice
    assert shown("summary") == summary(table, 4), advice


def table_rows(text: str) -> list[list[str]]:
    """Rows of a Markdown table whose first or second cell is a name in backquotes."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if any(cell[:1] == "`" for cell in row[:2])]


def test_the_guide_to_the_methods_shows_what_is_measured(table: LabTable) -> None:
    guide = (ROOT / "docs" / "credit.md").read_text(encoding="utf-8")
    methods = table_rows(guide.split("| Method | Level |")[1].split("\n\n")[0])
    measured = {row[0]: (row[1], row[-1]) for row in summary_rows(table, 4)}
    assert {row[0].strip("`"): (row[-2], row[-1]) for row in methods} == {
        name: measured[name] for name in names() if name not in UNMEASURED
    }
    claims = table_rows(guide.split("<!-- lab:claims -->")[1].split("<!-- lab:end -->")[0])
    assert len(claims) > 15
    for _, label, where, bias in claims:
        cell = table.cell(label.strip("`"), where.strip("`"), 4)
        assert cell is not None
        assert percent(cell) == bias, (label, where)


def test_a_case_may_claim_for_itself() -> None:
    assert Case(label="x", method="turn_gae", unbiased=True).claim
    assert not Case(label="x", method="turn_gae").claim
