"""Statements on PostgreSQL, from the worker: databases loaded from images, two roles with few rights, time held here.

A database is made per image or variant; readers hold SELECT and nothing else, writers own the tables of a clone that
is theirs alone. The server's own limits are set on the roles; the time limit is kept from outside the session, by
cancelling and then by terminating its backend, so that no statement can lift it.
"""

import datetime as dt
import decimal
import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from turnwise.envs.sql.worker.engine import TOO_MUCH, Result
from turnwise.envs.sql.worker.pgguard import FUNCTIONS, reads, refusal
from turnwise.envs.sql.worker.variant import quoted

READER, WRITER = "turnwise_reader", "turnwise_writer"
SPARE = "_t"
"""Ends the name of the copy that clones are made from."""
OPEN = 8
SESSION = "-c search_path=public -c client_min_messages=error -c TimeZone=UTC"
GRACE_S = 2.0
"""Between cancelling a statement and ending its session."""


class Server:
    """Connections to one server, and what they are asked.

    Args:
        dsn: Of a role that may create databases and roles.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._open: OrderedDict[tuple[str, str], Any] = OrderedDict()

    # Databases.

    def ensure(self, name: str, image: str) -> None:
        """Make a database from an image unless it is there; two workers that try at once agree."""
        with self._admin() as admin:
            admin.execute("SELECT pg_advisory_lock(7215)")
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                return
            self._ensure_roles(admin)
            partial = f"{name}_partial"
            admin.execute(f"DROP DATABASE IF EXISTS {quoted(partial)} WITH (FORCE)")
            admin.execute(
                f"CREATE DATABASE {quoted(partial)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            )
            self._load(partial, image)
            admin.execute(f"DROP DATABASE IF EXISTS {quoted(name + SPARE)} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {quoted(name + SPARE)} TEMPLATE {quoted(partial)}")
            admin.execute(f"REVOKE ALL ON DATABASE {quoted(name + SPARE)} FROM PUBLIC")
            admin.execute(f"ALTER DATABASE {quoted(partial)} RENAME TO {quoted(name)}")

    def clone(self, name: str, template: str) -> None:
        """Make a private copy of a database, from the copy of it that nobody connects to."""
        with self._admin() as admin:
            admin.execute("SELECT pg_advisory_lock(7216)")
            admin.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(template + SPARE)}")
            admin.execute(f"REVOKE ALL ON DATABASE {quoted(name)} FROM PUBLIC")
            admin.execute(f"GRANT CONNECT ON DATABASE {quoted(name)} TO {WRITER}")

    def drop(self, name: str) -> None:
        """Remove a clone."""
        self._forget(name)
        with self._admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")

    def _ensure_roles(self, admin: Any) -> None:
        for role in (READER, WRITER):
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                admin.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT")
            # A password of letters and digits, so it needs no escaping.
            admin.execute(f"ALTER ROLE {role} PASSWORD '{self._password(role)}'")
            admin.execute(f"ALTER ROLE {role} SET temp_file_limit = '256MB'")
            admin.execute(f"ALTER ROLE {role} SET lc_messages = 'C'")
        admin.execute(f"ALTER ROLE {READER} SET default_transaction_read_only = on")

    def _load(self, name: str, image: str) -> None:
        source = sqlite3.connect(f"file:{quote(image)}?mode=ro&immutable=1", uri=True)
        source.text_factory = lambda raw: raw.decode("utf-8", "replace").replace("\0", "")
        try:
            with self._connect(dbname=name, autocommit=False) as target:
                for signature in FUNCTIONS:
                    target.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{signature} FROM PUBLIC")
                target.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
                target.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {WRITER}")
                target.execute(f"GRANT USAGE ON SCHEMA public TO {READER}")
                for table in _sqlite_tables(source):
                    _copy_table(source, target, table)
                target.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
            with self._admin() as admin:
                admin.execute(f"REVOKE ALL ON DATABASE {quoted(name)} FROM PUBLIC")
                admin.execute(f"GRANT CONNECT ON DATABASE {quoted(name)} TO {READER}, {WRITER}")
        finally:
            source.close()

    # Statements.

    def run(self, name: str, sql: str, limits: dict[str, Any], *, write: bool = False, prefix: str = "") -> Result:
        """Run one stranger's statement, after a prefix of ours; whatever it does, a result comes back."""
        import psycopg

        why = refusal(sql, write=write)
        if why:
            return Result(error=f"Refused: {why}.")
        role = WRITER if write else READER
        for attempt in (1, 2):
            connection = self._session(name, role)
            try:
                return _run(connection, prefix + sql, limits, self._watch(connection, limits["seconds"]))
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._forget(name)
                if isinstance(error, psycopg.errors.QueryCanceled):
                    return Result(error=TOO_MUCH)
                if attempt == 2 or not connection.closed:
                    return Result(error=_said(error))
            except (psycopg.Error, MemoryError, UnicodeError, ValueError) as error:
                return Result(error=TOO_MUCH if isinstance(error, MemoryError) else _said(error))
        raise AssertionError("the second attempt returns")

    def own(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of ours as the reader."""
        rows: list[tuple[Any, ...]] = self._session(name, READER).execute(sql).fetchall()
        return rows

    def _watch(self, connection: Any, seconds: float) -> list[threading.Timer]:
        pid = connection.info.backend_pid

        def end() -> None:
            with self._admin() as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", (pid,))

        return [threading.Timer(seconds, connection.cancel), threading.Timer(seconds + GRACE_S, end)]

    # Connections.

    def _session(self, name: str, role: str) -> Any:
        key = (name, role)
        held = self._open.get(key)
        if held is None or held.closed:
            self._open[key] = self._connect(dbname=name, user=role, password=self._password(role))
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def _forget(self, name: str) -> None:
        for key in [key for key in self._open if key[0] == name]:
            self._open.pop(key).close()

    def _admin(self) -> Any:
        return self._connect()

    def _connect(self, *, autocommit: bool = True, **changes: str) -> Any:
        import psycopg

        given: dict[str, Any] = {"autocommit": autocommit, "connect_timeout": 10, **changes}
        if "user" in changes:
            given["options"] = SESSION + (" -c default_transaction_read_only=on" if changes["user"] == READER else "")
        return psycopg.connect(self._dsn, **given)

    def _password(self, role: str) -> str:
        """Derive a role's password from the server's own DSN, which never leaves this machine's memory."""
        return hashlib.sha256(f"{self._dsn}|{role}".encode()).hexdigest()


def _run(connection: Any, sql: str, limits: dict[str, Any], timers: list[threading.Timer]) -> Result:
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        with connection.cursor() as cursor:
            result = Result()
            size = 0
            for row in _stream(cursor, sql):
                result.count += 1
                cells = tuple(plain(cell) for cell in row)
                size += sum(len(cell) if isinstance(cell, str | bytes) else 8 for cell in cells)
                if result.count > limits["rows"] or size > limits["result_bytes"]:
                    result.complete = False
                    break
                result.rows.append(cells)
            result.columns = [str(column.name) for column in cursor.description or ()]
            result.changes = max(cursor.rowcount, 0) if not result.columns else 0
            return result
    finally:
        for timer in timers:
            timer.cancel()


def _stream(cursor: Any, sql: str) -> Iterator[Any]:
    """Yield rows one by one; both ways use the extended protocol, which takes one statement only."""
    if reads(sql):
        yield from cursor.stream(sql)
        return
    cursor.execute(sql, prepare=True)
    if cursor.description:
        yield from cursor


def plain(value: Any) -> Any:
    """Return a PostgreSQL value as SQLite would hold it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return str(value)


def _said(error: Exception) -> str:
    return f"Error: {str(error).splitlines()[0][:500] if str(error) else type(error).__name__}"


def _sqlite_tables(source: sqlite3.Connection) -> list[str]:
    rows = source.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
    return [row[0] for row in rows]


def _copy_table(source: sqlite3.Connection, target: Any, table: str) -> None:
    """Copy a table under its lower-case name: whole numbers, numbers or text, its primary key, no references."""
    info = source.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    kinds = [_kind(source, table, row[1]) for row in info]
    columns = [
        f"{quoted(row[1].lower())} {kind}{' NOT NULL' if row[3] else ''}" for row, kind in zip(info, kinds, strict=True)
    ]
    keys = [quoted(row[1].lower()) for row in sorted(info, key=lambda row: int(row[5])) if row[5]]
    if keys:
        columns.append(f"PRIMARY KEY ({', '.join(keys)})")
    name = quoted(table.lower())
    target.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    target.execute(f"ALTER TABLE {name} OWNER TO {WRITER}")
    with target.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
        for row in source.execute(f"SELECT * FROM {quoted(table)}"):
            copy.write_row([_fitted(cell, kind) for cell, kind in zip(row, kinds, strict=True)])


def _kind(source: sqlite3.Connection, table: str, column: str) -> str:
    sql = f"SELECT DISTINCT typeof({quoted(column)}) FROM {quoted(table)} WHERE {quoted(column)} IS NOT NULL"
    found = {row[0] for row in source.execute(sql)}
    if found and found <= {"integer"}:
        return "bigint"
    return "double precision" if found and found <= {"integer", "real"} else "text"


def _fitted(value: Any, kind: str) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if kind == "text" and value is not None else value
