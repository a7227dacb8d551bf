"""What a database holds: tables, columns, keys, references; samples and a search over values."""

from typing import Any

from turnwise.envs.sql.worker.engine import Images, Result
from turnwise.envs.sql.worker.limits import Limits
from turnwise.envs.sql.worker.variant import quoted

COUNTED = Limits(steps=3_000_000)
"""What counting a table's rows may cost; a larger table is listed without a count."""


def catalog(images: Images, path: str) -> dict[str, Any]:
    """Return every table and view with columns, primary key, references and, where cheap, its number of rows."""
    listed = images.own(path, "PRAGMA table_list")
    names = sorted(
        (row[1], row[2])
        for row in listed
        if row[0] == "main" and row[2] in {"table", "view"} and row[1][:7] != "sqlite_"
    )
    return {"tables": [_table(images, path, name, kind) for name, kind in names]}


def _table(images: Images, path: str, name: str, kind: str) -> dict[str, Any]:
    info = [row for row in images.own(path, f"PRAGMA table_xinfo({quoted(name)})") if row[6] != 1]
    counted = images.run(path, f"SELECT count(*) FROM {quoted(name)}", COUNTED)
    return {
        "name": name,
        "kind": kind,
        "rows": counted.rows[0][0] if counted.rows else None,
        "columns": [{"name": row[1], "type": row[2] or "", "not_null": bool(row[3])} for row in info],
        "primary": [row[1] for row in sorted(info, key=lambda row: int(row[5])) if row[5]],
        "foreign": _foreign(images, path, name),
    }


def _foreign(images: Images, path: str, name: str) -> list[dict[str, str]]:
    links = []
    for row in sorted(images.own(path, f"PRAGMA foreign_key_list({quoted(name)})"), key=lambda row: (row[0], row[1])):
        target = row[4]
        if target is None:
            parent = images.own(path, f"PRAGMA table_info({quoted(row[2])})")
            target = next((info[1] for info in parent if info[5] == 1), row[3])
        links.append({"column": row[3], "table": row[2], "target": target})
    return links


def search(images: Images, path: str, text: str, keep: int, limits: Limits) -> dict[str, Any]:
    """Return which columns hold a value that contains the text, ignoring case, with up to ``keep`` values each."""
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("'", "''") + "%"
    found, whole = [], True
    for table in catalog(images, path)["tables"]:
        for column in table["columns"]:
            name = quoted(column["name"])
            sql = (
                f"SELECT DISTINCT {name} FROM {quoted(table['name'])} WHERE {name} LIKE '{pattern}' ESCAPE '\\' "
                f"ORDER BY 1 LIMIT {keep}"
            )
            result: Result = images.run(path, sql, limits)
            whole = whole and result.error is None
            if result.rows:
                values = [str(row[0]) for row in result.rows]
                found.append({"table": table["name"], "column": column["name"], "values": values})
    return {"found": found, "complete": whole}
