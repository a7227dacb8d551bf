"""The fictional world: people, places, works, institutes, events and awards as a graph, made from a seed.

The graph decides every fact; pages (``pages``) and questions (``questions``) are cut from it, so that an answer is
right by construction.
"""

import random
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.search.names import Namer

VERSION = "1"
"""Raised whenever the same recipe could give other pages."""

Kind = Literal["province", "river", "city", "person", "institute", "work", "event", "award"]

SHARES: dict[Kind, float] = {
    "province": 0.01,
    "river": 0.02,
    "city": 0.12,
    "person": 0.36,
    "institute": 0.12,
    "work": 0.24,
    "event": 0.10,
    "award": 0.03,
}
"""Part of the entities that is of each kind, in the order they are made."""

VARIETIES: dict[Kind, tuple[str, ...]] = {
    "province": ("province",),
    "river": ("river",),
    "city": ("city",),
    "person": ("painter", "composer", "novelist", "engineer", "botanist", "historian", "architect", "astronomer"),
    "institute": ("university", "publishing house", "museum", "observatory", "shipping company", "theatre"),
    "work": ("novel", "opera", "symphony", "painting", "poem", "film"),
    "event": ("festival", "expedition", "exhibition", "congress", "regatta"),
    "award": ("prize",),
}
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


class WorldConfig(BaseModel):
    """The recipe of a world: together with the code's version it decides every byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 7
    pages: int = Field(default=5000, ge=200, le=2_000_000)
    """Pages of the encyclopaedia."""
    distractors: float = Field(default=0.15, ge=0, le=0.6)
    """Part of the pages that only mention things, and people and works that share a name."""
    aliases: float = Field(default=0.3, ge=0, le=1)
    """Part of the entities with a second name."""
    contradictions: float = Field(default=0.02, ge=0, le=0.5)
    """Part of the distracting pages that state a wrong date; the thing's own page is right."""


@dataclass(slots=True)
class Entity:
    """One thing in the world; links are ordinals of other entities."""

    ordinal: int
    kind: Kind
    variety: str
    name: str
    alias: str | None = None
    links: dict[str, int] = field(default_factory=dict)
    """Relation → the one entity it leads to; a relation that does not hold is absent."""
    values: dict[str, str] = field(default_factory=dict)
    """Attribute → its value as text."""
    holders: list[tuple[int, int, int]] = field(default_factory=list)
    """Heads of a city or institute: person, first year, last year; an award: person, year, work."""
    works: list[int] = field(default_factory=list)
    """A person's works, by year."""

    @property
    def doc_id(self) -> str:
        """Id of the entity's page."""
        return f"t{self.ordinal:07d}"

    @property
    def year(self) -> int:
        """The year in the entity's date."""
        return int(self.values["date"].split()[-1])


@dataclass(slots=True)
class World:
    """A finished graph."""

    config: WorldConfig
    entities: list[Entity]
    by_kind: dict[Kind, list[Entity]]
    spare: list[str]
    """Invented words that name nothing in the world."""

    def at(self, ordinal: int) -> Entity:
        """Return an entity by ordinal."""
        return self.entities[ordinal]


def make_world(config: WorldConfig) -> World:
    """Make the graph of a recipe."""
    return _Maker(config).make()


class _Maker:
    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.rng = random.Random(f"turnwise.world|{config.seed}|{config.pages}|{config.aliases}|{config.distractors}")
        self.namer = Namer(self.rng)
        self.entities: list[Entity] = []
        self.by_kind: dict[Kind, list[Entity]] = {kind: [] for kind in SHARES}

    def make(self) -> World:
        total = round(self.config.pages * (1 - self.config.distractors))
        people = round(total * SHARES["person"])
        self.given = self.namer.words(max(20, people // 12))
        self.surnames = self.namer.words(max(20, people // 3))
        self.used: set[str] = set()
        for kind, share in SHARES.items():
            count = max(3, round(total * share)) if kind != "person" else total - self._others(total)
            for _ in range(count):
                self._add(kind)
        for entity in self.entities:
            getattr(self, f"_link_{entity.kind}", lambda _entity: None)(entity)
        self._list_works()
        for kind in ("city", "institute", "award"):
            for entity in self.by_kind[kind]:
                entity.holders = self._awards(entity) if kind == "award" else self._terms(entity)
        return World(self.config, self.entities, self.by_kind, self.namer.words(200))

    def _others(self, total: int) -> int:
        return sum(max(3, round(total * share)) for kind, share in SHARES.items() if kind != "person")

    def _add(self, kind: Kind) -> None:
        variety = self.rng.choice(VARIETIES[kind])
        entity = Entity(len(self.entities), kind, variety, self._name(kind, variety))
        if self.rng.random() < self.config.aliases:
            entity.alias = self._alias(entity)
        entity.values["date"] = self._date(*_SPANS[kind])
        if kind == "river":
            entity.values["length"] = f"{self.rng.randint(40, 2400)} km"
        if kind == "event":
            entity.values["visitors"] = f"{self.rng.randint(210, 98000):,}"
        self.entities.append(entity)
        self.by_kind[kind].append(entity)

    def _name(self, kind: Kind, variety: str) -> str:
        if kind == "person":
            return self._person()
        word = self.namer.word()
        if kind == "work":
            return self.rng.choice(_TITLES).format(word)
        if kind == "institute":
            return self.rng.choice(_INSTITUTES[variety]).format(word)
        if kind in ("event", "award"):
            return f"{word} {variety.capitalize()}"
        return f"River {word}" if kind == "river" else word

    def _person(self) -> str:
        while True:
            name = f"{self.rng.choice(self.given)} {self.rng.choice(self.surnames)}"
            if name not in self.used:
                self.used.add(name)
                return name

    def _alias(self, entity: Entity) -> str:
        word = self.namer.word()
        if entity.kind == "person":
            return f"{entity.name.split()[0]} {word}"
        return self.rng.choice(_TITLES).format(word) if entity.kind == "work" else word

    def _date(self, first: int, last: int) -> str:
        year, month, day = self.rng.randint(first, last), self.rng.choice(MONTHS), self.rng.randint(1, 28)
        return f"{day} {month} {year}"

    def _some(self, kind: Kind, chance: float = 1.0) -> int | None:
        return self.rng.choice(self.by_kind[kind]).ordinal if self.rng.random() < chance else None

    def _set(self, entity: Entity, relation: str, target: int | None) -> None:
        if target is not None and target != entity.ordinal:
            entity.links[relation] = target

    def _link_province(self, entity: Entity) -> None:
        self._set(entity, "capital", self._some("city"))

    def _link_city(self, entity: Entity) -> None:
        self._set(entity, "province", self._some("province"))
        self._set(entity, "river", self._some("river", 0.7))

    def _link_person(self, entity: Entity) -> None:
        self._set(entity, "birthplace", self._some("city"))
        self._set(entity, "teacher", self._some("person", 0.6))
        self._set(entity, "employer", self._some("institute", 0.6))
        if "spouse" not in entity.links and self.rng.random() < 0.4:
            other = self.rng.choice(self.by_kind["person"])
            if other is not entity and "spouse" not in other.links:
                entity.links["spouse"], other.links["spouse"] = other.ordinal, entity.ordinal

    def _link_institute(self, entity: Entity) -> None:
        self._set(entity, "founder", self._some("person", 0.85))
        self._set(entity, "seat", self._some("city"))

    def _link_work(self, entity: Entity) -> None:
        self._set(entity, "creator", self._some("person"))
        self._set(entity, "sponsor", self._some("institute", 0.7))
        self._set(entity, "setting", self._some("city", 0.7))

    def _link_event(self, entity: Entity) -> None:
        self._set(entity, "place", self._some("city"))
        self._set(entity, "leader", self._some("person", 0.8))

    def _link_award(self, entity: Entity) -> None:
        self._set(entity, "giver", self._some("institute", 0.8))

    def _list_works(self) -> None:
        for work in self.by_kind["work"]:
            self.entities[work.links["creator"]].works.append(work.ordinal)
        for person in self.by_kind["person"]:
            person.works.sort(key=lambda ordinal: (self.entities[ordinal].year, ordinal))

    def _terms(self, entity: Entity) -> list[tuple[int, int, int]]:
        terms, year = [], max(1790, entity.year)
        for person in self.rng.sample(self.by_kind["person"], min(self.rng.randint(3, 6), len(self.by_kind["person"]))):
            last = year + self.rng.randint(2, 15)
            terms.append((person.ordinal, year, last))
            year = last + 1
        return terms

    def _awards(self, entity: Entity) -> list[tuple[int, int, int]]:
        works = self.rng.sample(self.by_kind["work"], min(self.rng.randint(4, 9), len(self.by_kind["work"])))
        first = max(entity.year, 1800)
        return [(work.links["creator"], first + 3 * n, work.ordinal) for n, work in enumerate(works)]


_SPANS: dict[Kind, tuple[int, int]] = {
    "province": (1500, 1800),
    "river": (1500, 1800),
    "city": (1100, 1780),
    "person": (1780, 1960),
    "institute": (1700, 1930),
    "work": (1800, 1990),
    "event": (1800, 1990),
    "award": (1800, 1950),
}
_TITLES = ("The Lantern of {}", "{} in Winter", "A Year at {}", "Letters to {}", "The {} Mirror", "Song of {}")
_INSTITUTES = {
    "university": ("University of {}", "{} College"),
    "publishing house": ("{} Press", "{} and Sons"),
    "museum": ("{} Museum", "Museum of {}"),
    "observatory": ("{} Observatory",),
    "shipping company": ("{} Line",),
    "theatre": ("{} Theatre", "Theatre {}"),
}
