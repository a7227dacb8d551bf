"""Results and catalogues as text for an agent; what is cut is said."""

from typing import Any

from turnwise.envs.sql.databases import Catalog, Table

ROWS, CELL, TEXT = 50, 200, 6_000


def table_text(columns: list[str], rows: list[list[Any]], count: int, *, complete: bool) -> str:
    """Show a result as lines of cells, at most ``ROWS`` rows and ``TEXT`` characters."""
    if not columns:
        return "The statement returned nothing."
    lines, size = [" | ".join(_cell(column) for column in columns)], 0
    for row in rows[:ROWS]:
        line = " | ".join(_cell(cell) for cell in row)
        size += len(line)
        if size > TEXT:
            break
        lines.append(line)
    shown = len(lines) - 1
    total = f"{count}" if complete else f"more than {count - 1}"
    note = f"({total} row{'s' * (total != '1')})" if shown == count and complete else f"({shown} of {total} rows shown)"
    return "\n".join([*lines, note])


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    text = f"x'{value['hex']}'" if isinstance(value, dict) else str(value)
    text = text.replace("\r", "\\r").replace("\n", "\\n").encode("utf-8", "replace").decode()
    return text if len(text) <= CELL else f"{text[:CELL]}… ({len(text)} characters)"


def tables_text(catalog: Catalog) -> str:
    """List the tables."""
    lines = [_line(table) for table in catalog[:300]]
    if len(catalog) > 300:
        lines.append(f"(300 of {len(catalog)} tables shown)")
    return "\n".join(lines) or "The database holds no table."


def _line(table: Table) -> str:
    rows = "" if table.rows is None else f" ({table.rows} rows)"
    return f"{table.name}{' (view)' if table.kind == 'view' else rows}"


def schema_text(table: Table) -> str:
    """Describe one table."""
    links = {link.column: f" -> {link.table}.{link.target}" for link in table.foreign}
    lines = [f"{table.kind} {table.name}"]
    for column in table.columns:
        key = " primary key" if column.name in table.primary else ""
        null = " not null" if column.not_null else ""
        lines.append(f"  {column.name} {column.type}{key}{null}{links.get(column.name, '')}".rstrip())
    return "\n".join(lines)


def search_text(text: str, found: list[dict[str, Any]], *, complete: bool) -> str:
    """Say which columns hold a text."""
    lines = [
        f"{entry['table']}.{entry['column']}: {', '.join(_cell(value) for value in entry['values'])}"
        for entry in found[:40]
    ]
    if len(found) > 40:
        lines.append(f"(40 of {len(found)} columns shown)")
    if not complete:
        lines.append("(some tables are too large to search)")
    return "\n".join(lines) or f"No column holds {text!r}."


def plan_text(reply: dict[str, Any]) -> str:
    """Show a plan, one step a line."""
    return "\n".join(_cell(row[0]) for row in reply["rows"]) or "There is no plan."
