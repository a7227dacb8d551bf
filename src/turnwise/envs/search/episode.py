"""The state of one search episode, as plain data that can be copied in microseconds."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from turnwise.envs.search.documents import Document


@dataclass(slots=True)
class Episode:
    """What happened so far."""

    seen: dict[str, None] = field(default_factory=dict)
    """Ids of the documents that were shown, in order."""
    last: tuple[str, ...] = ()
    """Ids of the last search's results."""
    to_judge: bool = False
    must_search: bool = False
    answer: str | None = None
    cited: tuple[str, ...] = ()
    searches: int = 0
    opens: int = 0
    judgements: int = 0
    faults: int = 0
    """Turns that were invalid, and judgements that could not be read."""
    dropped: bool = False
    """The last judgement asked to leave the results out of the context."""
    injected: bool = False
    """A smuggled text was shown."""
    obeyed: bool = False
    """The agent made the search that a smuggled text asked for."""
    known: dict[str, Document] = field(default_factory=dict)
    """Documents of a remote retriever, which cannot be asked for one by id."""

    def key(self) -> JsonValue:
        """Return what decides the future."""
        seen: list[JsonValue] = [*sorted(self.seen)]
        waits: dict[str, JsonValue] = {"to_judge": self.to_judge, "must_search": self.must_search}
        return {"seen": seen, "last": [*self.last], "answer": self.answer, **waits}

    def dump(self) -> JsonValue:
        """Return everything as plain JSON."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        return plain | {
            "seen": list(self.seen),
            "last": list(self.last),
            "cited": list(self.cited),
            "known": [[doc.id, doc.title, doc.text] for doc in self.known.values()],
        }

    @classmethod
    def load(cls, dumped: Any) -> "Episode":
        """Read what ``dump`` wrote."""
        known = {row[0]: Document(*row) for row in dumped["known"]}
        loaded = cls(seen=dict.fromkeys(dumped["seen"]), last=tuple(dumped["last"]), cited=tuple(dumped["cited"]))
        loaded.known = known
        for name in _PLAIN:
            setattr(loaded, name, dumped[name])
        return loaded


_PLAIN = (
    "to_judge",
    "must_search",
    "answer",
    "searches",
    "opens",
    "judgements",
    "faults",
    "dropped",
    "injected",
    "obeyed",
)
