"""The words of the generated catalogue, read from ``data/vocabulary.toml``."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Attribute:
    """A property that an instruction may ask for."""

    name: str
    """How the catalogue writes it."""
    paraphrases: tuple[str, ...]
    """How a person may say it in other words."""
    noun: bool
    """True: a thing the product has; false: what the product is."""

    @classmethod
    def parse(cls, text: str) -> "Attribute":
        """Read ``+name | paraphrase | …``."""
        name, *paraphrases = (part.strip() for part in text.removeprefix("+").split("|"))
        return cls(name, tuple(paraphrases), text.startswith("+"))


@dataclass(frozen=True)
class Kind:
    """A kind of product: its shelf, its attributes, its options."""

    noun: str
    query: str
    category: str
    path: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]
    uses: tuple[str, ...]
    price: tuple[int, int]

    @property
    def plural(self) -> bool:
        """Whether the noun is a plural ("boots")."""
        return self.noun.endswith("s") and not self.noun.endswith("ss")


@dataclass(frozen=True)
class Vocabulary:
    """All words."""

    brand_heads: tuple[str, ...]
    brand_tails: tuple[str, ...]
    lines: tuple[str, ...]
    editions: tuple[str, ...]
    kinds: tuple[Kind, ...]
    version: int

    def attribute(self, name: str, kind: Kind) -> Attribute:
        """Find an attribute of a kind by name."""
        return next(attribute for attribute in kind.attributes if attribute.name == name)


@cache
def vocabulary() -> Vocabulary:
    """Read the words, once per process."""
    text = resources.files("turnwise.envs.webshop").joinpath("data/vocabulary.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    return Vocabulary(
        brand_heads=tuple(raw["brand_heads"]),
        brand_tails=tuple(raw["brand_tails"]),
        lines=tuple(raw["lines"]),
        editions=tuple(raw["editions"]),
        kinds=tuple(_kind(entry, raw) for entry in raw["types"]),
        version=raw["version"],
    )


def _kind(entry: dict[str, Any], raw: dict[str, Any]) -> Kind:
    palettes, words = raw["palettes"], [*entry["own"], *raw["pools"][entry["pool"]]]
    return Kind(
        noun=entry["noun"],
        query=entry["query"],
        category=entry["category"],
        path=tuple(entry["path"]),
        attributes=tuple(Attribute.parse(text) for text in words),
        options=tuple((name, tuple(palettes[palette])) for name, palette in entry["options"].items()),
        uses=tuple(entry["uses"]),
        price=(entry["price"][0], entry["price"][1]),
    )
