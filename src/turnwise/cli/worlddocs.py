"""The shapes of the ``--json`` documents about environments and tasks."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from turnwise.envs.check.report import CheckResult
from turnwise.envs.prove import Unsolved
from turnwise.envs.types import ToolSpec


class Document(BaseModel):
    """A document; ``dump`` gives what is printed."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")

    def dump(self) -> dict[str, Any]:
        """Return plain data under the names of the schema."""
        return self.model_dump(mode="json", by_alias=True)


class EnvRow(BaseModel):
    """An environment in a list."""

    name: str
    available: bool
    why: str = ""
    """Why it is not available."""
    version: str = ""
    replay: str = ""
    default_panel: str | None = None
    summary: str = ""


class Envs(Document):
    """The document of ``turnwise envs --json``."""

    envs: list[EnvRow]


class EnvShown(Document):
    """The document of ``turnwise envs NAME --json``."""

    name: str
    version: str
    replay: str
    default_panel: str | None
    summary: str
    tools: list[ToolSpec]
    settings: dict[str, str]
    """Defaults, as text."""
    rewards: dict[str, dict[str, float]]
    """Weights of the reward parts, by preset."""


class Check(Document):
    """The document of ``turnwise check --json``."""

    ok: bool
    env: str
    version: str
    config_digest: str
    tasks: list[str]
    results: list[CheckResult]


class TaskSources(Document):
    """The document of ``turnwise tasks list --json``."""

    panels: list[str]
    generators: list[str]
    importers: list[str]


class PanelShown(Document):
    """The document of ``turnwise tasks show PANEL --json``."""

    name: str
    version: str
    digest: str
    splits: dict[str, int]
    tasks: list[dict[str, Any]]
    """Each with its key; gold, hints and tags only where asked for."""


class Proof(Document):
    """The document of ``turnwise tasks prove --json``."""

    ok: bool
    env: str
    version: str
    tasks: int
    solved: int
    turns: int
    unsolved: list[Unsolved]
