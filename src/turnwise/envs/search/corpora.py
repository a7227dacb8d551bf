"""Corpora by recipe or content digest, built once per machine and opened once per process."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.search import world
from turnwise.envs.search.documents import Document, read_corpus
from turnwise.envs.search.index import VERSION, Index, Progress, build_index
from turnwise.envs.search.pages import write_pages
from turnwise.envs.search.world import WorldConfig, make_world
from turnwise.errors import TaskError
from turnwise.tasks import assets
from turnwise.tasks.canonical import digest

_KIND = f"search-index@{VERSION}"
_open: dict[str, Index] = {}
_lock = threading.Lock()


class WorldCorpus(BaseModel):
    """A generated world, by its recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["world"] = "world"
    recipe: WorldConfig = WorldConfig()
    digest: str | None = None
    """sha256 of the pages the recipe must give; None: whatever it gives."""

    def documents(self) -> Iterator[Document]:
        """Write the pages."""
        return write_pages(make_world(self.recipe))

    @property
    def key(self) -> str:
        """What the index is built from."""
        return digest({"world": self.recipe.model_dump(mode="json"), "pages": world.VERSION, "version": VERSION})


class FileCorpus(BaseModel):
    """A corpus file among the assets of this machine, by its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["file"] = "file"
    digest: str
    """sha256 of the corpus file."""

    def documents(self) -> Iterator[Document]:
        """Read the file."""
        return read_corpus(assets.find(self.digest))

    @property
    def key(self) -> str:
        """What the index is built from."""
        return digest({"file": self.digest, "version": VERSION})


Corpus = Annotated[WorldCorpus | FileCorpus, Field(discriminator="kind")]


def import_corpus(path: str | Path) -> FileCorpus:
    """Copy a corpus file of BEIR's or Search-R1's shape among the assets, and name it by its content.

    Raises:
        TaskError: The file cannot be read or holds no document.
    """
    if next(read_corpus(Path(path)), None) is None:
        raise TaskError(f"{path}: holds no document")
    return FileCorpus(digest=assets.put(path))


def open_index(corpus: WorldCorpus | FileCorpus, progress: Progress | None = None) -> Index:
    """Return a corpus's index: built if this machine has none, mapped into memory, shared by the whole process.

    Raises:
        TaskError: The corpus is not on this machine, is malformed, or a world's recipe gave other pages than the
            task names.
    """
    with _lock:
        if corpus.key not in _open:
            _open[corpus.key] = Index(_directory(corpus, progress))
        index = _open[corpus.key]
    if isinstance(corpus, WorldCorpus) and corpus.digest not in (None, index.digest):
        raise TaskError(
            f"the recipe gives a world of digest {index.digest}, the task names {corpus.digest}: "
            f"it was made by another version of the generator"
        )
    return index


def opened(corpus: WorldCorpus | FileCorpus) -> bool:
    """Tell whether the index is open already, so that opening it takes no time."""
    return corpus.key in _open


def _directory(corpus: WorldCorpus | FileCorpus, progress: Progress | None) -> Path:
    def build(target: Path) -> None:
        work = assets.home() / "partial" / _KIND / corpus.key
        build_index(corpus.documents(), target, work, progress)

    return assets.cache_dir(_KIND, corpus.key, build)
