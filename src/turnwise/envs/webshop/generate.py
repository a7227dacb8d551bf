"""Products made from a seed: each is a pure function of (seed, size, number), so a million need no storage.

Products come in families of eight that share kind, brand and line and differ in one or two attributes, in price, in
edition and in the options offered: the near-duplicates and distractors a shopper must tell apart.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from turnwise.envs.webshop.draw import Draw, mix
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.vocabulary import Attribute, Kind, vocabulary

FAMILY = 8
VERSION = 1
"""Raised whenever the same seed would give other products."""
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPACE_BITS = 40
_MULTIPLIER = 0x5851F42D4D
_INVERSE = pow(_MULTIPLIER, -1, 1 << _SPACE_BITS)
_OPENINGS = (
    "Made for {use} and for every day.",
    "The {line} series by {brand} was drawn for {use}.",
    "A favourite of our customers for {use}.",
    "{brand} has made its {noun} for people who care since the first {line}.",
)
_CLOSINGS = (
    "Comes in a recycled box.",
    "Please see the size table before you order.",
    "Our service answers within a day.",
    "A considered present for friends and family.",
)
_BULLETS = (
    "{attr}: what our customers ask for first.",
    "{attr}, tested in our own workshop.",
    "Enjoy {attr} without paying more.",
    "With {attr} in mind from the first sketch.",
)


@dataclass(frozen=True)
class Family:
    """What eight products share."""

    kind: Kind
    brand: str
    line: str
    code: int
    use: str
    attributes: tuple[Attribute, ...]
    spare: tuple[Attribute, ...]
    """Attributes of the kind that the family lacks, in random order."""
    cents: int


class GeneratedProducts:
    """The products of one seed, by number or ASIN.

    Args:
        seed: Which catalogue.
        size: How many products it has.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.seed, self.size = seed, size
        self._salt = mix(seed + 1) & ((1 << _SPACE_BITS) - 1)
        self.product = lru_cache(maxsize=4096)(self._product)
        self.family = lru_cache(maxsize=512)(self._family)

    @cached_property
    def words(self) -> tuple[Kind, ...]:
        """The kinds of product there are."""
        return vocabulary().kinds

    def asin(self, number: int) -> str:
        """Return the ASIN of a product: ``T`` and nine digits of base 36, a bijection of the number."""
        value = number * _MULTIPLIER + self._salt & ((1 << _SPACE_BITS) - 1)
        digits = []
        for _ in range(9):
            value, digit = divmod(value, 36)
            digits.append(_DIGITS[digit])
        return "T" + "".join(reversed(digits))

    def number(self, asin: str) -> int | None:
        """Return the number of an ASIN, None where the catalogue has no such product."""
        if len(asin) != 10 or asin[0] != "T" or not set(asin) <= set(_DIGITS):
            return None
        value = (int(asin[1:], 36) - self._salt) * _INVERSE & ((1 << _SPACE_BITS) - 1)
        return value if value < self.size and self.asin(value) == asin else None

    def _family(self, number: int) -> Family:
        words = vocabulary()
        draw = Draw(self.seed, number, 1)
        kind = draw.pick(words.kinds)
        pool = draw.take(kind.attributes, len(kind.attributes))
        count = 4 + draw.below(3)
        low, high = kind.price
        return Family(
            kind=kind,
            brand=draw.pick(words.brand_heads) + draw.pick(words.brand_tails),
            line=draw.pick(words.lines),
            code=100 + draw.below(900),
            use=draw.pick(kind.uses),
            attributes=tuple(pool[:count]),
            spare=tuple(pool[count:]),
            cents=int(100 * low + draw.unit() ** 1.6 * 100 * (high - low)),
        )

    def _product(self, number: int) -> Product:
        family, variant = self.family(number // FAMILY), number % FAMILY
        draw = Draw(self.seed, number, 2)
        attributes = _attributes(family, variant, draw)
        cents = int(family.cents * (1.0 if variant == 0 else 0.7 + 0.9 * draw.unit())) // 10 * 10 + 9
        edition = vocabulary().editions[variant]
        return Product(
            asin=self.asin(number),
            title=_title(family, edition, attributes),
            category=family.kind.category,
            query=family.kind.query,
            product_category=" › ".join(family.kind.path),
            price=cents / 100,
            price_tag=f"${cents / 100:.2f}",
            bullets=_bullets(family, attributes, draw),
            description=_description(family, attributes, draw),
            options={
                name: draw.subset(values, 3 + draw.below(max(1, min(4, len(values) - 2))))
                for name, values in family.kind.options
            },
            attributes=tuple(attribute.name for attribute in attributes),
        )


def _attributes(family: Family, variant: int, draw: Draw) -> tuple[Attribute, ...]:
    """Swap one or two attributes of the family's for others; the first variant keeps them all."""
    kept = list(family.attributes)
    for _ in range(0 if variant == 0 else 1 + draw.below(2)):
        kept[draw.below(len(kept))] = draw.pick([spare for spare in family.spare if spare not in kept])
    return tuple(kept)


def _title(family: Family, edition: str, attributes: tuple[Attribute, ...]) -> str:
    name = f"{family.brand} {family.line} {family.code} {edition} {family.kind.noun}".title()
    shown = ", ".join(attribute.name.title() for attribute in attributes[:2])
    return " ".join(f"{name}, {shown} for {family.use}".split())


def _bullets(family: Family, attributes: tuple[Attribute, ...], draw: Draw) -> tuple[str, ...]:
    """One line for each attribute but the last, which only the description names."""
    praise = [draw.pick(_BULLETS).format(attr=a.name).capitalize() for a in attributes[1:-1]]
    return (*praise, f"The {family.line} by {family.brand}, for {family.use.lower()}.")


def _description(family: Family, attributes: tuple[Attribute, ...], draw: Draw) -> str:
    words = {"use": family.use.lower(), "line": family.line, "brand": family.brand, "noun": family.kind.noun}
    opening, closing = draw.pick(_OPENINGS).format(**words), draw.pick(_CLOSINGS)
    return f"{opening} You get {attributes[-1].name} and {attributes[0].name}. {closing}"
