"""How much a statement may do. Every limit counts work, so that it decides alike on every machine."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one statement."""

    steps: int = 30_000_000
    """Instructions of SQLite's virtual machine."""
    cpu_s: float = 10.0
    """CPU seconds; reached only where single instructions are made very expensive."""
    rows: int = 20_000
    """Rows of a result; a longer one is cut and says so."""
    result_bytes: int = 8_000_000
    value_bytes: int = 100_000
    """Longest string or blob; also what bounds the cost of one instruction."""
    sql_bytes: int = 100_000
    columns: int = 500
    depth: int = 200
    """Depth of an expression tree."""
    heap_bytes: int = 192_000_000
    """SQLite's memory in the worker."""
    wal_bytes: int = 128_000_000
    """What a write task may write."""

    def to_json(self) -> dict[str, Any]:
        """Return the limits for a frame."""
        return asdict(self)
