"""WebShop's own files as a catalogue and tasks: a user drops them in a folder and gets WebShop.

Read are ``items_shuffle*.json`` (products), ``items_ins_v2*.json`` (attributes, synthetic instructions) and
``items_human_ins.json`` (human instructions). The rules are those of WebShop's loader; prices and price bounds, which
it draws from an unseeded generator, are drawn here from the seed and the product, so that two machines agree.
"""

import json
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import product as combinations
from pathlib import Path
from typing import Any

from turnwise.envs.webshop import catalogue
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.reward import Goal
from turnwise.errors import TaskError
from turnwise.tasks import Task, TaskSet, assets

NO_BOUND = 1_000_000.0
SHUFFLE = 233
"""The seed by which WebShop shuffles its goals."""
DEV, TRAIN = 500, 1500
"""WebShop's split of the shuffled goals: test up to DEV, dev up to TRAIN, train after."""
_CHUNK = 1 << 20
_LONGEST = 1 << 26
"""Characters after which an object that does not end is taken for a broken file."""
_BETWEEN = re.compile(r"[\s,]*")
_BOUNDS = [10.0 * n for n in range(1, 100)]


def webshop(path: Path, *, human: bool = True, items: str | None = None, limit: int = 0, seed: int = 0) -> TaskSet:
    """Import a folder of WebShop's files.

    The products become a catalogue in the asset store; search is indexed on first use.

    Args:
        path: The folder.
        human: The human instructions; False: the synthetic ones.
        items: Name of the product file, where the folder holds several.
        limit: The first so many products only (WebShop's ``num_products``); 0: all.
        seed: Of the prices drawn from a range, and of the price bounds.

    Raises:
        TaskError: A file is missing or malformed, or no instruction fits a product.
    """
    attributes = _table(_file(path, "items_ins_v2*.json", None))
    written = _table(_file(path, "items_human_ins.json", None)) if human else {}
    source = _file(path, "items_shuffle*.json", items)
    goals: list[tuple[str, Goal, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "catalogue.jsonl"
        products = _products(source, attributes, limit, seed)
        catalogue.write(_collected(products, attributes, written, goals, human=human, seed=seed), target)
        digest = assets.put(target)
    if not goals:
        raise TaskError(f"{path}: no instruction belongs to a product of {source.name}")
    random.Random(SHUFFLE).shuffle(goals)
    kind = "human" if human else "synthetic"
    tasks = [_task(index, kind, goal, digest) for index, goal in enumerate(goals)]
    return TaskSet(name=f"webshop/{kind}", tasks=tuple(tasks))


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON array one at a time, however large the file.

    Raises:
        TaskError: The file is no JSON array of objects.
    """
    with path.open(encoding="utf-8") as stream:
        buffer, place = stream.read(_CHUNK).lstrip(), 1
        if not buffer.startswith("["):
            raise TaskError(f"{path}: must be a JSON array of products")
        while True:
            place += len(_BETWEEN.match(buffer, place)[0])  # type: ignore[index]
            mark = buffer[place : place + 1]
            if mark == "]":
                return
            found = _decoded(buffer, place) if mark == "{" else None
            if found is not None:
                record, place = found
                yield record
                continue
            chunk = stream.read(_CHUNK) if mark in ("", "{") and len(buffer) - place < _LONGEST else ""
            if not chunk:
                raise TaskError(f"{path}: is no whole JSON array of objects: {buffer[place : place + 40]!r}")
            buffer, place = buffer[place:] + chunk, 0


def _decoded(buffer: str, place: int) -> tuple[dict[str, Any], int] | None:
    """Return the object at a place and where it ends, None where it is not whole."""
    try:
        found: tuple[dict[str, Any], int] = json.JSONDecoder().raw_decode(buffer, place)
    except json.JSONDecodeError:
        return None
    return found


def _file(path: Path, pattern: str, name: str | None) -> Path:
    found = sorted(path.glob(name or pattern)) if path.is_dir() else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise TaskError(f"{path}: must be a folder with WebShop's {name or pattern}")
    raise TaskError(f"{path}: holds {', '.join(f.name for f in found)}; say which by the option items")


def _table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(table, dict):
        raise TaskError(f"{path}: must be a JSON object by ASIN")
    return table


def _products(path: Path, attributes: dict[str, Any], limit: int, seed: int) -> Iterator[Product]:
    seen: set[str] = set()
    for index, record in enumerate(records(path)):
        if limit and index >= limit:
            return
        try:
            asin = str(record["asin"])
            if asin == "nan" or len(asin) > 10 or asin in seen:
                continue
            seen.add(asin)
            yield _product(asin, record, attributes.get(asin, {}), seed)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise TaskError(f"{path}: product {index}: {type(error).__name__}: {error}") from error


def _product(asin: str, record: dict[str, Any], known: dict[str, Any], seed: int) -> Product:
    price, tag = _price(record.get("pricing"), random.Random(f"{seed}|price|{asin}"))
    bullets = record.get("small_description") or []
    return Product(
        asin=asin,
        title=record["name"],
        category=record["category"],
        query=record["query"].lower().strip(),
        product_category=record["product_category"],
        price=price,
        price_tag=tag,
        bullets=tuple(bullets) if isinstance(bullets, list) else (str(bullets),),
        description=record.get("full_description") or "",
        options=_options(record.get("customization_options") or {}),
        attributes=tuple(known.get("attributes", ["DUMMY_ATTR"])),
    )


def _price(text: str | None, rng: random.Random) -> tuple[float, str]:
    """Read ``$a`` or ``$a - $b``; a product without a price costs 100, a range is drawn from."""
    if not text:
        return 100.0, "$100.0"
    ends = [float(re.sub(r"[^\d.]", "", part)) for part in text.split("$")[1:]]
    if not ends:
        return 100.0, "$100.0"
    if len(ends) == 1:
        return ends[0], f"${ends[0]}"
    return rng.uniform(ends[0], ends[1]), f"${ends[0]} to ${ends[1]}"


def _options(groups: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name.lower(): tuple(value["value"].strip().replace("/", " | ").lower() for value in values)
        for name, values in groups.items()
        if values is not None
    }


def _collected(
    products: Iterator[Product],
    attributes: dict[str, Any],
    written: dict[str, Any],
    goals: list[tuple[str, Goal, float]],
    *,
    human: bool,
    seed: int,
) -> Iterator[Product]:
    """Pass the products on and collect the goals that go with them; weights as WebShop's, last."""
    counts: dict[str, int] = defaultdict(int)
    made: list[tuple[str, Goal]] = []
    for product in products:
        found = _human(product, written, seed) if human else _synthetic(product, attributes, seed)
        for text, goal in found:
            made.append((text, goal))
            for attribute in goal.attributes:
                counts[attribute] += 1
        yield product
    for text, goal in made:
        rarity = sum(1.0 / counts[attribute] for attribute in goal.attributes) / len(goal.attributes)
        goals.append((text, goal, 1.0 if human else rarity))


def _human(product: Product, written: dict[str, Any], seed: int) -> Iterator[tuple[str, Goal]]:
    for index, entry in enumerate(written.get(product.asin, [])):
        wanted = tuple(entry["instruction_attributes"])
        if wanted:
            bound, text = _bound(product.price, random.Random(f"{seed}|bound|{product.asin}|{index}"))
            goal = _goal(product, wanted, tuple(entry.get("instruction_options") or ()), bound)
            yield entry["instruction"].strip(".") + text, goal


def _synthetic(product: Product, attributes: dict[str, Any], seed: int) -> Iterator[tuple[str, Goal]]:
    entry = attributes.get(product.asin, {})
    text, wanted = entry.get("instruction"), tuple(entry.get("instruction_attributes") or ())
    if not text or not wanted:
        return
    bound, price_text = _bound(product.price, random.Random(f"{seed}|bound|{product.asin}"))
    names = sorted(product.options)
    for values in combinations(*(product.options[name] for name in names)):
        options = dict(zip(names, values, strict=True))
        said = ", and ".join(f"{name}: {value}" for name, value in options.items())
        yield f"{text}{' with ' + said if said else ''}{price_text}", _goal(product, wanted, options, bound)


def _goal(product: Product, wanted: tuple[str, ...], options: Any, bound: float) -> Goal:
    return Goal(
        asin=product.asin,
        name=product.title,
        query=product.query,
        product_category=product.product_category,
        attributes=wanted,
        options=options,
        price_upper=bound,
    )


def _bound(price: float, rng: random.Random) -> tuple[float, str]:
    """Draw two of the first four multiples of ten above the price and take the larger."""
    above = [bound for bound in _BOUNDS if bound > price][:4]
    if len(above) < 2:
        return NO_BOUND, ""
    bound = max(rng.sample(above, 2))
    return bound, f", and price lower than {bound:.2f} dollars"


def _task(index: int, kind: str, found: tuple[str, Goal, float], digest: str) -> Task:
    text, goal, weight = found
    return Task(
        id=f"{kind}-{index:05d}",
        env="webshop",
        split="test" if index < DEV else "dev" if index < TRAIN else "train",
        instruction=text,
        data={"catalogue": "file", "digest": digest},
        gold={"goal": goal.model_dump(mode="json"), "weight": weight},
        source="WebShop (princeton-nlp/WebShop), MIT",
    )
