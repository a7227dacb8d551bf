"""The generator of the default tasks: a world, questions cut from it, and solutions proved by the engine itself."""

import random
from importlib.resources import as_file, files
from typing import ClassVar

from pydantic import Field, JsonValue

from turnwise.envs.search.corpora import WorldCorpus, open_index
from turnwise.envs.search.documents import Document
from turnwise.envs.search.harness import call
from turnwise.envs.search.index import Index
from turnwise.envs.search.questions import FORMS, NONE, Draft, Lookup, cut
from turnwise.envs.search.scoring import normalize
from turnwise.envs.search.view import page_with
from turnwise.envs.search.world import WorldConfig, make_world
from turnwise.errors import ConfigError
from turnwise.tasks import Task, TaskSet
from turnwise.tasks.files import load_tasks
from turnwise.tasks.generate import Generator, Knobs

TOP_K = 5
"""Results among which a solution's page must be; the environment's default."""
_REDRAWS = 50
"""Draws of one form before another is tried; rare forms would be rarer still without."""
DEFAULT_FORMS = {
    "chain1": 2,
    "chain2": 4,
    "chain3": 3,
    "chain4": 2,
    "comparison": 2,
    "intersection": 2,
    "counting": 1,
    "temporal": 2,
    NONE: 2,
}


class SearchKnobs(Knobs):
    """What the generator can be told."""

    world: int = 7
    """Seed of the world; the seed of ``generate`` draws the questions."""
    pages: int = Field(default=5000, ge=200, le=2_000_000)
    distractors: float = Field(default=0.15, ge=0, le=0.6)
    aliases: float = Field(default=0.3, ge=0, le=1)
    contradictions: float = Field(default=0.02, ge=0, le=0.5)
    forms: dict[str, int] = DEFAULT_FORMS
    """Shares of the forms of question."""

    def recipe(self) -> WorldConfig:
        """Return the world's recipe."""
        own = {"distractors": self.distractors, "aliases": self.aliases, "contradictions": self.contradictions}
        return WorldConfig.model_validate({"seed": self.world, "pages": self.pages, **own})


class SearchGenerator(Generator):
    """Questions of 1 to 4 hops, comparison, intersection, counting, temporal and unanswerable ones."""

    name = "search"
    version = "1"
    env = "search"
    Knobs = SearchKnobs
    tries: ClassVar[int] = 2000

    def begin(self, seed: int) -> None:
        """Make the world and its index."""
        knobs: SearchKnobs = self.knobs
        if unknown := sorted(set(knobs.forms) - set(FORMS)):
            raise ConfigError(f"no form of question is named {unknown[0]!r}; forms: {', '.join(FORMS)}")
        corpus = WorldCorpus(recipe=knobs.recipe())
        self.world = make_world(corpus.recipe)
        self.index = open_index(corpus)
        self.corpus = corpus.model_copy(update={"digest": self.index.digest})

    def draw(self, rng: random.Random) -> Task | None:
        """Draw a question and prove it."""
        shares: dict[str, int] = self.knobs.forms
        form = rng.choices(list(shares), list(shares.values()))[0]
        for _ in range(_REDRAWS):
            draft = cut(self.world, form, rng)
            if draft is not None and prove(draft, self.index):
                return as_task(draft, self.corpus, self.index)
        return None

    def identity(self, task: Task) -> str:
        """Return what is asked, whatever the wording."""
        return str(task.gold["asks"])


def prove(draft: Draft, index: Index) -> bool:
    """Tell whether the engine leads to the answer: every page is among the results, and says what it must."""
    for lookup in draft.lookups:
        document = _found(index, lookup)
        if document is None or page_with(document.text, lookup.says) is None:
            return False
    if draft.dead_end is None:
        told = draft.form not in ("comparison", "counting") and normalize(draft.answers[0]) in normalize(draft.question)
        return not told
    return draft.lookups != [] or index.ordinals(draft.dead_end, 1) == []


def _found(index: Index, lookup: Lookup) -> Document | None:
    hits = index.search(lookup.query, TOP_K)
    return next((hit.document for hit in hits if hit.document.id == lookup.doc_id), None)


def as_task(draft: Draft, corpus: WorldCorpus, index: Index) -> Task:
    """Turn a proved draft into a task; the generator sets its id, split and source."""
    return Task(
        id="draft",
        env="search",
        instruction=draft.question,
        data={"corpus": corpus.model_dump(mode="json")},
        gold={
            "answers": list(draft.answers),
            "unanswerable": draft.form == NONE,
            "evidence": list(draft.evidence),
            "asks": " ".join(draft.identity),
            "actions": _solution(draft, index),
        },
        difficulty=draft.hops,
        tags=(draft.form,),
    )


def _solution(draft: Draft, index: Index) -> list[JsonValue]:
    steps: list[tuple[str, dict[str, object]]] = []
    for lookup in draft.lookups:
        document = index.get(lookup.doc_id)
        page = page_with(document.text, lookup.says) if document else None
        steps.append(("search", {"query": lookup.query}))
        steps.append(("open", {"doc_id": lookup.doc_id, "page": page or 1}))
    if draft.dead_end is not None:
        steps.append(("search", {"query": draft.dead_end}))
    steps.append(("answer", {"text": draft.answers[0], "evidence": list(draft.evidence)}))
    actions = [call(name, turn, **arguments) for turn, (name, arguments) in enumerate(steps, start=1)]
    return [action.model_dump(mode="json", exclude_defaults=True) for action in actions]


def world_panel() -> TaskSet:
    """Return the shipped panel ``search/world@1``: 300 train, 100 dev and 100 test tasks over the default world."""
    with as_file(files("turnwise.envs.search").joinpath("data", "world.jsonl")) as path:
        return load_tasks(path, name="search/world", version="1")


def make_world_panel() -> TaskSet:
    """Generate the shipped panel anew."""
    return SearchGenerator().panel({"train": 300, "dev": 100, "test": 100}, seed=1, name="search/world", version="1")
