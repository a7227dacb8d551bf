"""What a search task holds and what a search environment can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.base import EnvConfig
from turnwise.envs.search.corpora import FileCorpus, WorldCorpus
from turnwise.envs.search.view import PAGE_CHARS


class Injection(BaseModel):
    """Text that somebody smuggled into a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doc_id: str
    text: str


class SearchData(BaseModel):
    """The data of a search task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: WorldCorpus | FileCorpus | None = Field(default=None, discriminator="kind")
    """What is searched; None: whatever retriever the configuration names."""
    injections: tuple[Injection, ...] = ()
    """Shown at the end of their documents, wherever these are shown."""


class SearchConfig(EnvConfig):
    """Settings of the search environment."""

    interface: Literal["tools", "tags", "search-r1"] = "tools"
    """``tools``: search, open, find, answer. ``tags``: ``<search>`` and ``<answer>`` in the message's text.
    ``search-r1``: tags with Search-R1's observations to the letter."""
    engine: Literal["real", "self"] = "real"
    """``self``: the policy writes its own ``<information>`` (SSRL); needs the tag interface."""
    retriever: str = "bm25"
    """``bm25``; ``hybrid`` (BM25 and dense vectors); the address of a ``/retrieve`` server; or ``module:function``,
    called with the task's corpus."""
    embedder: str = "hash"
    """Embedding model of ``hybrid``: ``hash``, or ``module:function`` that returns an ``Embedder``."""
    top_k: int | None = Field(default=None, ge=1, le=100)
    """Results of a search that names no number; by default 5, with Search-R1's interface 3."""
    page_chars: int = Field(default=PAGE_CHARS, ge=200)
    """Most characters of one page of a document."""
    information_chars: int = Field(default=4000, ge=100)
    """Most characters between information tags."""
    judge: Literal["off", "label", "drop"] = "off"
    """Whether the agent may judge its last results (ReSeek). After a no it must search before it answers; ``drop`` also
    marks the turn, so that a context policy can leave its observation out."""
    grader: Literal["em", "f1", "contains"] = "em"
    """What ``score`` is; ``success`` is always exact match."""
    prompt: str | None = None
    """The first user message instead of the environment's own; ``{question}`` stands for the question."""

    @property
    def tagged(self) -> bool:
        """Whether the agent writes tags."""
        return self.interface != "tools"

    @property
    def results(self) -> int:
        """Results of a search that names no number."""
        return self.top_k or (3 if self.interface == "search-r1" else 5)
