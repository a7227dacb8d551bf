"""Images made from other databases: one with codes for names, and one from a PostgreSQL schema, which is only read."""

import os
import random
import shutil
import sqlite3
from typing import Any

from turnwise.envs.sql.worker.frames import cell_in
from turnwise.envs.sql.worker.postgres import plain
from turnwise.envs.sql.worker.variant import quoted


def rename_all(source: str, target: str) -> dict[str, str]:
    """Copy a database and give every table and column a code for its name; return the codes by lower-case name."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o600)
    connection = sqlite3.connect(target, isolation_level=None)
    try:
        tables = [
            row[1]
            for row in connection.execute("PRAGMA table_list").fetchall()
            if row[0] == "main" and row[2] == "table" and row[1][:7] != "sqlite_"
        ]
        columns = {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({quoted(name)})")] for name in tables
        }
        codes = _codes(tables, [column for listed in columns.values() for column in listed])
        for table in sorted(tables):
            for column in columns[table]:
                new = codes[column.lower()]
                connection.execute(f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(column)} TO {new}")
            connection.execute(f"ALTER TABLE {quoted(table)} RENAME TO {codes[table.lower()]}")
    finally:
        connection.close()
    return codes


def _codes(tables: list[str], columns: list[str]) -> dict[str, str]:
    names = sorted({name.lower() for name in columns} - {name.lower() for name in tables})
    held = sorted(name.lower() for name in tables)
    rng = random.Random("names")
    rng.shuffle(names)
    rng.shuffle(held)
    codes = {name: f"c{number:03d}" for number, name in enumerate(names, start=1)}
    return codes | {name: f"t{number:03d}" for number, name in enumerate(held, start=1)}


def copy_schema(dsn: str, schema: str, target: str) -> None:
    """Copy the tables of a PostgreSQL schema into a SQLite file, from one read-only snapshot."""
    import psycopg

    connection = sqlite3.connect(target, isolation_level=None)
    try:
        connection.execute("BEGIN")
        with psycopg.connect(dsn, connect_timeout=10, options="-c default_transaction_read_only=on") as server:
            server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            server.read_only = True
            listed = server.execute(
                "SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.relname",
                (schema,),
            ).fetchall()
            for oid, name in listed:
                _copy_one(server, connection, schema, oid, name)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _copy_one(server: Any, target: sqlite3.Connection, schema: str, oid: int, name: str) -> None:
    columns = server.execute(
        "SELECT attname, format_type(atttypid, NULL), attnotnull FROM pg_attribute "
        "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (oid,),
    ).fetchall()
    parts = [f"{quoted(column)} {_affinity(kind)}{' NOT NULL' if needed else ''}" for column, kind, needed in columns]
    parts += [_constraint(*row) for row in _constraints(server, oid)]
    target.execute(f"CREATE TABLE {quoted(name)} ({', '.join(parts)})")
    marks = ", ".join("?" * len(columns))
    with server.cursor(name="copy") as cursor:
        cursor.itersize = 5000
        cursor.execute(f"SELECT * FROM {quoted(schema)}.{quoted(name)}")
        rows = ([cell_in(plain(cell)) for cell in row] for row in cursor)
        target.executemany(f"INSERT INTO {quoted(name)} VALUES ({marks})", rows)


def _constraints(server: Any, oid: int) -> list[tuple[str, list[str], str | None, list[str]]]:
    rows: list[tuple[str, list[str], str | None, list[str]]] = server.execute(
        "SELECT c.contype::text, "
        "ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, i) JOIN pg_attribute a "
        "ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.i), r.relname, "
        "ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, i) JOIN pg_attribute a "
        "ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.i) "
        "FROM pg_constraint c LEFT JOIN pg_class r ON r.oid = c.confrelid "
        "WHERE c.conrelid = %s AND c.contype IN ('p', 'f') ORDER BY c.conname",
        (oid,),
    ).fetchall()
    return rows


def _constraint(kind: str, columns: list[str], parent: str | None, targets: list[str]) -> str:
    listed = ", ".join(quoted(column) for column in columns)
    if kind == "p" or parent is None:
        return f"PRIMARY KEY ({listed})"
    return f"FOREIGN KEY ({listed}) REFERENCES {quoted(parent)} ({', '.join(quoted(column) for column in targets)})"


def _affinity(kind: str) -> str:
    if kind in {"smallint", "integer", "bigint", "boolean"}:
        return "INTEGER"
    return "NUMERIC" if kind in {"numeric", "real", "double precision", "money"} else "TEXT"
