"""Questions cut from a world, each with its answers, its evidence and the searches that lead there.

A draft is right by the graph. Whether the engine really leads there is proved afterwards (``prove``); what it does
not lead to is no question.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from turnwise.envs.search.pages import shown
from turnwise.envs.search.world import MONTHS, Entity, Kind, World

NONE = "unanswerable"
"""The answer to a question that the pages do not answer."""

_NOUNS: dict[str, str] = {
    "capital": "the capital of {x}",
    "province": "the province in which {x} lies",
    "river": "the river on which {x} stands",
    "birthplace": "the city where {x} was born",
    "teacher": "the teacher of {x}",
    "employer": "the institute that employed {x}",
    "spouse": "the spouse of {x}",
    "founder": "the founder of {x}",
    "seat": "the city where {x} is based",
    "creator": "the creator of {x}",
    "sponsor": "the institute that commissioned {x}",
    "setting": "the city in which {x} is set",
    "place": "the city where {x} was held",
    "leader": "the leader of {x}",
    "giver": "the institute that gives {x}",
}
_ASKED: dict[str, tuple[str, ...]] = {
    "capital": ("What is the capital of {x}?", "From which city is {x} governed?"),
    "province": ("In which province does {x} lie?", "To which province does {x} belong?"),
    "river": ("On which river does {x} stand?", "Which river flows through {x}?"),
    "birthplace": ("In which city was {x} born?", "What is the birthplace of {x}?"),
    "teacher": ("Who was the teacher of {x}?", "Under whom did {x} study?"),
    "employer": ("At which institute was {x} employed?", "Which institute employed {x}?"),
    "spouse": ("To whom was {x} married?", "Who was the spouse of {x}?"),
    "founder": ("Who founded {x}?", "Who was the founder of {x}?"),
    "seat": ("In which city does {x} have its seat?", "Where is {x} based?"),
    "creator": ("Who created {x}?", "Who is the creator of {x}?"),
    "sponsor": ("Which institute commissioned {x}?", "Who commissioned {x}?"),
    "setting": ("In which city is {x} set?", "What is the setting of {x}?"),
    "place": ("In which city was {x} held?", "Where did {x} take place?"),
    "leader": ("Who led {x}?", "Who was the leader of {x}?"),
    "giver": ("Which institute gives {x}?", "By which institute is {x} given?"),
}
_DATED: dict[str, str] = {
    "province": "On what date was {x} formed?",
    "river": "On what date was {x} first mapped?",
    "city": "On what date did {x} receive its charter?",
    "person": "On what date was {x} born?",
    "institute": "On what date was {x} founded?",
    "work": "On what date was {x} first shown to the public?",
    "event": "On what date did {x} open?",
    "award": "On what date was {x} first announced?",
}
_EARLIER: dict[Kind, str] = {
    "city": "Which city received its charter earlier, {x} or {y}?",
    "person": "Who was born earlier, {x} or {y}?",
    "institute": "Which was founded earlier, {x} or {y}?",
    "work": "Which was shown to the public earlier, {x} or {y}?",
    "event": "Which opened earlier, {x} or {y}?",
}
_RELATIONS: dict[Kind, tuple[str, ...]] = {
    "province": ("capital",),
    "city": ("province", "river"),
    "person": ("birthplace", "teacher", "employer", "spouse"),
    "institute": ("founder", "seat"),
    "work": ("creator", "sponsor", "setting"),
    "event": ("place", "leader"),
    "award": ("giver",),
}
_ABSENT = tuple(
    (kind, relation)
    for kind, relations in _RELATIONS.items()
    for relation in relations
    if relation in ("river", "teacher", "spouse", "founder", "sponsor", "setting", "leader", "giver")
)


@dataclass(frozen=True)
class Lookup:
    """One search of the solution, the page it must bring up, and what that page must say."""

    query: str
    doc_id: str
    says: str


@dataclass
class Draft:
    """A question before it is proved."""

    form: str
    question: str
    answers: tuple[str, ...]
    lookups: list[Lookup] = field(default_factory=list)
    identity: tuple[str, ...] = ()
    """What is asked, whatever the wording."""
    dead_end: str | None = None
    """A search of an unanswerable question that finds nothing of use."""

    @property
    def hops(self) -> int:
        """Pages that must be read."""
        return len(self.lookups) + (self.dead_end is not None)

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of these pages, each once."""
        return tuple(dict.fromkeys(lookup.doc_id for lookup in self.lookups))


def cut(world: World, form: str, rng: random.Random) -> Draft | None:
    """Draw one question of a form; None where this draw found none."""
    return FORMS[form](world, rng)


def _pick(world: World, rng: random.Random, *kinds: Kind) -> Entity:
    return rng.choice(world.by_kind[rng.choice(kinds)])


def _called(entity: Entity, rng: random.Random) -> tuple[str, str]:
    """Return how a question names an entity, and what to search for: now and then its second name."""
    if entity.alias and rng.random() < 0.5:
        return (f'the {entity.variety} "{entity.alias}"' if entity.kind == "work" else entity.alias), entity.alias
    return (f"the {entity.variety} {shown(entity)}" if entity.kind == "work" else entity.name), entity.name


def _date_answers(date: str) -> tuple[str, ...]:
    day, month, year = date.split()
    return date, f"{month} {day}, {year}", f"{year}-{MONTHS.index(month) + 1:02d}-{int(day):02d}"


def _names(entity: Entity) -> tuple[str, ...]:
    return (entity.name, entity.alias) if entity.alias else (entity.name,)


def _chain(hops: int) -> Callable[[World, random.Random], Draft | None]:
    def draw(world: World, rng: random.Random) -> Draft | None:
        here = _pick(world, rng, "work", "event", "institute", "award", "person", "city")
        phrase, query = _called(here, rng)
        draft, seen = Draft(f"chain{hops}", "", (), identity=(here.doc_id,)), {here.ordinal}
        for hop in range(hops):
            last = hop == hops - 1
            if last and rng.random() < 0.35:
                return _ask_date(draft, here, phrase, query)
            options = [r for r in _RELATIONS.get(here.kind, ()) if here.links.get(r, here.ordinal) not in seen]
            if not options:
                return None
            relation = rng.choice(options)
            there = world.at(here.links[relation])
            draft.lookups.append(Lookup(query, here.doc_id, shown(there)))
            draft.identity += (relation,)
            if last:
                draft.question, draft.answers = rng.choice(_ASKED[relation]).format(x=phrase), _names(there)
                return draft
            seen.add(there.ordinal)
            phrase, query, here = _NOUNS[relation].format(x=phrase), there.name, there
        raise AssertionError("the last hop returns")

    return draw


def _ask_date(draft: Draft, here: Entity, phrase: str, query: str) -> Draft:
    draft.question = _DATED[here.kind].format(x=phrase)
    draft.answers = _date_answers(here.values["date"])
    draft.lookups.append(Lookup(query, here.doc_id, here.values["date"]))
    draft.identity += ("date",)
    return draft


def _comparison(world: World, rng: random.Random) -> Draft | None:
    kind = rng.choice(sorted(_EARLIER))
    first, second = rng.sample(world.by_kind[kind], 2)
    if first.year == second.year:
        return None
    earlier = min(first, second, key=lambda entity: entity.year)
    lookups = [Lookup(entity.name, entity.doc_id, entity.values["date"]) for entity in (first, second)]
    return Draft(
        "comparison",
        _EARLIER[kind].format(x=shown(first), y=shown(second)),
        _names(earlier),
        lookups,
        ("earlier", *sorted((first.doc_id, second.doc_id))),
    )


def _intersection(world: World, rng: random.Random) -> Draft | None:
    person = _pick(world, rng, "person")
    works = [world.at(work) for work in person.works]
    relation = rng.choice(("sponsor", "setting"))
    work = rng.choice(works) if len(works) >= 2 else None
    if work is None or relation not in work.links:
        return None
    if sum(other.links.get(relation) == work.links[relation] for other in works) != 1:
        return None
    target = world.at(work.links[relation])
    clause = {"sponsor": f"was commissioned by {target.name}", "setting": f"is set in {target.name}"}[relation]
    lookups = [Lookup(person.name, person.doc_id, other.name) for other in (work,)]
    # Every work of the person has to be looked at until the right one is found; the solution goes there at once.
    lookups.append(Lookup(work.name, work.doc_id, shown(target)))
    question = f"Which work by {person.name} {clause}?"
    return Draft("intersection", question, _names(work), lookups, (person.doc_id, relation, target.doc_id))


_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def _counting(world: World, rng: random.Random) -> Draft | None:
    person = _pick(world, rng, "person")
    if len(person.works) < 2:
        return None
    years = [world.at(work).year for work in person.works]
    bound = rng.choice(range(min(years) + 1, max(years) + 10))
    count = sum(year < bound for year in years)
    phrase, query = _called(person, rng)
    question = f"How many works by {phrase} were shown to the public before {bound}?"
    answers = (str(count), _NUMBERS[count]) if count < len(_NUMBERS) else (str(count),)
    lookup = Lookup(query, person.doc_id, world.at(person.works[0]).name)
    return Draft("counting", question, answers, [lookup], (person.doc_id, "count", str(bound)))


def _temporal(world: World, rng: random.Random) -> Draft | None:
    """Who headed a place when something happened: the date is on one page, the list of heads on another."""
    place = _pick(world, rng, "city", "institute")
    event = _pick(world, rng, "event", "work")
    heads = [(who, first, last) for who, first, last in place.holders if first <= event.year <= last]
    if len(heads) != 1:
        return None
    head = world.at(heads[0][0])
    what = "mayor" if place.kind == "city" else "director"
    when = "opened" if event.kind == "event" else "was first shown to the public"
    phrase, query = _called(event, rng)
    question = f"Who was the {what} of {place.name} when {phrase} {when}?"
    lookups = [Lookup(query, event.doc_id, event.values["date"]), Lookup(place.name, place.doc_id, head.name)]
    return Draft("temporal", question, _names(head), lookups, (place.doc_id, "head", event.doc_id))


def _absent(world: World, rng: random.Random) -> Draft | None:
    """Ask for a relation that does not hold, of a thing the pages know."""
    kind, relation = rng.choice(_ABSENT)
    here = rng.choice(world.by_kind[kind])
    if relation in here.links:
        return None
    phrase, query = _called(here, rng)
    question = rng.choice(_ASKED[relation]).format(x=phrase)
    lookup = Lookup(query, here.doc_id, here.name)
    return Draft(NONE, question, (NONE,), [lookup], (here.doc_id, relation), dead_end=f"{here.name} {relation}")


def _unheard(world: World, rng: random.Random) -> Draft | None:
    """Ask about a thing that is nowhere in the pages."""
    word = rng.choice(world.spare)
    relation = rng.choice(("founder", "capital", "leader", "creator"))
    noun = {"founder": "{} Observatory", "capital": "{}", "leader": "{} Regatta", "creator": "the opera {} in Winter"}
    name = noun[relation].format(word)
    question = rng.choice(_ASKED[relation]).format(x=name)
    return Draft(NONE, question, (NONE,), [], (name, relation), dead_end=word)


def _unanswerable(world: World, rng: random.Random) -> Draft | None:
    return (_absent if rng.random() < 0.75 else _unheard)(world, rng)


FORMS: dict[str, Callable[[World, random.Random], Draft | None]] = {
    **{f"chain{hops}": _chain(hops) for hops in (1, 2, 3, 4)},
    "comparison": _comparison,
    "intersection": _intersection,
    "counting": _counting,
    "temporal": _temporal,
    NONE: _unanswerable,
}
