"""WebShop's reward, and a hardened one that its known shortcut does not earn.

    reward = r_type x (attributes matched + options matched + price kept) / (attributes + options + 1)

Rules by Yao et al. 2022 and the released code. One deviation: the nouns of a title come from a word list, not from
spaCy's statistical model (``nouns``).
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from rapidfuzz import fuzz, utils

from turnwise.envs.webshop.product import Product

THRESHOLD = 85
"""Two phrases match if their token-set ratio is above this."""
_WORDS = tomllib.loads(resources.files("turnwise.envs.webshop").joinpath("data/words.toml").read_text(encoding="utf-8"))
COLOURS: tuple[str, ...] = tuple(_WORDS["colours"].split())
"""The colour words of WebShop's option matching, in its order, which decides ties."""
_NO_NOUNS = frozenset(f"{_WORDS['function_words']} {_WORDS['adjectives']}".split())
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'’]*")


class Goal(BaseModel):
    """What an instruction asks for, as the grader knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asin: str
    """The product the instruction was written for."""
    name: str
    """Its title."""
    query: str
    product_category: str
    attributes: tuple[str, ...]
    options: tuple[str, ...] | dict[str, str] = ()
    """Values; in WebShop's synthetic goals by option name."""
    price_upper: float
    """The highest price accepted; 1,000,000 where none is named."""


class Outcome(NamedTuple):
    """A purchase's reward and its parts, all in [0, 1]."""

    total: float
    r_type: float
    r_att: float
    r_option: float | None
    """None where the goal asks for no option."""
    r_price: float
    hardened: float
    query_match: bool
    category_match: bool
    title_score: float


def score(product: Product, options: Mapping[str, str], goal: Goal) -> Outcome:
    """Score the purchase of a product with the options chosen."""
    query_match, category_match, title_score, r_type = type_match(product, goal)
    attributes, wanted = attribute_matches(product, goal.attributes), len(goal.attributes)
    chosen = option_matches(list(options.values()), goal.options)
    price = float(product.price <= goal.price_upper)
    return Outcome(
        total=r_type * (attributes + chosen + price) / (wanted + len(goal.options) + 1),
        r_type=r_type,
        r_att=attributes / wanted if wanted else 0.0,
        r_option=chosen / len(goal.options) if goal.options else None,
        r_price=price,
        hardened=_hardened(r_type == 1.0 and (query_match or category_match), price, attributes + chosen, wanted, goal),
        query_match=query_match,
        category_match=category_match,
        title_score=title_score,
    )


def type_match(product: Product, goal: Goal) -> tuple[bool, bool, float, float]:
    """Return query match, category match, title score and r_type."""
    query_match = product.query == goal.query
    category_match = len(_path(product.product_category) & _path(goal.product_category)) >= 2
    wanted = nouns(goal.name)
    title_score = len(set(nouns(product.title)) & set(wanted)) / len(wanted) if wanted else 0.2
    r_type = 1.0 if query_match or category_match or title_score > 0.2 else 0.5
    if title_score < 0.1:
        r_type = 0.0 if title_score == 0.0 else 0.1
    return query_match, category_match, title_score, r_type


def attribute_matches(product: Product, wanted: Sequence[str]) -> int:
    """Count the wanted attributes that the product's own match, or that its texts contain."""
    texts = (product.title.lower(), " ".join(product.bullets).lower(), product.description.lower())
    return sum(
        any(similar(own, attribute) for own in product.attributes) or any(attribute in text for text in texts)
        for attribute in wanted
    )


def option_matches(chosen: Sequence[str], wanted: Sequence[str] | Mapping[str, str]) -> int:
    """Count the wanted options that some chosen value matches, each once; colours compare by their first colour word.

    A wanted (name, value) pair compares as WebShop compares it: a colour if either is exactly a colour word, otherwise
    the words of both, of which a match on either suffices.
    """
    have = [normalise_colour(value) for value in chosen]
    want = _pairs(wanted) if isinstance(wanted, Mapping) else [normalise_colour(value) for value in wanted]
    return sum(any(similar(value, target) for value in have) for target in want)


def normalise_colour(text: str) -> str:
    """Return the first colour word, in the list's order, that the text contains; without one, the text."""
    return next((colour for colour in COLOURS if colour in text), text)


def similar(left: str, right: str) -> bool:
    """Whether two phrases match by thefuzz's token-set ratio on ASCII, lower-cased, letters and digits only."""
    return round(fuzz.token_set_ratio(_plain(left), _plain(right))) > THRESHOLD


@lru_cache(maxsize=4096)
def nouns(title: str) -> tuple[str, ...]:
    """Return a title's nouns and proper nouns, lower-cased, with repeats.

    Our reading of what spaCy's small English model tags in a product title: every word of letters but function words
    and common adjectives. The guide gives the measured difference.
    """
    words = (word.lower() for word in _TOKEN.findall(title.replace("'s", "")))
    return tuple(word for word in words if word not in _NO_NOUNS)


def _hardened(right_type: bool, price: float, matched: int, wanted: int, goal: Goal) -> float:
    """Nothing for the wrong type, an exceeded price or no match; the square of the share matched otherwise."""
    needed = wanted + len(goal.options)
    return right_type * price * ((matched / needed) ** 2 if needed else 1.0)


def _pairs(options: Mapping[str, str]) -> list[str]:
    return [
        next((colour for colour in COLOURS if colour in (name, value)), f"{name} {value}")
        for name, value in options.items()
    ]


def _path(category: str) -> set[str]:
    return {part.strip() for part in category.split("›")}


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    return utils.default_process("".join(filter(str.isascii, text)))
