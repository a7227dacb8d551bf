"""A world written out as encyclopaedia pages: several phrasings, second names, dates, tables, distracting pages.

A page states facts of the graph only, apart from the pages of hearsay, which are marked as such in their text.
"""

import random
from collections.abc import Iterator

from turnwise.envs.search.documents import Document
from turnwise.envs.search.world import Entity, World

PHRASES: dict[str, tuple[str, ...]] = {
    "capital": ("Its capital is {o}.", "The province is governed from {o}.", "{o} serves as the provincial capital."),
    "province": ("{s} lies in the province of {o}.", "It belongs to the province of {o}."),
    "river": ("{s} stands on the {o}.", "The {o} flows through the city."),
    "birthplace": ("{s} was born in {o}.", "The {v} came from {o}, the city of birth.", "Born in {o}, {s} left early."),
    "teacher": ("{s} was taught by {o}.", "{o} was the teacher of {s}.", "{s} studied under {o}."),
    "employer": ("{s} was employed at {o}.", "For many years {s} worked for {o}."),
    "spouse": ("{s} was married to {o}.", "{o} was the spouse of {s}.", "In middle age {s} married {o}."),
    "founder": ("{s} was founded by {o}.", "Its founder was {o}.", "{o} founded {s}."),
    "seat": ("{s} has its seat in {o}.", "It is based in {o}."),
    "creator": ("{s} is {av} by {o}.", "The {v} was created by {o}.", "{o} is the creator of {s}."),
    "sponsor": ("The work was commissioned by {o}.", "{o} commissioned the {v}."),
    "setting": ("{s} is set in {o}.", "Its setting is {o}."),
    "place": ("{s} was held in {o}.", "The {v} took place in {o}."),
    "leader": ("{s} was led by {o}.", "The leader of the {v} was {o}."),
    "giver": ("The prize is given by {o}.", "{o} gives {s}."),
}
DATES: dict[str, tuple[str, ...]] = {
    "province": ("The province was formed on {d}.",),
    "river": ("The river was first mapped on {d}.",),
    "city": ("{s} received its charter on {d}.", "The charter of {s} dates from {d}."),
    "person": ("{s} was born on {d}.", "The date of birth of {s} is {d}."),
    "institute": ("{s} was founded on {d}.", "It dates from {d}, when it was founded."),
    "work": ("{s} was first shown to the public on {d}.", "It first appeared on {d}."),
    "event": ("{s} opened on {d}.", "The {v} opened on {d}."),
    "award": ("{s} was first announced on {d}.",),
}
_LEADS = {
    "province": "{s} is a province.",
    "river": "The {s} is a river.",
    "city": "{s} is a city.",
    "person": "{s} was {av}.",
    "institute": "{s} is {av}.",
    "work": "{s} is {av}.",
    "event": "{s} was {av}.",
    "award": "{s} is a prize for works of art and letters.",
}
_ALIASES = ("{s} is also known as {a}.", "Older sources call {s} by the name {a}.", "{a} is another name of {s}.")
_FILLERS = (
    "Opinions on the matter have changed over the years.",
    "Most of the early records were lost in a flood.",
    "A short account was printed in a local paper.",
    "The subject has drawn visitors and scholars alike.",
    "Little is known of the years that followed.",
    "Several guide books devote a chapter to it.",
    "The archives were opened to readers much later.",
    "Its reputation has grown steadily.",
)
_MENTIONS = (
    "A lecture series set {a} beside {b}.",
    "A calendar printed pictures of {a} and of {b}.",
    "Visitors who come for {a} often ask about {b}.",
    "A reader's letter compared {a} with {b}.",
)
_HEARSAY = (
    "An unreliable almanac connects {s} with {d}.",
    "Hearsay, never confirmed, gives the date {d} for {s}.",
)


def write_pages(world: World) -> Iterator[Document]:
    """Yield the world's pages in id order: one per entity, then the distracting ones."""
    for entity in world.entities:
        yield _page(world, entity)
    for number in range(world.config.pages - len(world.entities)):
        yield _distractor(world, number)


def shown(entity: Entity) -> str:
    """Return the entity's name as sentences use it."""
    return f'"{entity.name}"' if entity.kind == "work" else entity.name


def _page(world: World, entity: Entity) -> Document:
    rng = random.Random(f"page|{world.config.seed}|{entity.ordinal}")
    article = "an" if entity.variety[0] in "aeio" else "a"
    names = {
        "av": f"{article} {entity.variety}",
        "s": shown(entity),
        "v": entity.variety,
        "a": entity.alias,
        "d": entity.values["date"],
    }
    facts = [rng.choice(DATES[entity.kind]).format(**names)]
    for relation, target in entity.links.items():
        facts.append(rng.choice(PHRASES[relation]).format(o=shown(world.at(target)), **names))
    facts += _numbers(entity)
    rng.shuffle(facts)
    lead = [_LEADS[entity.kind].format(**names)]
    if entity.alias:
        lead.append(rng.choice(_ALIASES).format(**names))
    middle = len(facts) // 2
    paragraphs = [" ".join(lead + facts[:middle]), " ".join([*facts[middle:], *rng.sample(_FILLERS, 3)])]
    return Document(entity.doc_id, entity.name, "\n\n".join(paragraphs + _tables(world, entity)))


def _numbers(entity: Entity) -> list[str]:
    if entity.kind == "river":
        return [f"The river is {entity.values['length']} long."]
    if entity.kind == "event":
        return [f"It counted {entity.values['visitors']} visitors."]
    return []


def _tables(world: World, entity: Entity) -> list[str]:
    if entity.kind == "person" and entity.works:
        rows = [f"| {world.at(w).name} | {world.at(w).variety} | {world.at(w).year} |" for w in entity.works]
        return ["\n".join(["Works", "| title | kind | year |", "| --- | --- | --- |", *rows])]
    if entity.kind == "award":
        rows = [f"| {year} | {world.at(p).name} | {world.at(w).name} |" for p, year, w in entity.holders]
        return ["\n".join(["Winners", "| year | winner | work |", "| --- | --- | --- |", *rows])]
    if entity.holders:
        head = "Mayors" if entity.kind == "city" else "Directors"
        rows = [f"| {world.at(p).name} | {first} | {last} |" for p, first, last in entity.holders]
        return ["\n".join([head, "| name | from | to |", "| --- | --- | --- |", *rows])]
    return []


def _distractor(world: World, number: int) -> Document:
    rng = random.Random(f"distractor|{world.config.seed}|{number}")
    entities = [rng.choice(world.entities) for _ in range(6)]
    lines = [
        rng.choice(_MENTIONS).format(a=shown(a), b=shown(b)) for a, b in zip(entities[::2], entities[1::2], strict=True)
    ]
    if rng.random() < world.config.contradictions:
        wrong = f"{rng.randint(1, 28)} {rng.choice(_MONTHS)} {rng.randint(1500, 1990)}"
        lines.append(rng.choice(_HEARSAY).format(s=shown(entities[0]), d=wrong))
    lines += rng.sample(_FILLERS, 3)
    rng.shuffle(lines)
    title = f"{rng.choice(_MISCELLANY)} on {entities[0].name} and {entities[1].name}"
    return Document(f"x{number:07d}", title, " ".join(lines))


_MONTHS = ("January", "March", "May", "June", "August", "October", "December")
_MISCELLANY = ("Notes", "Letters", "Anecdotes", "A pamphlet", "Remarks")
