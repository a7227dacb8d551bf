"""Catalogues: read-only, loaded once per process, shared by every episode and, on disk, by every process.

A generated catalogue stores nothing but its search index: its products are computed from their numbers. A catalogue
imported from files is one JSON Lines asset, memory-mapped, with an index of line offsets.
"""

import hashlib
import json
import mmap
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from turnwise.envs.webshop import generate, search
from turnwise.envs.webshop.product import Product, product_of
from turnwise.envs.webshop.search import Search
from turnwise.errors import TaskError
from turnwise.tasks import assets

FORMAT = 1
_IN_MEMORY = 2000
"""A catalogue up to this size is indexed in memory in a tenth of a second; a larger one in the cache."""
_GENERATED = re.compile(r"generated:(\d{1,8}):(\d{1,9})")


class Catalogue(Protocol):
    """Products by number, in the order of the search index."""

    name: str
    size: int

    @property
    def digest(self) -> str:
        """sha256 of the content, as ``sha256:<hex>``."""

    def product(self, number: int) -> Product:
        """Return a product."""

    def number(self, asin: str) -> int | None:
        """Return the number of an ASIN, None where there is no such product."""

    def search(self, query: str) -> tuple[int, ...]:
        """Return the numbers of the best hits, best first."""


class GeneratedCatalogue:
    """A catalogue made from a seed.

    Args:
        size: How many products.
        seed: Which ones.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.name, self.size = f"generated:{size}:{seed}", size
        self._products = generate.GeneratedProducts(seed, size)
        self.product, self.number = self._products.product, self._products.number
        if size <= _IN_MEMORY:
            self.digest, self._search = _digest(self._all()), Search.in_memory(p.contents() for p in self._all())
        else:
            kind = f"webshop-index@{FORMAT}.{search.VERSION}.{generate.VERSION}"
            directory = assets.cache_dir(kind, f"{size}-{seed}", self._build)
            self.digest, self._search = (directory / "digest").read_text(), Search.open(directory / "index")
        self.search = lru_cache(maxsize=1024)(self._search.top)

    def _all(self) -> Iterator[Product]:
        return map(self._products.product, range(self.size))

    def _build(self, directory: Path) -> None:
        hasher = hashlib.sha256()

        def texts() -> Iterator[str]:
            for product in self._all():
                hasher.update(_line(product))
                yield product.contents()

        (directory / "index").mkdir()
        search.build(directory / "index", texts())
        (directory / "digest").write_text(f"sha256:{hasher.hexdigest()}")


class ListCatalogue:
    """A few products in memory, for hand-made shops.

    Args:
        products: In the order that decides equal scores.
    """

    name = "list"

    def __init__(self, products: Sequence[Product]) -> None:
        self._products, self.size = tuple(products), len(products)
        self._numbers = {product.asin: number for number, product in enumerate(products)}
        self.digest = _digest(iter(products))
        self._search = Search.in_memory(product.contents() for product in products)

    def product(self, number: int) -> Product:
        """Return a product."""
        return self._products[number]

    def number(self, asin: str) -> int | None:
        """Return the number of an ASIN."""
        return self._numbers.get(asin)

    def search(self, query: str) -> tuple[int, ...]:
        """Return the best hits."""
        return self._search.top(query)


class FileCatalogue:
    """A catalogue of records in a file: one JSON object a line, as ``write`` makes it.

    Args:
        digest: The file's digest in the asset store.
    """

    def __init__(self, digest: str) -> None:
        self.name, self.digest = "file", digest
        path = assets.find(digest)
        directory = assets.cache_dir(f"webshop-file@{FORMAT}.{search.VERSION}", digest, lambda to: _index(path, to))
        with path.open("rb") as stream:
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._offsets = np.load(directory / "offsets.npy", mmap_mode="r")
        self._asins = np.load(directory / "asins.npy", mmap_mode="r")
        self._order = np.load(directory / "order.npy", mmap_mode="r")
        self.size = len(self._order)
        self._search = Search.open(directory / "index")
        self.product = lru_cache(maxsize=4096)(self._product)
        self.search = lru_cache(maxsize=1024)(self._search.top)

    def number(self, asin: str) -> int | None:
        """Return the number of an ASIN."""
        if not asin.isascii():
            return None
        place = int(np.searchsorted(self._asins, asin.encode()))
        found = place < self.size and self._asins[place] == asin.encode()
        return int(self._order[place]) if found else None

    def _product(self, number: int) -> Product:
        start, end = int(self._offsets[number]), int(self._offsets[number + 1])
        return product_of(json.loads(self._bytes[start:end]))


def write(products: Iterator[Product], path: Path) -> None:
    """Write products as a catalogue file."""
    with path.open("wb") as stream:
        stream.writelines(map(_line, products))


@lru_cache(maxsize=8)
def load(name: str, digest: str | None = None) -> Catalogue:
    """Return a catalogue, once per process.

    Args:
        name: ``generated:<size>:<seed>``, or ``file``.
        digest: What its content must be; needed for ``file``.

    Raises:
        TaskError: There is no such catalogue, or its content is not what the task was made for.
    """
    made = _GENERATED.fullmatch(name)
    if made and int(made[1]) > 0:
        catalogue: Catalogue = GeneratedCatalogue(int(made[1]), int(made[2]))
    elif name == "file" and digest:
        catalogue = FileCatalogue(digest)
    else:
        raise TaskError(f"no catalogue is named {name[:80]!r}: use generated:<size>:<seed>, or file with its digest")
    if digest not in (None, catalogue.digest):
        raise TaskError(
            f"catalogue {name} has digest {catalogue.digest}, the task was made for {digest}; "
            "use the version of turnwise that made the task"
        )
    return catalogue


def _digest(products: Iterator[Product]) -> str:
    hasher = hashlib.sha256()
    for product in products:
        hasher.update(_line(product))
    return f"sha256:{hasher.hexdigest()}"


def _line(product: Product) -> bytes:
    return json.dumps(product.record(), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _index(path: Path, directory: Path) -> None:
    offsets, asins = [0], []

    def texts() -> Iterator[str]:
        with path.open("rb") as stream:
            for line in stream:
                product = product_of(json.loads(line))
                offsets.append(offsets[-1] + len(line))
                asins.append(product.asin.encode())
                yield product.contents()

    (directory / "index").mkdir()
    search.build(directory / "index", texts())
    order = np.argsort(np.array(asins), kind="stable")
    np.save(directory / "offsets.npy", np.array(offsets, dtype=np.int64))
    np.save(directory / "asins.npy", np.array(asins)[order])
    np.save(directory / "order.npy", order.astype(np.int32))
