"""The worker's operations on PostgreSQL; kept apart so that a worker without it never loads the driver."""

import hashlib
from typing import Any

from turnwise.envs.sql.compare import Comparison, score
from turnwise.envs.sql.worker.postgres import Server, plain
from turnwise.envs.sql.worker.variant import quoted

_servers: dict[str, Server] = {}


def _server(dsn: str) -> Server:
    if dsn not in _servers:
        _servers[dsn] = Server(dsn)
    return _servers[dsn]


def answer(request: dict[str, Any], partial: Any) -> dict[str, Any]:
    """Answer one request about a server; ``partial`` gives the partial credit of two results."""
    server, name = _server(request["dsn"]), request["name"]
    kind = request["op"].removeprefix("pg_")
    if kind in {"ensure", "clone", "drop"}:
        arguments = [request[key] for key in ("image", "template") if key in request]
        getattr(server, kind)(name, *arguments)
        return {}
    if kind == "catalog":
        return {"tables": _catalog(server, name)}
    if kind == "query":
        result = server.run(name, request["sql"], request["limits"], write=request["write"])
        result.rows = result.rows[: request["keep"]]
        return result.to_json()
    if kind == "contents":
        return _contents(server, name, request)
    if kind == "explain":
        return _explain(server, name, request)
    return _judge(server, request, partial)


def _judge(server: Server, request: dict[str, Any], partial: Any) -> dict[str, Any]:
    rule = Comparison(**request["rule"])
    ordered = rule.ordered(request["gold"])
    lowest, first = 1.0, None
    for name in request["names"]:
        gold = server.run(name, rule.prepare(request["gold"]), request["limits"])
        if gold.error or not gold.complete:
            return {"gold_error": gold.error or "its result is larger than the limits allow"}
        answer = server.run(name, rule.prepare(request["answer"]), request["limits"])
        whole = answer.error is None and answer.complete
        lowest = min(lowest, score(answer.rows, gold.rows, rule, ordered=ordered) if whole else 0.0)
        first = first or partial(answer, gold)
        if lowest == 0.0:
            break
    return {"score": lowest, "partial": first, "gold_error": None}


def _explain(server: Server, name: str, request: dict[str, Any]) -> dict[str, Any]:
    result = server.run(name, request["sql"], request["limits"], prefix="EXPLAIN (COSTS OFF) ")
    return result.to_json()


def _contents(server: Server, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run statements, then return a digest of each table, whatever its rows' order."""
    for sql in request.get("statements", []):
        result = server.run(name, sql, request["limits"], write=True)
        if result.error:
            return {"error": result.error}
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    listed = server.run(name, tables, request["limits"], write=True)
    found = {row[0]: _digest(server, name, row[0], request["limits"]) for row in sorted(listed.rows)}
    return {"error": None, "contents": found}


def _digest(server: Server, name: str, table: str, limits: dict[str, Any]) -> str:
    everything = {**limits, "rows": 10**9, "result_bytes": 10**9}
    result = server.run(name, f"SELECT * FROM {quoted(table)}", everything, write=True)
    total = sum(int.from_bytes(hashlib.sha256(repr([plain(c) for c in row]).encode()).digest()) for row in result.rows)
    return hashlib.sha256(f"{result.columns} {result.count} {total % (1 << 256)} {result.error}".encode()).hexdigest()


def _catalog(server: Server, name: str) -> list[dict[str, Any]]:
    tables = server.own(
        name, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    )
    return [_table(server, name, table, "view" if kind == "VIEW" else "table") for table, kind in tables]


def _table(server: Server, name: str, table: str, kind: str) -> dict[str, Any]:
    literal = "'" + table.replace("'", "''") + "'"
    quoted_literal = "'" + quoted(table).replace("'", "''") + "'"
    columns = server.own(
        name,
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        f"WHERE table_schema = 'public' AND table_name = {literal} ORDER BY ordinal_position",
    )
    primary = server.own(
        name,
        "SELECT a.attname FROM pg_index i "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
        f"WHERE i.indrelid = to_regclass({quoted_literal}) AND i.indisprimary "
        "ORDER BY array_position(i.indkey, a.attnum)",
    )
    return {
        "name": table,
        "kind": kind,
        "rows": server.own(name, f"SELECT count(*) FROM {quoted(table)}")[0][0],
        "columns": [{"name": row[0], "type": row[1], "not_null": row[2] == "NO"} for row in columns],
        "primary": [row[0] for row in primary],
        "foreign": [],
    }
