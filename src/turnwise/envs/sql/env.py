"""The ``sql`` environment: an agent looks around a database and submits a query that answers a question."""

import random
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from turnwise.envs.base import EnvConfig
from turnwise.envs.sql.compare import Comparison, comparison
from turnwise.envs.sql.databases import Catalog, Table, catalog, images
from turnwise.envs.sql.display import schema_text, table_text, tables_text
from turnwise.envs.sql.pool import ask
from turnwise.envs.sql.worker.limits import Limits
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall, ToolFailed, tool
from turnwise.envs.types import Action, Grade, ToolCall
from turnwise.errors import TaskError


class SqlConfig(EnvConfig):
    """Settings of the ``sql`` environment."""

    steps: int = 30_000_000
    """Instructions of SQLite's virtual machine that one statement may take."""
    value_bytes: int = 100_000
    """Longest string or blob."""
    rows: int = 20_000
    """Longest result that is graded."""

    def limits(self) -> dict[str, Any]:
        """Return the limits a worker is given."""
        return Limits(steps=self.steps, value_bytes=self.value_bytes, rows=self.rows).to_json()


class SqlData(BaseModel):
    """What a task tells the environment."""

    model_config = ConfigDict(extra="forbid")

    database: str
    """Content digest of the database image."""
    name: str = "database"
    """What the database is called."""
    engine: Literal["sqlite"] = "sqlite"
    compare: str = "default"
    """Preset of the result comparison."""
    flags: dict[str, str | float] = {}
    """Flags that differ from the preset's."""
    evidence: str | None = None
    """A remark that comes with the question."""


class SqlEnv(ToolEnv):
    """Answer a question about a database by submitting one SELECT statement."""

    name = "sql"
    version = "1"
    default_panel = "sql/chinook"
    Config = SqlConfig
    Data = SqlData
    PRESETS: ClassVar[dict[str, dict[str, float]]] = {"default": {"outcome": 1.0}}

    config: SqlConfig

    async def begin(self) -> str:
        """Find the database and put the question."""
        self._submitted: str | None = None
        self._last: str | None = None
        self._seen: set[str] = set()
        self._rule = self._comparison()
        (self._image,) = await images(self.data.database, ())
        self._catalog: Catalog = await catalog(self.data.database)
        evidence = f"\nRemark: {self.data.evidence}" if self.data.evidence else ""
        return (
            f"{self.task.instruction}{evidence}\n\n"
            f"The SQLite database {self.data.name!r} holds the answer. Look around with the tools, then call submit "
            "with one SELECT statement whose result is exactly the answer: all rows and columns asked for, no others. "
            "The statement is run, also on other contents of the same tables, so listing literal values is no answer. "
            f"{self._manner()}"
        )

    @tool
    async def tables(self) -> str:
        """List the tables of the database."""
        return tables_text(self._catalog)

    @tool
    async def schema(self, table: str) -> str:
        """Describe a table: its columns, types, keys and references.

        Args:
            table: The table's name.
        """
        found = self._table(table)
        self._seen.add(found.name)
        return schema_text(found)

    @tool
    async def query(self, sql: str) -> str:
        """Run one SELECT statement and see the first rows of its result.

        Args:
            sql: The statement, in SQLite's dialect.
        """
        self._last = sql
        return await self._show(sql)

    @tool
    async def submit(self, sql: str) -> str:
        """Submit the statement that answers the question. This ends the episode.

        Args:
            sql: One SELECT statement, in SQLite's dialect.
        """
        self._submitted = sql
        self.finish()
        return "Submitted."

    def state(self) -> JsonValue:
        """The database never changes: what was submitted is all there is."""
        return {"submitted": self._submitted}

    async def grade(self) -> Grade:
        """Run answer and gold on the database and on its variants, and compare."""
        if self._submitted is None:
            return Grade(0.0, success=False)
        verdict = await self._judge(self._submitted)
        return Grade(verdict["score"], success=verdict["score"] == 1.0)

    # For the harness.

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random legal action: a look around, or a random simple query run or submitted."""
        table = rng.choice(self._catalog)
        column = rng.choice(table.columns).name
        what = rng.choice((f'"{column}"', f'count(DISTINCT "{column}")', f'max("{column}")', "count(*)", "*"))
        sql = f'SELECT {what} FROM "{table.name}"' + rng.choice(("", " LIMIT 1", f' ORDER BY "{column}" LIMIT 3'))
        name = rng.choice(("tables", "schema", "query", "query", "submit"))
        arguments: dict[str, JsonValue] = {}
        if name == "schema":
            arguments = {"table": table.name}
        elif name != "tables":
            arguments = {"sql": sql}
        return Action(calls=(ToolCall(id=f"s{self._turn + 1}", name=name, arguments=arguments),))

    async def progress(self) -> float:
        """Return how far the episode has come: tables of the gold looked at, cells of the gold found, solved."""
        gold = str(self.task.gold.get("sql", "")).lower()
        wanted = [table.name for table in self._catalog if table.name.lower() in gold]
        looked = sum(name in self._seen for name in wanted) / len(wanted) if wanted else 1.0
        sql = self._submitted or self._last
        if sql is None:
            return 0.3 * looked
        verdict = await self._judge(sql)
        if verdict["score"] == 1.0:
            return 1.0 if self._submitted is not None else 0.9
        recall: float = verdict["partial"]["recall"]
        return 0.3 * looked + 0.5 * recall

    # How it works.

    async def _show(self, sql: str) -> str:
        result = await ask(
            {"op": "query", "image": self._image, "sql": sql, "limits": self.config.limits(), "keep": 51}
        )
        if result["error"]:
            raise ToolFailed(result["error"])
        return table_text(result["columns"], result["rows"], result["count"], complete=result["complete"])

    async def _judge(self, sql: str) -> dict[str, Any]:
        gold = self.task.gold.get("sql")
        seeds = self.task.gold.get("variants", [])
        if not isinstance(gold, str) or not isinstance(seeds, list):
            raise TaskError(f"task {self.task.id!r}: gold needs 'sql' (a query) and 'variants' (a list of seeds)")
        given = self.task.gold.get("databases", [])
        if not isinstance(given, list):
            raise TaskError(f"task {self.task.id!r}: gold.databases must be a list of digests")
        paths = await images(self.data.database, tuple(int(str(seed)) for seed in seeds))
        for digest in given:
            paths += await images(str(digest), ())
        request = {
            "op": "judge",
            "images": paths,
            "gold": gold,
            "answer": sql,
            "rule": self._rule.to_json(),
            "limits": self.config.limits(),
        }
        verdict = await ask(request)
        if verdict["gold_error"]:
            raise TaskError(f"task {self.task.id!r}: the gold query does not run: {verdict['gold_error']}")
        return verdict

    def _manner(self) -> str:
        repeats = "Repeated rows count" if self._rule.rows == "bag" else "Repeated rows do not count"
        order = {"yes": "the order of rows counts", "no": "the order of rows does not"}
        columns = "" if self._rule.columns == "any" else " Columns must be in the order asked for."
        return f"{repeats}; {order.get(self._rule.order, 'their order does where the question asks for one')}.{columns}"

    def _table(self, name: str) -> Table:
        for table in self._catalog:
            if table.name.lower() == name.strip().strip('"`[]').lower():
                return table
        listed = ", ".join(table.name for table in self._catalog[:50])
        raise InvalidCall(f"There is no table {name[:80]!r}. Tables: {listed}")

    def _comparison(self) -> Comparison:
        try:
            return comparison(self.data.compare, **self.data.flags)
        except ValueError as error:
            raise TaskError(f"task {self.task.id!r}: {error}") from error
