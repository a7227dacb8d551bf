"""The ``sql`` environment: an agent looks around a database, then answers a question or brings about a change."""

import random
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from turnwise.envs.base import EnvConfig
from turnwise.envs.sql.backends import Backend, Gold, SqliteReader, SqliteWriter
from turnwise.envs.sql.compare import Comparison, comparison
from turnwise.envs.sql.databases import Table
from turnwise.envs.sql.display import ROWS, plan_text, schema_text, search_text, table_text, tables_text
from turnwise.envs.sql.generate.world import identifier
from turnwise.envs.sql.pgbackend import PostgresReader, PostgresWriter
from turnwise.envs.sql.pool import ask
from turnwise.envs.sql.rewards import PRESETS, check_weights, parts
from turnwise.envs.sql.worker.limits import Limits
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall, ToolFailed, tool
from turnwise.envs.types import Action, Grade, Snapshot, StopReason, ToolCall
from turnwise.errors import ConfigError, EnvError, ReplayDiverged, TaskError
from turnwise.tasks.base import Task

SHOWN = ROWS + 1
"""Rows asked of a worker: one more than are shown."""
READING = ("tables", "schema", "sample", "search_values", "explain", "query", "submit")
WRITING = ("tables", "schema", "sample", "search_values", "query", "execute", "done")


class SqlConfig(EnvConfig):
    """Settings of the ``sql`` environment."""

    engine: Literal["sqlite", "postgres"] = "sqlite"
    """What runs the statements. ``postgres``: the server that ``$TURNWISE_SQL_DSN`` names."""
    seconds: float = 10.0
    """Seconds a statement may take on PostgreSQL, whose work cannot be counted."""
    steps: int = 30_000_000
    """Instructions of SQLite's virtual machine that one statement may take."""
    value_bytes: int = 100_000
    """Longest string or blob."""
    rows: int = 20_000
    """Longest result that is graded."""

    def limits(self) -> dict[str, Any]:
        """Return the limits a worker is given."""
        limits = Limits(steps=self.steps, value_bytes=self.value_bytes, rows=self.rows).to_json()
        if self.engine == "sqlite":
            return limits
        bounds = {"rows": self.rows, "result_bytes": limits["result_bytes"], "seconds": self.seconds}
        return {**bounds, "sqlite": limits}


class SqlData(BaseModel):
    """What a task tells the environment."""

    model_config = ConfigDict(extra="forbid")

    database: str
    """Content digest of the database image."""
    name: str = "database"
    """What the database is called."""
    mode: Literal["read", "write"] = "read"
    """``read``: a query is submitted. ``write``: the database is changed, and graded on what it holds in the end."""
    compare: str = "default"
    """Preset of the result comparison."""
    flags: dict[str, str | float] = {}
    """Flags that differ from the preset's."""
    evidence: str | None = None
    """A remark that comes with the question."""
    show: Literal["nothing", "names", "schema"] = "nothing"
    """What the first message tells of the tables; the rest is there for the asking."""


class SqlEnv(ToolEnv):
    """Answer a question about a database by one SELECT statement, or change it as asked."""

    name = "sql"
    version = "1"
    default_panel = "sql/chinook"
    Config = SqlConfig
    Data = SqlData
    PRESETS: ClassVar[dict[str, dict[str, float]]] = PRESETS

    config: SqlConfig
    _backend: Backend | None = None

    def __init__(self, config: EnvConfig | None = None) -> None:
        super().__init__(config)
        check_weights(self._weights)

    async def begin(self) -> str:
        """Open the database and put the question."""
        self._submitted: str | None = None
        self._last: str | None = None
        self._seen: list[str] = []
        self._gold = self._read_gold()
        self._rule = self._comparison()
        self._backend = await self._open()
        return self._first_message()

    def offered(self) -> tuple[str, ...]:
        """Return the tools for reading or for writing."""
        return WRITING if self._task is not None and self.data.mode == "write" else READING

    async def teardown(self) -> None:
        """Let go of the database."""
        if self._backend is not None:
            await self._backend.close()
            self._backend = None

    @tool
    async def tables(self) -> str:
        """List the tables of the database."""
        return tables_text(self._open_backend.catalog)

    @tool
    async def schema(self, table: str) -> str:
        """Describe a table: its columns, types, keys and references.

        Args:
            table: The table's name.
        """
        found = self._table(table)
        if found.name not in self._seen:
            self._seen.append(found.name)
        return schema_text(found)

    @tool
    async def sample(self, table: str, rows: int = 5) -> str:
        """See some rows of a table.

        Args:
            table: The table's name.
            rows: How many rows, at most 20.
        """
        found = self._table(table)
        return await self._show(f"SELECT * FROM {identifier(found.name)} LIMIT {max(1, min(rows, 20))}")

    @tool
    async def search_values(self, text: str) -> str:
        """Find the columns that hold a text, for example which one holds "AC/DC".

        Args:
            text: What to look for; upper and lower case are the same.
        """
        if not text.strip() or len(text) > 100:
            raise InvalidCall("Give a text of 1 to 100 characters.")
        reply = await self._open_backend.search(text, 5)
        return search_text(text, reply["found"], complete=reply["complete"])

    @tool
    async def explain(self, sql: str) -> str:
        """See how a statement would be run, without running it.

        Args:
            sql: One SELECT statement.
        """
        return plan_text(self._checked(await self._open_backend.explain(sql)))

    @tool
    async def query(self, sql: str) -> str:
        """Run one SELECT statement and see the first rows of its result.

        Args:
            sql: The statement.
        """
        self._last = sql
        return await self._show(sql)

    @tool
    async def execute(self, sql: str) -> str:
        """Run one statement that changes the database: INSERT, UPDATE, DELETE, CREATE, ALTER or DROP.

        Args:
            sql: The statement; it is a transaction of its own.
        """
        reply = self._checked(await self._open_backend.execute(sql))
        if reply["columns"]:
            return table_text(reply["columns"], reply["rows"], reply["count"], complete=reply["complete"])
        return f"Done: {reply['changes']} row{'s' * (reply['changes'] != 1)} changed."

    @tool
    async def submit(self, sql: str) -> str:
        """Submit the statement that answers the question. This ends the episode.

        Args:
            sql: One SELECT statement.
        """
        self._submitted = sql
        self.finish()
        return "Submitted."

    @tool
    async def done(self) -> str:
        """Say that the database is as it should be. This ends the episode."""
        self._submitted = ""
        self.finish()
        return "Finished."

    def state(self) -> JsonValue:
        """What was submitted, and what changed in the database."""
        return {"submitted": self._submitted, "changes": self._open_backend.state()}

    async def grade(self) -> Grade:
        """Compare what the query returns, or what the database holds, with the gold's."""
        if self.data.mode == "write":
            same = await self._open_backend.same_state(self._gold)
            return Grade(float(same), success=same)
        if self._submitted is None:
            return Grade(0.0, success=False)
        verdict = await self._judge(self._submitted)
        request = {"op": "resemble", "answer": self._submitted, "gold": self._gold.sql}
        resemblance = await ask({**request, "dialect": self._open_backend.dialect})
        for name, value in parts(self._submitted, verdict, resemblance).items():
            self.pay(name, value)
        if self._weights.get("judge"):
            # A judge is asked after the episode, never within a step.
            self.pay("judge", None)
        return Grade(verdict["score"], success=verdict["score"] == 1.0)

    # Snapshots copy the state: no statement is run again.

    async def snapshot(self) -> Snapshot:
        """Return history, state and, for a writing task, the log of changes; on PostgreSQL the history only."""
        if self.config.engine == "postgres":
            return await super().snapshot()
        log = await self._open_backend.export()
        state: dict[str, JsonValue] = {
            "submitted": self._submitted,
            "last": self._last,
            "seen": list(self._seen),
            "over": self._over.value if self._over else None,
        }
        return (await super().snapshot()).model_copy(update={"state": state, "blobs": {"log": log} if log else {}})

    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Continue from a snapshot, on a copy of its state."""
        if self.config.engine == "postgres":
            await super().restore(snapshot, task)
            return
        state = snapshot.state
        if not isinstance(state, dict):
            raise EnvError("cannot restore: the snapshot holds no state of this environment")
        self.check_snapshot(snapshot, task)
        await self.teardown()
        over = state.get("over")
        self.resume(snapshot, task, StopReason(str(over)) if over else None)
        self._submitted = str(state["submitted"]) if state.get("submitted") is not None else None
        self._last = str(state["last"]) if state.get("last") is not None else None
        seen = state.get("seen")
        self._seen = [str(name) for name in seen] if isinstance(seen, list) else []
        self._gold, self._rule = self._read_gold(), self._comparison()
        self._backend = await self._open(snapshot.blobs.get("log", b""))
        if await self.state_key() != snapshot.trace[-1].state_key and self._truncated is None:
            raise ReplayDiverged(f"sql: the snapshot of task {task.id!r} does not lead back to the state it names")

    # For the harness.

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random legal action: a look around, or a random simple statement run or submitted."""
        table = rng.choice(self._open_backend.catalog)
        column = identifier(rng.choice(table.columns).name)
        name = rng.choice(self.offered())
        arguments: dict[str, JsonValue] = {}
        if name in {"schema", "sample"}:
            arguments = {"table": table.name}
        elif name == "search_values":
            arguments = {"text": rng.choice(self.task.instruction.split())[:100]}
        elif name == "execute":
            arguments = {"sql": f"DELETE FROM {identifier(table.name)} WHERE {column} IS NULL"}
        elif name not in {"tables", "done"}:
            what = rng.choice((column, f"count(DISTINCT {column})", f"max({column})", "count(*)", "*"))
            tail = rng.choice(("", " LIMIT 1", f" ORDER BY {column} LIMIT 3" if what in {column, "*"} else ""))
            arguments = {"sql": f"SELECT {what} FROM {identifier(table.name)}{tail}"}
        return Action(calls=(ToolCall(id=f"s{self._turn + 1}", name=name, arguments=arguments),))

    async def progress(self) -> float:
        """Return how far the episode has come: tables of the gold looked at, cells of the gold found, solved."""
        gold = " ".join((self._gold.sql, *self._gold.statements)).lower()
        wanted = [table.name for table in self._open_backend.catalog if table.name.lower() in gold]
        looked = sum(name in self._seen for name in wanted) / len(wanted) if wanted else 1.0
        if self.data.mode == "write":
            if not await self._open_backend.same_state(self._gold):
                return 0.5 * looked
            return 1.0 if self._submitted is not None else 0.9
        sql = self._submitted or self._last
        if sql is None:
            return 0.3 * looked
        verdict = await self._judge(sql)
        if verdict["score"] == 1.0:
            return 1.0 if self._submitted is not None else 0.9
        recall: float = verdict["partial"]["recall"]
        return 0.3 * looked + 0.5 * recall

    # How it works.

    @property
    def _open_backend(self) -> Backend:
        if self._backend is None:
            raise EnvError("sql: no episode has begun; call reset() first")
        return self._backend

    async def _open(self, log: bytes = b"") -> Backend:
        limits = self.config.limits()
        if self.config.engine == "postgres":
            backend = PostgresWriter if self.data.mode == "write" else PostgresReader
            return await backend(self.data.database, limits).open()
        if self.data.mode == "write":
            return await SqliteWriter.open(self.data.database, limits, log)
        return await SqliteReader.open(self.data.database, limits)

    async def _show(self, sql: str) -> str:
        reply = self._checked(await self._open_backend.query(sql, SHOWN))
        return table_text(reply["columns"], reply["rows"], reply["count"], complete=reply["complete"])

    def _checked(self, reply: dict[str, Any]) -> dict[str, Any]:
        if reply["error"]:
            raise ToolFailed(str(reply["error"]))
        return reply

    async def _judge(self, sql: str) -> dict[str, Any]:
        verdict = await self._open_backend.judge(sql, self._gold, self._rule)
        if verdict["gold_error"]:
            raise TaskError(f"task {self.task.id!r}: the gold query does not run: {verdict['gold_error']}")
        return verdict

    def _table(self, name: str) -> Table:
        held = self._open_backend.catalog
        for table in held:
            if table.name.lower() == name.strip().strip('"`[]').lower():
                return table
        listed = ", ".join(table.name for table in held[:50])
        raise InvalidCall(f"There is no table {name[:80]!r}. Tables: {listed}")

    def _read_gold(self) -> Gold:
        gold = self.task.gold
        key = "statements" if self.data.mode == "write" else "sql"
        try:
            made = Gold(
                sql=str(gold.get("sql", "")),
                statements=tuple(_texts(gold.get("statements", []))),
                variants=tuple(int(seed) for seed in _texts(gold.get("variants", []))),
                databases=tuple(_texts(gold.get("databases", []))),
            )
        except ValueError as error:
            raise TaskError(f"task {self.task.id!r}: gold: {error}") from error
        if not getattr(made, key):
            raise TaskError(f"task {self.task.id!r}: gold.{key} is missing")
        return made

    def _comparison(self) -> Comparison:
        try:
            rule = comparison(self.data.compare, **self.data.flags)
        except ValueError as error:
            raise TaskError(f"task {self.task.id!r}: {error}") from error
        if rule.score != "match" and any(self._weights.get(name) for name in self._weights if name != "outcome"):
            raise ConfigError(
                f"the graded comparison {self.data.compare!r} is for comparison only: use it with rewards='default', "
                "since with partial credit a wrong answer could earn more than a right one"
            )
        return rule

    def _first_message(self) -> str:
        held, engine = self._open_backend.catalog, {"sqlite": "SQLite", "postgres": "PostgreSQL"}[self.config.engine]
        evidence = f"\nRemark: {self.data.evidence}" if self.data.evidence else ""
        told = {"nothing": "", "names": tables_text(held), "schema": "\n".join(schema_text(table) for table in held)}
        shown = f"\n\n{told[self.data.show]}" if told[self.data.show] else ""
        head = f"{self.task.instruction}{evidence}{shown}\n\n"
        if self.data.mode == "write":
            return (
                f"{head}Change the {engine} database {self.data.name!r} so: look around with the tools, run statements "
                "with execute, then call done. What the tables hold in the end is compared; change nothing else."
            )
        return (
            f"{head}The {engine} database {self.data.name!r} holds the answer. Look around with the tools, then call "
            "submit with one SELECT statement whose result is exactly the answer: all rows and columns asked for, no "
            "others. The statement is run, also on other contents of the same tables, so listing literal values is no "
            f"answer. {self._manner()}"
        )

    def _manner(self) -> str:
        repeats = "Repeated rows count" if self._rule.rows == "bag" else "Repeated rows do not count"
        order = {"yes": "the order of rows counts", "no": "the order of rows does not"}
        columns = "" if self._rule.columns == "any" else " Columns must be in the order asked for."
        return f"{repeats}; {order.get(self._rule.order, 'their order does where the question asks for one')}.{columns}"


def _texts(value: JsonValue) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} must be a list")
    return [str(item) for item in value]
