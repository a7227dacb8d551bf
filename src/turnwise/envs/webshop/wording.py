"""Instructions in many wordings, some in other words than the catalogue's."""

import random

from turnwise.envs.webshop.vocabulary import Attribute, Kind

_OPENINGS = (
    "i am looking for {thing}",
    "i need {thing}",
    "i want to buy {thing}",
    "find me {thing}",
    "please order {thing}",
    "could you get me {thing}",
    "show me {thing} i can buy",
    "i'd like {thing}",
    "looking to replace mine: {thing}",
    "for my sister i need {thing}",
)
_IN_OTHER_WORDS = (
    ". what matters to me: {list}",
    ". i care about this: {list}",
    ". in my own words: {list}",
    ". it has to be so: {list}",
)
_PRICES = (
    ", and price lower than {price:.2f} dollars",
    ", under {price:.0f} dollars",
    ". my budget is {price:.0f} dollars",
    ", for less than ${price:.2f}",
)
_OPTIONS = (", {name}: {value}", ", {name} {value}", ". the {name} should be {value}", ", with {value} as {name}")


def instruction(
    kind: Kind,
    attributes: list[Attribute],
    options: dict[str, str],
    *,
    price: float | None,
    synonyms: float,
    rng: random.Random,
) -> str:
    """Write an instruction.

    Args:
        kind: The kind of product.
        attributes: What it must have.
        options: What must be chosen, by option name.
        price: The bound in dollars, None for none.
        synonyms: The probability that an attribute is said in other words than the catalogue's.
        rng: Where the wording comes from.
    """
    reworded = [a for a in attributes if a.paraphrases and rng.random() < synonyms]
    literal = [a for a in attributes if a not in reworded]
    text = rng.choice(_OPENINGS).format(thing=_thing(kind, literal))
    pattern = rng.choice(_OPTIONS)
    text += "".join(pattern.format(name=name, value=value) for name, value in options.items())
    if price is not None:
        text += rng.choice(_PRICES).format(price=price)
    if reworded:
        said = "; ".join(rng.choice(a.paraphrases) for a in reworded)
        text += rng.choice(_IN_OTHER_WORDS).format(list=said)
    return text


def _thing(kind: Kind, attributes: list[Attribute]) -> str:
    before = ", ".join(a.name for a in attributes if not a.noun)
    after = " and ".join(a.name for a in attributes if a.noun)
    words = " ".join(part for part in (before, kind.noun) if part)
    article = "" if kind.plural else "an " if words[0] in "aeiou" else "a "
    return article + words + (f" with {after}" if after else "")
