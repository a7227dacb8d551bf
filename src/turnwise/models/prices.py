"""What tokens cost: a small dated table, which the user's own entries extend and override."""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from turnwise.errors import ConfigError


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float
    output: float
    cached: float | None = None
    """Prompt tokens that the provider had cached; None: they cost as much as others."""

    def cost(self, prompt: int, completion: int, cached: int = 0) -> float:
        """Return the dollars for one call; ``cached`` tokens are part of ``prompt``."""
        rate = self.input if self.cached is None else self.cached
        return ((prompt - cached) * self.input + cached * rate + completion * self.output) / 1e6


FREE = Price(input=0.0, output=0.0)
_TABLE = TypeAdapter(dict[str, Price])


@cache
def shipped() -> dict[str, Price]:
    """Return the table that ships with the package; its file says of which month it is."""
    text = files("turnwise.models").joinpath("data/prices.json").read_text(encoding="utf-8")
    return _TABLE.validate_python(json.loads(text)["prices"])


def load(path: Path) -> dict[str, Price]:
    """Read a table of ``{"model": {"input": …, "output": …, "cached": …}}`` from a JSON file.

    Raises:
        ConfigError: The file cannot be read or is no such table.
    """
    try:
        return _TABLE.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the price table {str(path)!r} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise ConfigError(f"the price table {str(path)!r} is wrong at {where}: {first['msg']}") from error


def price_of(model: str, own: Mapping[str, Price] | None = None) -> Price | None:
    """Return a model's price, or None where none is known: a cost is never guessed.

    The user's entries come first. A dated release (``gpt-4o-2024-08-06``) costs what its name costs; a prefix that
    routers put before a name (``openai/gpt-4o``) is ignored.
    """
    table = {**shipped(), **(own or {})}
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)
    for name in (model, undated, undated.rpartition("/")[2]):
        if name in table:
            return table[name]
    return None
