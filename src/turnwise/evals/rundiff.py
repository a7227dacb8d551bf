"""What differed between two runs: every setting, package and machine that was written down."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from turnwise.trajectories.runs import RunRecord

Kind = Literal["measurement", "settings", "packages", "machine"]

_KINDS: dict[str, Kind] = {"versions": "packages", "machine": "machine", "config": "settings", "base_url": "settings"}
"""By the record's field; every other field is part of what was measured."""

_NAMES = ("run", "created_at")


class Difference(BaseModel):
    """One thing that differed; null where a run did not have it."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    field: str
    a: JsonValue
    b: JsonValue


class RunDiff(BaseModel):
    """The document of ``turnwise runs diff --json``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")
    a: str
    b: str
    differences: list[Difference]

    def document(self) -> dict[str, Any]:
        """Return the document."""
        return self.model_dump(by_alias=True, mode="json")


def run_diff(a: RunRecord, b: RunRecord) -> RunDiff:
    """Compare two runs' records, setting by setting; what makes them two measurements comes first."""
    ours, theirs = _flat(a), _flat(b)
    found = [
        Difference(
            kind=_KINDS.get(field.partition(".")[0], "measurement"), field=field, a=ours.get(field), b=theirs.get(field)
        )
        for field in sorted(ours.keys() | theirs.keys())
        if ours.get(field) != theirs.get(field)
    ]
    order = ("measurement", "settings", "packages", "machine")
    return RunDiff(a=a.run, b=b.run, differences=sorted(found, key=lambda one: (order.index(one.kind), one.field)))


def _flat(record: RunRecord) -> dict[str, JsonValue]:
    flat: dict[str, JsonValue] = {}

    def walk(prefix: str, value: JsonValue) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        else:
            flat[prefix] = value

    walk("", record.model_dump(mode="json", exclude=set(_NAMES)))
    return flat
