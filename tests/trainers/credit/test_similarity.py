"""Clusters are those of difflib's SequenceMatcher, whatever shortcut is taken."""

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from turnwise.trainers import credit
from turnwise.trainers.credit import CreditBatch
from turnwise.trainers.credit.similarity import Clusters, block_finder, reaches, similar_cells

SHORT = st.text("abc \n", max_size=40)
LONG = st.builds("".join, st.lists(st.sampled_from(["door ", "lamp 7", "é", "key, ", "a"]), max_size=90))


@given(a=SHORT, b=SHORT)
@settings(max_examples=300, deadline=None)
def test_blocks_are_difflibs(a: str, b: str) -> None:
    block = SequenceMatcher(None, a, b, autojunk=False).find_longest_match(0, len(a), 0, len(b))
    assert block_finder(a, b)(0, len(a), 0, len(b)) == tuple(block)


@given(
    a=st.one_of(SHORT, LONG), b=st.one_of(SHORT, LONG), threshold=st.sampled_from([0.05, 0.3, 0.5, 0.8, 0.95, 0.999])
)
@settings(max_examples=300, deadline=None)
@example(a="", b="", threshold=0.95)
def test_decisions_are_difflibs(a: str, b: str, threshold: float) -> None:
    for autojunk in (False, True):
        ratio = SequenceMatcher(None, a, b, autojunk=autojunk).ratio()
        clusters = Clusters(threshold, autojunk)
        assert clusters.place(b) == 0
        assert (clusters.place(a) == 0) == (ratio >= threshold)
    assert reaches(a, b, threshold, block_finder(a, b)) == (
        SequenceMatcher(None, a, b, autojunk=False).ratio() >= threshold
    )


def chain(texts: list[str], uids: list[str] | None = None) -> CreditBatch:
    return CreditBatch.build(
        group=np.zeros(len(texts)),
        turns=np.ones(len(texts), dtype=int),
        reward=np.arange(len(texts), dtype=float),
        observation=texts,
        traj_uids=uids,
    )


def test_near_identical_long_texts_are_split_only_by_the_official_ratio() -> None:
    long = "the quick brown fox jumps over the lazy dog " * 8
    batch = chain(["A" + long, "B" + long])
    assert SequenceMatcher(None, "A" + long, "B" + long).ratio() < 0.95
    assert len(set(similar_cells(batch, 0.95))) == 1
    assert len(set(similar_cells(batch, 0.95, official=True))) == 2


def test_row_order_is_fixed_by_names() -> None:
    texts, uids = ["aaaaaaaaab", "aaaaaaaabb", "aaaaaaabbb"], ["2", "1", "0"]
    first = similar_cells(chain(texts, uids), 0.9)
    second = similar_cells(chain(texts[::-1], uids[::-1]), 0.9)
    assert (first[:, None] == first).tolist() == (second[::-1][:, None] == second[::-1]).tolist()


def test_gigpo_by_similarity() -> None:
    batch = chain(["room one, a lamp", "room one, a lamb", "elsewhere"])
    params = {"enable_similarity": True, "similarity_thresh": 0.9, "step_advantage_w": 1.0}
    values = credit.get("gigpo").estimate(batch, params).advantages
    np.testing.assert_allclose(values, [-1 - 0.5, 0 + 0.5, 1])
    with pytest.raises(credit.base.CreditError, match="gigpo needs the field 'observation'"):
        credit.get("gigpo").estimate(CreditBatch.build(group=[0], turns=[1], reward=[1.0]), params)
