"""Where databases lie: images by content digest, their seeded variants, their catalogues.

An image is a SQLite file that nobody writes: workers open it ``immutable``, and all episodes share it.
"""

import importlib.util
import sqlite3
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import anyio.to_thread

from turnwise.envs.sql.pool import ask, ask_now
from turnwise.errors import EnvError, MissingExtraError, TaskError
from turnwise.tasks import assets

DATA = Path(__file__).parent / "data"
CHINOOK = "sha256:7651ba378ac2fcd0dfc3c66fb101f7a7eed3ba39a612ec642b96e20702061f15"
CORNERSHOP = "sha256:46cc0cabec0eaf9d6040a402c55c267b9aa0cf3536ca0644f52c8866d67fb613"
SHIPPED = {"chinook": CHINOOK, "cornershop": CORNERSHOP}
"""The databases that come with the package, by name."""
VARIANT = "sql-variant@1"
"""Raised whenever the same image and seed could give another variant."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column as the catalogue describes it."""

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A foreign key of one column."""

    column: str
    table: str
    target: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or view as the catalogue describes it."""

    name: str
    kind: str
    rows: int | None
    columns: tuple[Column, ...]
    primary: tuple[str, ...]
    foreign: tuple[Reference, ...]


Catalog = tuple[Table, ...]


def to_catalog(reply: dict[str, Any]) -> Catalog:
    """Read a worker's description of a database."""
    return tuple(
        Table(
            name=table["name"],
            kind=table["kind"],
            rows=table["rows"],
            columns=tuple(Column(**column) for column in table["columns"]),
            primary=tuple(table["primary"]),
            foreign=tuple(Reference(**link) for link in table["foreign"]),
        )
        for table in reply["tables"]
    )


@lru_cache(maxsize=256)
def image(digest: str) -> str:
    """Return the path of a database image.

    Raises:
        TaskError: It is not on this machine.
    """
    return str(assets.find(digest, dirs=[DATA]))


@lru_cache(maxsize=4096)
def variant(digest: str, seed: int) -> str:
    """Return the path of an image's variant; it is built once per machine. Blocks while it is built."""
    source = image(digest)

    def build(directory: Path) -> None:
        ask_now({"op": "variant", "image": source, "target": str(directory / "variant.sqlite"), "seed": seed})

    return str(assets.cache_dir(VARIANT, f"{digest.removeprefix('sha256:')}-{seed}", build) / "variant.sqlite")


_catalogs: dict[str, Catalog] = {}


async def catalog(digest: str) -> Catalog:
    """Return what a database holds; asked once per process."""
    if digest not in _catalogs:
        path = await anyio.to_thread.run_sync(image, digest)
        _catalogs[digest] = to_catalog(await ask({"op": "catalog", "image": path}))
    return _catalogs[digest]


def catalog_now(digest: str) -> Catalog:
    """Return what a database holds, blocking."""
    if digest not in _catalogs:
        _catalogs[digest] = to_catalog(ask_now({"op": "catalog", "image": image(digest)}))
    return _catalogs[digest]


async def images(digest: str, seeds: tuple[int, ...]) -> list[str]:
    """Return the paths of an image and of its variants, without blocking."""
    return await anyio.to_thread.run_sync(lambda: [image(digest), *(variant(digest, seed) for seed in seeds)])


def put_database(path: str | Path) -> str:
    """Copy a SQLite database into the assets and return its digest; the file itself is never changed.

    A database in WAL mode is copied as it stands, with what its log holds.

    Raises:
        TaskError: The file cannot be read or is no SQLite database.
    """
    source = Path(path)
    try:
        with source.open("rb") as stream:
            header = stream.read(20)
    except OSError as error:
        raise TaskError(f"{source}: cannot be read: {error.strerror or error}") from error
    if header[:16] != b"SQLite format 3\0":
        raise TaskError(f"{source}: this is no SQLite database")
    if header[18] != 2:
        return assets.put(source)
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "copy.sqlite"
        _backup(source, copy)
        return assets.put(copy)


def _backup(source: Path, copy: Path) -> None:
    try:
        reader, writer = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True), sqlite3.connect(copy)
        try:
            reader.backup(writer)
            writer.execute("PRAGMA journal_mode=DELETE")
        finally:
            reader.close()
            writer.close()
    except sqlite3.Error as error:
        raise TaskError(f"{source}: cannot be read as a SQLite database: {error}") from error


def put_postgres(dsn: str, schema: str = "public") -> str:
    """Copy the tables of a PostgreSQL schema into an image and return its digest; the database is only read.

    Args:
        dsn: ``postgresql://…``; it is not kept.
        schema: The schema whose tables are copied.

    Raises:
        TaskError: The server cannot be reached or the schema not be read.
        MissingExtraError: The driver is not installed.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError.of("postgres", "psycopg")
    with tempfile.TemporaryDirectory() as directory:
        target = f"{directory}/copy.sqlite"
        try:
            ask_now({"op": "copy_schema", "dsn": dsn, "schema": schema, "target": target})
        except EnvError as error:
            raise TaskError(f"the PostgreSQL database could not be read: {str(error).split(': ', 2)[-1]}") from None
        return assets.put(target)


def put_renamed(digest: str) -> tuple[str, dict[str, str]]:
    """Make an image whose tables and columns have codes for names; return its digest and the codes."""
    with tempfile.TemporaryDirectory() as directory:
        target = f"{directory}/renamed.sqlite"
        codes = ask_now({"op": "rename", "image": image(digest), "target": target})["codes"]
        return assets.put(target), codes
