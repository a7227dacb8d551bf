"""The fictional world: invented names, pages that state the graph, knobs."""

import re
import unicodedata

import pytest

from turnwise.envs.search.names import real_words
from turnwise.envs.search.pages import shown, write_pages
from turnwise.envs.search.questions import FORMS, cut
from turnwise.envs.search.world import WorldConfig, make_world

WORLD = make_world(WorldConfig(pages=1200))
PAGES = {page.id: page for page in write_pages(WORLD)}
PLAIN = """the lantern of in winter a year at letters to mirror song and sons river line university college press museum
observatory theatre festival expedition exhibition congress regatta prize"""
ENGLISH = set(PLAIN.split())


def words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.findall(r"[a-z]+", folded)


def test_no_invented_word_is_a_real_one_and_no_name_occurs_twice() -> None:
    real = real_words()
    assert {"london", "smith", "water", "tokyo"} <= real
    names = [name for entity in WORLD.entities for name in (entity.name, entity.alias) if name] + WORLD.spare
    assert len(set(names)) == len(names)
    invented = {word for name in names for word in words(name)} - ENGLISH
    assert len(invented) > 1000
    assert not invented & real


def test_every_fact_stands_on_the_page_of_its_thing() -> None:
    assert len(PAGES) == 1200
    for entity in WORLD.entities:
        text = PAGES[entity.doc_id].text
        assert entity.values["date"] in text
        assert entity.alias is None or entity.alias in text
        for target in entity.links.values():
            assert shown(WORLD.at(target)) in text


def test_phrasings_differ() -> None:
    starts = {PAGES[entity.doc_id].text.split(". ")[1].split(" ")[0] for entity in WORLD.by_kind["person"]}
    assert len(starts) > 3


def test_the_knobs() -> None:
    plain = make_world(WorldConfig(pages=400, aliases=0, distractors=0))
    assert not any(entity.alias for entity in plain.entities)
    assert not any(page.id.startswith("x") for page in write_pages(plain))
    noisy = make_world(WorldConfig(pages=400, aliases=1, distractors=0.5, contradictions=0.5))
    assert all(entity.alias for entity in noisy.entities)
    extra = [page for page in write_pages(noisy) if page.id.startswith("x")]
    assert len(extra) == 200
    assert sum("almanac" in page.text or "Hearsay" in page.text for page in extra) > 50
    assert make_world(WorldConfig(pages=400, seed=1)).entities != make_world(WorldConfig(pages=400, seed=2)).entities


@pytest.mark.parametrize("form", list(FORMS))
def test_questions_are_answered_by_the_graph_alone(form: str) -> None:
    import random

    drafts = [draft for n in range(300) if (draft := cut(WORLD, form, random.Random(f"{form}{n}")))]
    assert len(drafts) > 5
    for draft in drafts:
        assert draft.question.endswith("?")
        for lookup in draft.lookups:
            assert lookup.says in f"{PAGES[lookup.doc_id].title} {PAGES[lookup.doc_id].text}"
        if form.startswith("chain"):
            assert draft.hops == int(form[-1])
            last = PAGES[draft.lookups[-1].doc_id].text
            assert any(answer in last for answer in draft.answers)


def test_what_cannot_be_answered_is_stated_nowhere() -> None:
    import random

    for n in range(400):
        draft = cut(WORLD, "unanswerable", random.Random(n))
        if draft is None or not draft.lookups:
            continue
        entity = next(e for e in WORLD.entities if e.doc_id == draft.lookups[0].doc_id)
        assert draft.identity[1] not in entity.links
