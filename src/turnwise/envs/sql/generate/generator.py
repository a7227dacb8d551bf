"""The generator: draws questions about a database and keeps those whose gold can be trusted."""

import random
import re
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from turnwise.envs.sql.compare import comparison
from turnwise.envs.sql.databases import SHIPPED, catalog_now, put_database, put_postgres, put_renamed
from turnwise.envs.sql.generate.changes import Change, ask_change
from turnwise.envs.sql.generate.prove import SqliteLab, fit_variants, stable, trivial
from turnwise.envs.sql.generate.questions import KINDS, Asker, Draft
from turnwise.envs.sql.generate.world import World, sqlite_world
from turnwise.envs.sql.pool import ask_now
from turnwise.envs.sql.views import drop_view, make_view, view_request
from turnwise.envs.sql.worker.limits import Limits
from turnwise.errors import TaskError
from turnwise.tasks.base import Task
from turnwise.tasks.generate import Generator

_NAME = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[A-Za-z_]\w*")
PATIENCE = 12
"""Drafts of one kind before another kind is drawn: kinds that often fail their proof stay as frequent as others."""


class SqlKnobs(BaseModel):
    """What questions to draw."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    db: str = "chinook"
    """``chinook``; ``cornershop``, three small tables of few words; the path of a SQLite file; or ``postgresql://…``:
    a schema there is copied, and only read."""
    schema_name: str = "public"
    """The PostgreSQL schema."""
    names: Literal["plain", "codes"] = "plain"
    """``codes``: tables and columns have meaningless names; which is which must be found out from the contents."""
    kinds: str = ",".join(KINDS)
    """Kinds of questions, with commas between."""
    filters: int = Field(default=2, ge=1, le=4)
    """Most conditions in one place."""
    joins: int = Field(default=2, ge=0, le=4)
    """Longest path of references a condition follows."""
    negation: bool = True
    """Whether "is not", "has none" and missing values are asked for."""
    rows: int = Field(default=100, ge=1)
    """Longest result."""
    mode: Literal["read", "write"] = "read"
    """``write``: changes to the database instead of questions; ``kinds`` is of no account then."""
    show: Literal["nothing", "names", "schema"] = "nothing"
    """What the first message tells of the tables; the agent must ask for the rest."""

    @model_serializer(mode="wrap")
    def _without_secrets(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Show a DSN without user, password and parameters: the knobs become part of each task's source."""
        shown: dict[str, Any] = plain(self)
        if "://" in shown.get("db", ""):
            shown["db"] = re.sub(r"//[^/]*@", "//", shown["db"].partition("?")[0])
        return shown


class SqlGenerator(Generator):
    """Draws questions with their gold queries from any SQLite database."""

    name = "sql"
    version = "1"
    env = "sql"
    Knobs: ClassVar[type[BaseModel]] = SqlKnobs

    def begin(self, seed: int) -> None:
        """Look at the database."""
        knobs: SqlKnobs = self.knobs
        self._kinds = [kind.strip() for kind in knobs.kinds.split(",") if kind.strip()]
        if knobs.mode == "write" and knobs.names == "codes":
            raise TaskError("knob names: codes are for questions; changes need names=plain")
        unknown = [kind for kind in self._kinds if kind not in KINDS]
        if unknown or not self._kinds:
            raise TaskError(f"knob kinds: {unknown or 'none'}: there are {', '.join(KINDS)}")
        source = self._source()
        self._world: World = sqlite_world(source)
        self._database, self._codes = (source, {}) if knobs.names == "plain" else put_renamed(source)
        self._lab = SqliteLab(self._database)

    def _source(self) -> str:
        db = self.knobs.db
        self._title = db if db in SHIPPED else db.partition("?")[0].rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if db in SHIPPED:
            return SHIPPED[db]
        if db.startswith(("postgresql://", "postgres://")):
            return put_postgres(db, self.knobs.schema_name)
        return put_database(db)

    def draw(self, rng: random.Random) -> Task | None:
        """Draw one question; None if it is trivial or its gold cannot be trusted."""
        knobs: SqlKnobs = self.knobs
        asker = Asker(world=self._world, rng=rng, filters=knobs.filters, joins=knobs.joins, negation=knobs.negation)
        if knobs.mode == "write":
            return self._draw_change(asker)
        kind = KINDS[rng.choice(self._kinds)]
        for _ in range(PATIENCE):
            draft = self._coded(kind(asker))
            seeds = self._proved(draft) if draft else None
            if draft and seeds:
                return self._task(draft, seeds)
        return None

    def identity(self, task: Task) -> str:
        """Return the gold: two wordings of it are one question."""
        return str(task.gold.get("sql") or task.gold["statements"])

    def _coded(self, draft: Draft | None) -> Draft | None:
        """Put the codes in the place of the names, where the database has them."""
        if draft is None or not self._codes:
            return draft
        return replace(draft, sql=with_codes(draft.sql, self._codes), bare=with_codes(draft.bare, self._codes))

    def _proved(self, draft: Draft) -> tuple[int, ...] | None:
        rule = comparison()
        rows = stable(self._lab, None, draft.sql, rule)
        if rows is None or len(rows) > self.knobs.rows or trivial(self._lab, rows, draft.bare, rule):
            return None
        return fit_variants(self._lab, draft.sql, rows, rule)

    def _draw_change(self, asker: Asker) -> Task | None:
        for _ in range(PATIENCE):
            change = ask_change(asker, catalog_now(self._database))
            if change is not None and self._changes_something(change):
                return self._change_task(change)
        return None

    def _changes_something(self, change: Change) -> bool:
        """Whether the statement runs and changes some rows, but not every row of a table."""
        view = make_view(self._database)
        try:
            reply = ask_now(view_request(view, change.statement, Limits().to_json(), 0))
        finally:
            drop_view(view)
        largest = max(entity.rows for entity in self._world.entities if entity.name in change.statement)
        changed = 0 < reply["changes"] < largest and reply["state"]
        return bool(changed) and not reply["error"]

    def _change_task(self, change: Change) -> Task:
        actions = gold_actions(change.statement, self._tables(change.statement), write=True)
        return Task(
            id="draft",
            env=self.env,
            instruction=change.text,
            data=self._data() | {"mode": "write"},
            gold={"statements": [change.statement], "actions": actions},
            difficulty=min(change.level, 5),
            tags=(change.kind,),
        )

    def _data(self) -> dict[str, JsonValue]:
        data: dict[str, JsonValue] = {"database": self._database, "name": self._title}
        return data | ({"show": self.knobs.show} if self.knobs.show != "nothing" else {})

    def _tables(self, sql: str) -> list[str]:
        names = (self._codes.get(entity.name.lower(), entity.name) for entity in self._world.entities)
        return sorted({name for name in names if name in sql})

    def _task(self, draft: Draft, seeds: tuple[int, ...]) -> Task:
        data, tables = self._data(), self._tables(draft.sql)
        return Task(
            id="draft",
            env=self.env,
            instruction=draft.text,
            data=data,
            gold={"sql": draft.sql, "variants": list(seeds), "actions": gold_actions(draft.sql, tables)},
            difficulty=min(draft.level, 5),
            tags=(draft.kind,),
        )


def with_codes(sql: str, codes: dict[str, str]) -> str:
    """Replace the names in a query of ours by their codes; texts stay."""
    return _NAME.sub(lambda match: _code(match[0], codes), sql)


def _code(token: str, codes: dict[str, str]) -> str:
    if token.startswith("'"):
        return token
    return codes.get(token.strip('"').lower(), token)


def gold_actions(sql: str, tables: list[str], *, write: bool = False) -> list[JsonValue]:
    """Return the turns of a right solution: look, then try and submit, or execute and be done."""
    looks: list[Any] = [_call("g1", "tables", {})]
    looks += [_call(f"g{number}", "schema", {"table": table}) for number, table in enumerate(tables, start=2)]
    last = [("execute", {"sql": sql}), ("done", {})] if write else [("query", {"sql": sql}), ("submit", {"sql": sql})]
    turns: list[JsonValue] = [{"text": "", "calls": looks}]
    turns += [{"text": "", "calls": [_call("g", name, dict(arguments))]} for name, arguments in last]
    return turns


def _call(identifier: str, name: str, arguments: dict[str, Any]) -> dict[str, JsonValue]:
    return {"id": identifier, "name": name, "arguments": arguments}
