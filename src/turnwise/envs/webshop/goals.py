"""Tasks over a generated catalogue, and the panels made of them."""

import random
from functools import lru_cache
from typing import ClassVar, NamedTuple

from pydantic import Field, JsonValue

from turnwise.envs.webshop import catalogue
from turnwise.envs.webshop.catalogue import Catalogue
from turnwise.envs.webshop.generate import FAMILY
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.reward import Goal, score
from turnwise.envs.webshop.vocabulary import Kind, vocabulary
from turnwise.envs.webshop.wording import instruction
from turnwise.tasks import Generator, Knobs, Task, TaskSet

NO_BOUND = 1_000_000.0


class Level(NamedTuple):
    """How hard a task is."""

    attributes: int
    options: int
    price: float
    """Probability of a price bound."""
    closeness: int
    """Siblings of the product that miss exactly one requirement."""
    synonyms: float
    """Probability that an attribute is said in other words."""


LEVELS = {
    1: Level(1, 1, 0.0, 0, 0.0),
    2: Level(2, 1, 0.5, 0, 0.0),
    3: Level(2, 1, 1.0, 1, 0.25),
    4: Level(3, 2, 1.0, 1, 0.5),
    5: Level(4, 2, 1.0, 1, 1.0),
}


class ShopKnobs(Knobs):
    """What the generator of shop tasks can be told; a knob that is None follows the task's level."""

    size: int = Field(default=1000, ge=FAMILY, le=10_000_000)
    """Products in the catalogue."""
    catalogue_seed: int = Field(default=7, ge=0, le=99_999_999)
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Levels to draw from, 1 to 5."""
    attributes: int | None = Field(default=None, ge=1, le=4)
    options: int | None = Field(default=None, ge=0, le=2)
    price: float | None = Field(default=None, ge=0, le=1)
    closeness: int | None = Field(default=None, ge=0, le=FAMILY - 1)
    synonyms: float | None = Field(default=None, ge=0, le=1)


class ShopTasks(Generator):
    """Draws a product, then an instruction that fits it, then a search that lists it."""

    name = "webshop"
    version = "1"
    env = "webshop"
    Knobs = ShopKnobs
    tries: ClassVar[int] = 2000

    def begin(self, seed: int) -> None:
        """Load the catalogue."""
        self.catalogue: Catalogue = catalogue.load(f"generated:{self.knobs.size}:{self.knobs.catalogue_seed}")

    def identity(self, task: Task) -> str:
        """A product is asked for once."""
        goal = Goal.model_validate(task.gold["goal"])
        number = self.catalogue.number(goal.asin)
        assert number is not None
        return f"{number // FAMILY}/{number}"

    def split_of(self, identity: str) -> str:
        """A family of near-duplicates lies in one split."""
        return super().split_of(identity.partition("/")[0])

    def draw(self, rng: random.Random) -> Task | None:
        """Draw one task, None where no search lists the product or the distractors are not close enough."""
        number = rng.randrange(self.catalogue.size)
        rank = rng.choice(self.knobs.levels)
        level = self._level(rank)
        product = self.catalogue.product(number)
        kind = next(kind for kind in vocabulary().kinds if kind.query == product.query)
        goal = self._goal(product, level, rng)
        near = self._near_misses(number, goal)
        query = self._query(number, kind, goal)
        if query is None or near < level.closeness:
            return None
        attributes = [vocabulary().attribute(name, kind) for name in goal.attributes]
        price = None if goal.price_upper == NO_BOUND else goal.price_upper
        assert isinstance(goal.options, dict)
        text = instruction(kind, attributes, goal.options, price=price, synonyms=level.synonyms, rng=rng)
        shown: dict[str, JsonValue] = {"catalogue": self.catalogue.name, "digest": self.catalogue.digest}
        plain = goal.model_copy(update={"options": tuple(goal.options.values())}).model_dump(mode="json")
        return Task(
            id="drawn",
            env=self.env,
            instruction=text,
            data=shown,
            gold={"goal": plain, "query": query},
            difficulty=rank,
            tags=(kind.category,),
        )

    def _level(self, rank: int) -> Level:
        level = LEVELS[rank]
        told = {name: getattr(self.knobs, name) for name in Level._fields}
        return level._replace(**{name: value for name, value in told.items() if value is not None})

    def _goal(self, product: Product, level: Level, rng: random.Random) -> Goal:
        attributes = rng.sample(product.attributes, min(level.attributes, len(product.attributes)))
        names = rng.sample(list(product.options), min(level.options, len(product.options)))
        bound = NO_BOUND
        if rng.random() < level.price:
            bound = 10.0 * (int(product.price / 10) + rng.choice((1, 1, 2)))
        return Goal(
            asin=product.asin,
            name=product.title,
            query=product.query,
            product_category=product.product_category,
            attributes=tuple(attributes),
            options={name: rng.choice(product.options[name]) for name in names},
            price_upper=bound,
        )

    def _near_misses(self, number: int, goal: Goal) -> int:
        """Count the siblings whose best purchase misses exactly one requirement."""
        start = number // FAMILY * FAMILY
        siblings = (n for n in range(start, min(start + FAMILY, self.catalogue.size)) if n != number)
        assert isinstance(goal.options, dict)
        needed = len(goal.attributes) + len(goal.options) + 1
        wanted = goal.model_copy(update={"options": tuple(goal.options.values())})
        missing = 0
        for sibling in siblings:
            product = self.catalogue.product(sibling)
            chosen = {k: v for k, v in goal.options.items() if v in product.options.get(k, ())}
            missing += round((1.0 - score(product, chosen, wanted).total) * needed) == 1
        return missing

    def _query(self, number: int, kind: Kind, goal: Goal) -> str | None:
        """Return a search that lists the product: what the instruction says, else the title."""
        for words in (f"{' '.join(goal.attributes)} {kind.noun}", goal.name):
            if number in self.catalogue.search(words.lower()):
                return words.lower()
        return None


@lru_cache(maxsize=1)
def shop() -> TaskSet:
    """The panel ``webshop/shop``: 300 training, 100 dev and 100 test tasks over 1,000 products, levels 1 to 5."""
    return ShopTasks().panel({"train": 300, "dev": 100, "test": 100}, seed=1, name="webshop/shop")


@lru_cache(maxsize=1)
def adversarial() -> TaskSet:
    """The panel ``webshop/adversarial``: 100 tasks where a cheap product of the right kind earns most.

    Three attributes in other words than the catalogue's, an option, a price, and siblings that miss one thing.
    """
    knobs = ShopKnobs(levels=(4,), options=1, synonyms=1.0)
    return ShopTasks(knobs).panel({"test": 100}, seed=2, name="webshop/adversarial")
